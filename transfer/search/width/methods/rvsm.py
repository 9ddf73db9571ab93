"""Relaxed variable splitting (thesis, Eq. 2.6; Dinh and Xin) on gates: some of them become exactly zero."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from backbones.errors import UserInputError
from transfer.search.methods._relaxation import Loss, apply, gradients
from transfer.search.width.methods.base import GateMethod
from transfer.search.width.space import Space, weights_of

PENALTIES = ("l1", "l0")


class Rvsm(GateMethod):
    """Gates w descend the loss and are pulled to u, which is their nearest sparse neighbour.

        w <- w - eta * grad L(w) - eta * beta * (w - u)
        u <- argmin gamma * P(u) + beta / 2 * |u - w|^2

    u is what is kept: with `keep.threshold` 0, the share that is pruned is learned. Far from zero, P of the L1 norm
    pulls a gate by gamma, as in the other methods; P of the L0 norm lets it be.

    Args:
        penalty: P, `"l1"` (soft threshold, of gamma / beta) or `"l0"` (hard threshold, of sqrt(2 gamma / beta)).
        beta: strength of the pull; sets the threshold.
    """

    gradients = 1

    def __init__(self, penalty: str = "l1", beta: float = 0.1) -> None:
        if penalty not in PENALTIES:
            raise UserInputError(f"method 'rvsm': penalty={penalty!r}, expected 'l1' or 'l0'")
        if not beta > 0:
            raise UserInputError(f"method 'rvsm': beta={beta!r}, expected a number above 0")
        self.penalty, self.beta = penalty, beta

    def nearest(self, gate: Tensor, gamma: float) -> Tensor:
        """u of a gate w."""
        if self.penalty == "l1":
            return soft_threshold(gate, gamma / self.beta)
        return hard_threshold(gate, math.sqrt(2 * gamma / self.beta))

    def begin(self, space: Space) -> _Step:
        """As the class says."""
        return _Step(self, space)

    def gates(self, space: Space) -> list[Tensor] | None:
        """u of each."""
        return [self.nearest(gate.detach(), space.gamma) for gate in space.gates]


class _Step:
    def __init__(self, method: Rvsm, space: Space) -> None:
        self.method, self.space = method, space
        self.weights = weights_of(space.net)
        self.optimizers = (space.sgd(self.weights), space.sgd(space.gates, decay=False))

    def step(self, train_loss: Loss, val_loss: Loss) -> None:
        gates, count = self.space.gates, len(self.weights)
        found = gradients(train_loss(), [*self.weights, *gates])
        pulled = [
            gradient + self.method.beta * (gate.detach() - self.method.nearest(gate.detach(), self.space.gamma))
            for gradient, gate in zip(found[count:], gates, strict=True)
        ]
        apply(self.optimizers[0], self.weights, found[:count])
        apply(self.optimizers[1], gates, pulled)


def soft_threshold(x: Tensor, width: float) -> Tensor:
    """S: argmin over u of `width * |u| + (u - x)^2 / 2`, each by itself."""
    return x.sign() * (x.abs() - width).clamp_min(0)


def hard_threshold(x: Tensor, width: float) -> Tensor:
    """H: argmin over u of `width^2 / 2 * [u != 0] + (u - x)^2 / 2`, each by itself; 0 where both are equal."""
    return torch.where(x.abs() <= width, torch.zeros_like(x), x)

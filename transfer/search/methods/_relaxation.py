"""Gradient methods on a relaxed architecture: DARTS, MiLeNAS and RARTS.

They know nothing of networks. A step is given two closures, the losses on the training and on the validation half at
the present parameters, and changes the parameters in place; the same code searches a supernet and solves a problem of
two variables. A closure is called anew for each gradient and must see the same data within a step.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor
from torch.optim import Optimizer

Loss = Callable[[], Tensor]
"""Returns the scalar loss at the present parameters, with its graph."""

PERTURBATION = 0.01


class Darts:
    """DARTS (Liu et al., ICLR 2019): the architecture follows the validation loss, the weights the training loss.

    The second order looks one step of the weights ahead: the gradient is the one at `w' = w - xi * dw`, minus `xi`
    times a mixed second derivative, which is taken by finite differences, as in the authors' code.

    Args:
        weights: w, which the closures use.
        alphas: the architecture, which the closures use.
        weight_optimizer: of `weights`. The second order takes learning rate, momentum and weight decay from it.
        alpha_optimizer: of `alphas`.
        second_order: look ahead.
        gamma, penalty: as in `Rarts`.
    """

    def __init__(
        self,
        weights: Sequence[Tensor],
        alphas: Sequence[Tensor],
        weight_optimizer: Optimizer,
        alpha_optimizer: Optimizer,
        *,
        second_order: bool = False,
        gamma: float = 0.0,
        penalty: Loss | None = None,
    ) -> None:
        self.weights, self.alphas = list(weights), list(alphas)
        self.weight_optimizer, self.alpha_optimizer = weight_optimizer, alpha_optimizer
        self.second_order, self.gamma, self.penalty = second_order, gamma, penalty

    def step(self, train_loss: Loss, val_loss: Loss) -> None:
        """One step of the architecture, then one of the weights."""
        found = self._ahead(train_loss, val_loss) if self.second_order else gradients(val_loss(), self.alphas)
        if self.penalty is not None:
            penalised = gradients(self.gamma * self.penalty(), self.alphas)
            found = [of_loss + of_penalty for of_loss, of_penalty in zip(found, penalised, strict=True)]
        apply(self.alpha_optimizer, self.alphas, found)
        apply(self.weight_optimizer, self.weights, gradients(train_loss(), self.weights))

    def _ahead(self, train_loss: Loss, val_loss: Loss) -> list[Tensor]:
        """The architecture's gradient through one step of the weights."""
        xi = self.weight_optimizer.param_groups[0]["lr"]
        ahead = [-xi * change for change in self._weight_changes(gradients(train_loss(), self.weights))]
        with moved(self.weights, ahead):
            both = gradients(val_loss(), [*self.alphas, *self.weights])
        direct, direction = both[: len(self.alphas)], both[len(self.alphas) :]
        mixed = mixed_product(train_loss, self.alphas, self.weights, direction)
        return [d - xi * s for d, s in zip(direct, mixed, strict=True)]

    def _weight_changes(self, found: list[Tensor]) -> list[Tensor]:
        """What SGD would take off, in units of its learning rate: momentum + gradient + weight decay."""
        group = self.weight_optimizer.param_groups[0]
        changes = []
        for weight, gradient in zip(self.weights, found, strict=True):
            change = gradient + group.get("weight_decay", 0.0) * weight.detach()
            buffer = self.weight_optimizer.state.get(weight, {}).get("momentum_buffer")
            changes.append(change if buffer is None else change + group["momentum"] * buffer)
        return changes


class MiLeNas:
    """MiLeNAS, first order (He et al., CVPR 2020): the architecture follows both losses.

    Args:
        weights, alphas, weight_optimizer, alpha_optimizer: as in `Darts`.
        val_weight: lambda, weight of the validation loss in `train + lambda * validation`.
        gamma, penalty: as in `Rarts`.
    """

    def __init__(
        self,
        weights: Sequence[Tensor],
        alphas: Sequence[Tensor],
        weight_optimizer: Optimizer,
        alpha_optimizer: Optimizer,
        *,
        val_weight: float = 1.0,
        gamma: float = 0.0,
        penalty: Loss | None = None,
    ) -> None:
        self.weights, self.alphas = list(weights), list(alphas)
        self.weight_optimizer, self.alpha_optimizer = weight_optimizer, alpha_optimizer
        self.val_weight, self.gamma, self.penalty = val_weight, gamma, penalty

    def step(self, train_loss: Loss, val_loss: Loss) -> None:
        """One step of the weights, then one of the architecture at the new weights."""
        apply(self.weight_optimizer, self.weights, gradients(train_loss(), self.weights))
        loss = train_loss() + self.val_weight * val_loss() + weighted(self.gamma, self.penalty)
        apply(self.alpha_optimizer, self.alphas, gradients(loss, self.alphas))


class Rarts:
    """RARTS (Xue, Qi and Xin; the thesis's Algorithms 1 and 2): two sets of weights, held together by a spring.

    It descends the Lagrangian (Eq. 2.11)

        L(u, w, a) = val(u, a) + lam * train(w, a) + beta / 2 * |u - w|^2 + gamma * P(a)

    in w, then in u at the new w, then in a at the new u and w. The validation closure uses u, the training closure w.

    Args:
        val_weights: u, the primary weights; the ones to keep.
        train_weights: w, the auxiliary weights, of the same shapes.
        alphas: a, which both closures use.
        val_optimizer: of u; plain SGD gives the thesis's Algorithm 1.
        train_optimizer: of w.
        alpha_optimizer: of a.
        lam: weight of the training loss.
        beta: strength of the spring.
        gamma: weight of the penalty.
        penalty: P, a function of the architecture alone; needed where `gamma` is not 0.
    """

    def __init__(
        self,
        val_weights: Sequence[Tensor],
        train_weights: Sequence[Tensor],
        alphas: Sequence[Tensor],
        val_optimizer: Optimizer,
        train_optimizer: Optimizer,
        alpha_optimizer: Optimizer,
        *,
        lam: float = 10.0,
        beta: float = 10.0,
        gamma: float = 0.0,
        penalty: Loss | None = None,
    ) -> None:
        self.val_weights, self.train_weights, self.alphas = list(val_weights), list(train_weights), list(alphas)
        self.val_optimizer, self.train_optimizer = val_optimizer, train_optimizer
        self.alpha_optimizer = alpha_optimizer
        self.lam, self.beta, self.gamma, self.penalty = lam, beta, gamma, penalty

    def step(self, train_loss: Loss, val_loss: Loss) -> None:
        """One step of each: w, u, a."""
        found = gradients(self.lam * train_loss(), self.train_weights)
        apply(self.train_optimizer, self.train_weights, self._pulled(found, self.train_weights, self.val_weights))
        found = gradients(val_loss(), self.val_weights)
        apply(self.val_optimizer, self.val_weights, self._pulled(found, self.val_weights, self.train_weights))
        loss = val_loss() + self.lam * train_loss() + weighted(self.gamma, self.penalty)
        apply(self.alpha_optimizer, self.alphas, gradients(loss, self.alphas))

    @torch.no_grad()
    def lagrangian(self, train_loss: Loss, val_loss: Loss) -> Tensor:
        """Its present value."""
        pairs = zip(self.val_weights, self.train_weights, strict=True)
        distance = sum((u - w).square().sum() for u, w in pairs)
        return val_loss() + self.lam * train_loss() + self.beta / 2 * distance + weighted(self.gamma, self.penalty)

    def _pulled(self, found: list[Tensor], own: list[Tensor], other: list[Tensor]) -> list[Tensor]:
        """Adds the gradient of the spring."""
        triples = zip(found, own, other, strict=True)
        return [gradient + self.beta * (x.detach() - y.detach()) for gradient, x, y in triples]


def descent_rates(lipschitz: float, *, lam: float, beta: float, gamma: float = 0.0) -> tuple[float, float, float]:
    """Step widths of u, w and a below which RARTS's Lagrangian falls (thesis, Eq. 2.15).

    Args:
        lipschitz: a Lipschitz constant of the gradients of both losses and of the penalty.
        lam, beta, gamma: as in `Rarts`.
    """
    return (
        0.5 / (beta / 2 + lipschitz),
        0.5 / (beta / 2 + lam * lipschitz),
        0.5 / ((1 + lam + gamma / 2) * lipschitz),
    )


def weighted(gamma: float, penalty: Loss | None) -> Tensor | float:
    """`gamma * P(a)`; 0 where there is no penalty."""
    return 0.0 if penalty is None else gamma * penalty()


def gradients(loss: Tensor, parameters: Sequence[Tensor]) -> list[Tensor]:
    """The gradient of each parameter; zeros where the loss does not depend on it."""
    found = torch.autograd.grad(loss, list(parameters), allow_unused=True)
    return [torch.zeros_like(p) if g is None else g for p, g in zip(parameters, found, strict=True)]


def apply(optimizer: Optimizer, parameters: Sequence[Tensor], found: Sequence[Tensor]) -> None:
    """One step of `optimizer` along given gradients."""
    for parameter, gradient in zip(parameters, found, strict=True):
        parameter.grad = gradient
    optimizer.step()
    optimizer.zero_grad()


def mixed_product(
    loss: Loss, alphas: Sequence[Tensor], weights: Sequence[Tensor], direction: Sequence[Tensor]
) -> list[Tensor]:
    """The mixed second derivative d2 loss / (d alpha d w) times a direction of w, by central differences."""
    norm = torch.sqrt(sum((d.square().sum() for d in direction), start=torch.zeros(())))
    if not norm > 0:
        return [torch.zeros_like(alpha) for alpha in alphas]
    width = PERTURBATION / norm
    with moved(weights, [width * d for d in direction]):
        above = gradients(loss(), alphas)
    with moved(weights, [-width * d for d in direction]):
        below = gradients(loss(), alphas)
    return [(a - b) / (2 * width) for a, b in zip(above, below, strict=True)]


@contextmanager
def moved(parameters: Sequence[Tensor], changes: Sequence[Tensor]) -> Iterator[None]:
    """Inside, the parameters are moved by `changes`; outside, they are exactly what they were."""
    before = [parameter.detach().clone() for parameter in parameters]
    with torch.no_grad():
        for parameter, change in zip(parameters, changes, strict=True):
            parameter.add_(change)
    try:
        yield
    finally:
        with torch.no_grad():
            for parameter, old in zip(parameters, before, strict=True):
                parameter.copy_(old)

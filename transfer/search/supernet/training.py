"""Training a supernet: random connection schemes in each iteration."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from torch import nn

from backbones.errors import UserInputError
from backbones.resnet import AttentionResNet
from backbones.scheme import ConnectionScheme
from transfer.engine.backbone import registered_backbones
from transfer.engine.checkpoint import bare

SANDWICH_DRAWS = 2

# Keeps the schemes apart from everything else that is drawn from (seed, iteration).
_STREAM = 0x5C4E3E


def schemes_at(
    iteration: int,
    seed: int,
    depths: Sequence[int],
    *,
    beta: float = 0.5,
    complement: bool = False,
    sandwich: bool = False,
) -> tuple[ConnectionScheme, ...]:
    """The connection schemes that an iteration of supernet training runs; a pure function.

    >>> [str(scheme) for scheme in schemes_at(3, 0, (2, 2), complement=True)]
    ['00.11', '11.00']

    Args:
        iteration: counted from 0.
        seed: of the training.
        depths: blocks of each stage.
        beta: probability of a connection (EAN, Algorithm 1).
        complement: run the scheme and its complement, so that every block is trained both ways equally often.
        sandwich: the sandwich rule (Yu and Huang, ICCV 2019): all connected, none, and two random schemes.
    """
    words = np.random.SeedSequence((abs(seed), iteration, _STREAM)).generate_state(1)
    generator = torch.Generator().manual_seed(int(words[0]))
    if sandwich:
        drawn = [ConnectionScheme.random(depths, beta, generator) for _ in range(SANDWICH_DRAWS)]
        return (ConnectionScheme.full(depths), ConnectionScheme.empty(depths), *drawn)
    scheme = ConnectionScheme.random(depths, beta, generator)
    return (scheme, scheme.complement()) if complement else (scheme,)


@HOOKS.register_module()
class SupernetHook(Hook):
    """Gives the supernet its connection scheme before each training iteration (see `schemes_at`).

    All processes set the same one. Validation sees the scheme that the config gives the backbone; by default all
    blocks are connected. Run on several processes with `find_unused_parameters=True`: a module that an iteration's
    scheme leaves out gets no gradient.

    Args:
        beta: probability of a connection, in (0, 1].
        complement: each scheme together with its complement, for the mean of both losses.
        sandwich: the sandwich rule, for the mean of the four losses.

    Raises:
        UserInputError: `beta` outside (0, 1], both options at once, a model that is no supernet or (with either
            option) cannot run several schemes an iteration.
    """

    priority = "HIGH"

    def __init__(self, beta: float = 0.5, complement: bool = False, sandwich: bool = False) -> None:
        check_beta(beta)
        if complement and sandwich:
            raise UserInputError("SupernetHook: complement and sandwich exclude each other, choose one")
        self.options: dict[str, Any] = {"beta": beta, "complement": complement, "sandwich": sandwich}

    def before_train(self, runner: Any) -> None:
        """Checks the model, and keeps the scheme that the config gave it."""
        self.model: Any = bare(runner.model)
        self.net = supernet_of(self.model)
        self.given = self.net.scheme
        if (self.options["complement"] or self.options["sandwich"]) and not hasattr(self.model, "schemes"):
            raise UserInputError(
                f"SupernetHook: {type(self.model).__name__} runs one scheme an iteration; leave complement and "
                "sandwich out, or train a Classifier"
            )

    def before_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        """Sets the schemes of this iteration."""
        schemes = schemes_at(runner.iter, int(runner.seed or 0), self.net.arch.depths, **self.options)
        self.net.scheme = schemes[0]
        if len(schemes) > 1:
            self.model.schemes = schemes

    def before_val(self, runner: Any) -> None:
        """Back to the scheme of the config."""
        if hasattr(self, "given"):
            self.net.scheme = self.given

    def after_train(self, runner: Any) -> None:
        """Back to the scheme of the config."""
        self.net.scheme = self.given


def check_beta(beta: Any) -> None:
    """Raises `UserInputError` where `beta` is no connection probability that trains anything."""
    if isinstance(beta, bool) or not isinstance(beta, (int, float)) or not 0 < beta <= 1:
        raise UserInputError(f"SupernetHook.beta={beta!r}: expected a probability above 0, up to 1")


def beta_of(config: Config) -> float | None:
    """The connection probability that a supernet's config trains with; None where no hook of it draws schemes.

    Raises:
        UserInputError: it is outside (0, 1].
    """
    for hook in config.get("custom_hooks") or ():
        if hook.get("type") == "SupernetHook":
            beta = hook.get("beta", 0.5)
            check_beta(beta)
            return float(beta)
    return None


def supernet_of(model: nn.Module) -> AttentionResNet:
    """The network inside a model's registered backbone; raises `UserInputError` where it is no supernet."""
    nets = registered_backbones(bare(model))
    if len(nets) != 1 or not nets[0].supernet:
        raise UserInputError(
            "the model is no supernet, expected one RegisteredBackbone with attention and supernet=True "
            "(model.backbone.supernet)"
        )
    return nets[0]

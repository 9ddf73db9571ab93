"""The protocol of a self-attention module (SAM): gate a residual, merge it with the shortcut."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

State = tuple[Tensor, Tensor] | None
"""What a SAM hands from one connected block of a stage to the next: None, or DIA's (h, c), each (N, C)."""


class Attention(nn.Module):
    """A self-attention module that recalibrates the residual of a block.

    A subclass lives in a file of its own in this package, named as the SAM is called, and implements `gate`. The
    constructor takes `channels` first; every other argument has a default.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = channels

    def gate(self, x_NCHW: Tensor, state: State = None) -> tuple[Tensor, State]:
        """Returns the mask, broadcastable to `x_NCHW`, and the state for the stage's next connected block."""
        raise NotImplementedError(f"{type(self).__name__} has to implement gate")

    def merge(
        self, residual_NCHW: Tensor, shortcut_NCHW: Tensor, state: State = None, weight: Tensor | None = None
    ) -> tuple[Tensor, State]:
        """Recalibrates, adds, activates: `relu(shortcut + gate * residual)`.

        Args:
            residual_NCHW: the block's output after its last batch normalisation.
            shortcut_NCHW: identity or projection, of the same shape.
            state: see `State`; None at the first connected block of a stage.
            weight: scalar in [0, 1], the soft connection of DARTS and RARTS:
                `shortcut + (weight * gate + 1 - weight) * residual`. None is a hard connection.
        """
        gate, state = self.gate(residual_NCHW, state)
        if weight is not None:
            gate = weight * gate + (1 - weight)
        return gated_add(shortcut_NCHW, gate, residual_NCHW), state

    def forward(
        self, residual_NCHW: Tensor, shortcut_NCHW: Tensor, state: State = None, weight: Tensor | None = None
    ) -> tuple[Tensor, State]:
        """The same as `merge`."""
        return self.merge(residual_NCHW, shortcut_NCHW, state, weight)


def gated_add(shortcut: Tensor, gate: Tensor, residual: Tensor) -> Tensor:
    """Returns `relu(shortcut + gate * residual)` in two passes over memory: no product is kept, ReLU is in place."""
    return torch.addcmul(shortcut, gate.to(residual.dtype), residual).relu_()


def global_mean(x_NCHW: Tensor) -> Tensor:
    """Returns the mean over space, (N, C): global average pooling.

    As a sum, whose gradient is a view in the map's own memory format; that of `mean` is written out in the default
    one, which costs a training step on channels_last maps about a quarter more. In float16 the sum could overflow.
    """
    if x_NCHW.dtype == torch.float16:
        return x_NCHW.mean((2, 3))
    return x_NCHW.sum((2, 3)) / (x_NCHW.shape[2] * x_NCHW.shape[3])


def he_init_(module: nn.Module) -> None:
    """Draws the weights of a linear layer or convolution from N(0, 2 / (k * k * C_out)), as the authors' code does."""
    weight: Any = module.weight
    nn.init.kaiming_normal_(weight, mode="fan_out", nonlinearity="relu")

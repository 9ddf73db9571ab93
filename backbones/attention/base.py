"""The protocol of a self-attention module (SAM): gate a residual, merge it with the shortcut."""

from __future__ import annotations

import copy
from typing import Any, ClassVar, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

State = tuple[Tensor, Tensor] | None
"""What a SAM hands from one connected block of a stage to the next: None, or DIA's (h, c), each (N, C)."""


class Pointwise(Protocol):
    """A module that convolves with kernels of one position: `weight` (C, K, 1, 1), `bias` (C,) or None."""

    weight: Tensor
    bias: Tensor | None


class Attention(nn.Module):
    """A self-attention module that recalibrates the residual of a block.

    A subclass lives in a file of its own in this package, named as the SAM is called, and implements `gate`. The
    constructor takes `channels` first; every other argument has a default.

    What others must know of a SAM, it says of itself:

    Attributes:
        recurrent: its state passes from one connected block to the next, so there is one module per stage, and no
            form with a module per block (Full-SA).
        reads_mean_only: its gate depends on the map through the mean over space alone, so that `gate` gives the same
            mask for that mean, as a map of 1x1.
    """

    recurrent: ClassVar[bool] = False
    reads_mean_only: ClassVar[bool] = False

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = channels

    def gate(self, x_NCHW: Tensor, state: State = None) -> tuple[Tensor, State]:
        """Returns the mask, broadcastable to `x_NCHW`, and the state for the stage's next connected block."""
        raise NotImplementedError(f"{type(self).__name__} has to implement gate")

    def narrow(self, conv: Pointwise) -> nn.Module | None:
        """For inference: the gate, worked out from the narrow map `y` where the residual is `conv(y)`, conv pointwise.

        A SAM that `reads_mean_only` is given the convolution of y's mean, which is the mean of y's convolution; it
        may do better by taking the convolution into its first layer (see `composed`).

        Args:
            conv: anything with `weight` (C, K, 1, 1) and `bias` (C,) or None, batch normalisation folded in.

        Returns:
            A module that maps y (N, K, H, W) and the state to the mask and the next state, as `gate` does for the
            residual, or None: there is no way but `gate`. The mask may also be one by group of channels, (N, G, 1, H,
            W). The module holds `conv` itself, and shares the SAM's other parameters.
        """
        return _GateOfMean(self, conv) if self.reads_mean_only else None

    def merge(
        self, residual_NCHW: Tensor, shortcut_NCHW: Tensor, state: State = None, weight: Tensor | None = None
    ) -> tuple[Tensor, State]:
        """Recalibrates, adds, activates: `relu(shortcut + gate * residual)`.

        Args:
            residual_NCHW: the block's output after its last batch normalisation.
            shortcut_NCHW: identity or projection, of the same shape.
            state: see `State`; None at the first connected block of a stage.
            weight: scalar in [0, 1], the soft connection of DARTS and RARTS:
                `shortcut + (weight * gate + 1 - weight) * residual`, and the same share of the state's advance. None is
                a hard connection, and so is 1; 0 is none.
        """
        gate, state = self._connected(residual_NCHW, state, weight)
        return gated_add(shortcut_NCHW, gate, residual_NCHW), state

    def forward(
        self, residual_NCHW: Tensor, shortcut_NCHW: Tensor | None, state: State = None, weight: Tensor | None = None
    ) -> tuple[Tensor, State]:
        """The same as `merge`; without a shortcut the recalibrated residual alone, neither added nor activated."""
        if shortcut_NCHW is not None:
            return self.merge(residual_NCHW, shortcut_NCHW, state, weight)
        gate, state = self._connected(residual_NCHW, state, weight)
        return gate.to(residual_NCHW.dtype) * residual_NCHW, state

    def _connected(self, residual_NCHW: Tensor, state: State, weight: Tensor | None) -> tuple[Tensor, State]:
        """`gate`, mixed by a soft connection with what a block without one has: a gate of 1 and the state as it was."""
        gate, advanced = self.gate(residual_NCHW, state)
        if weight is None:
            return gate, advanced
        return weight * gate + (1 - weight), _between(state, advanced, weight)


def _between(before: State, after: State, weight: Tensor) -> State:
    """`weight * after + (1 - weight) * before`; None before stands for zeros."""
    if after is None:
        return None
    if before is None:
        return weight * after[0], weight * after[1]
    return weight * after[0] + (1 - weight) * before[0], weight * after[1] + (1 - weight) * before[1]


class _GateOfMean(nn.Module):
    """The gate of a SAM that reads only the mean, of the map before a pointwise convolution."""

    def __init__(self, sam: Attention, conv: Pointwise | None) -> None:
        super().__init__()
        self.sam, self.conv = sam, conv

    def forward(self, y_NKHW: Tensor, state: State = None) -> tuple[Tensor, State]:
        mean = y_NKHW.mean((2, 3), keepdim=True)
        if self.conv is not None:
            mean = F.conv2d(mean, self.conv.weight, self.conv.bias)
        return self.sam.gate(mean, state)


def reading_narrow_mean(sam: Attention, **layers: nn.Module) -> nn.Module:
    """The narrow gate of a SAM that reads only the mean, once `layers` take the place of its own of those names."""
    twin = copy.copy(sam)
    for kept in ("_modules", "_parameters", "_buffers"):
        twin.__dict__[kept] = dict(sam.__dict__[kept])
    for name, layer in layers.items():
        setattr(twin, name, layer)
    return _GateOfMean(twin, None)


def composed(linear: Any, conv: Any) -> nn.Linear:
    """`linear(conv(x))` of a linear layer and a pointwise convolution, as one layer; multiplied in float64."""
    weight, bias = linear.weight.double(), linear.bias.double()
    kernel = conv.weight.flatten(1)
    out = nn.Linear(kernel.shape[1], linear.out_features, device=kernel.device, dtype=kernel.dtype)
    offset = bias if conv.bias is None else bias + weight @ conv.bias.double()
    out.weight = nn.Parameter((weight @ kernel.double()).to(kernel.dtype), requires_grad=False)
    out.bias = nn.Parameter(offset.to(kernel.dtype), requires_grad=False)
    return out


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

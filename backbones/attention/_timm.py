"""Attention layers of timm as SAMs: `timm:eca`, `timm:cbam`, ... (timm is imported only here)."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from backbones.attention.base import Attention, State
from backbones.compat import guard_torchvision
from backbones.errors import UserInputError


class TimmAttention(Attention):
    """A layer of `timm.layers` that maps (N, C, H, W) to the same shape; it returns x, not a gate.

    Args:
        channels: channels C of the map.
        layer: timm's name, as `timm.layers.create_attn` takes it.
        **layer_args: handed to timm's layer.
    """

    def __init__(self, channels: int, layer: str, **layer_args: Any) -> None:
        super().__init__(channels)
        guard_torchvision()  # which timm imports
        try:
            from timm.layers import get_attn
        except ImportError as error:
            raise UserInputError(f"attention 'timm:{layer}' needs timm: pip install timm") from error
        try:
            self.layer = get_attn(layer)(channels, **layer_args)
        except (AssertionError, TypeError) as error:
            raise UserInputError(f"attention 'timm:{layer}': timm cannot build it ({error})") from error

    def merge(
        self, residual_NCHW: Tensor, shortcut_NCHW: Tensor, state: State = None, weight: Tensor | None = None
    ) -> tuple[Tensor, State]:
        """`relu(shortcut + layer(residual))`, soft: `shortcut + weight * layer(residual) + (1 - weight) * residual`."""
        gated = self.layer(residual_NCHW)
        if gated.shape != residual_NCHW.shape:
            raise UserInputError(
                f"attention 'timm:{type(self.layer).__name__}' maps {tuple(residual_NCHW.shape)} to "
                f"{tuple(gated.shape)}; a connection needs a layer that keeps the shape"
            )
        if weight is not None:
            gated = weight * gated + (1 - weight) * residual_NCHW
        return (shortcut_NCHW + gated).relu_(), state

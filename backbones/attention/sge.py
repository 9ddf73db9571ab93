"""Spatial Group-wise Enhance (Li et al., 2019)."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from backbones.attention.base import Attention, Pointwise, State, gated_add
from backbones.errors import UserInputError

_EPS = 1e-5


class SGE(Attention):
    """Each group of channels is masked by its similarity to the group's own mean, standardised over space.

    The standard deviation is the unbiased one (N - 1), as in the authors' code; the paper writes the biased one.
    On a 1x1 map, where it is undefined, the standardised similarity is 0: the mask is `sigmoid(bias)`.

    Args:
        channels: channels C of the map, a multiple of `groups`.
        groups: G; 64 on ImageNet, 4 on CIFAR.
    """

    def __init__(self, channels: int, groups: int = 64) -> None:
        super().__init__(channels)
        if groups < 1 or channels % groups:
            raise UserInputError(f"sge: groups={groups} does not divide the {channels} channels")
        self.groups = groups
        self.weight = nn.Parameter(torch.zeros(groups))
        self.bias = nn.Parameter(torch.ones(groups))

    def _mask(self, x_NCHW: Tensor) -> Tensor:
        """Mask (N, G, 1, H, W)."""
        x_NGcHW = x_NCHW.unflatten(1, (self.groups, -1))
        similarity_NGHW = (x_NGcHW * x_NGcHW.mean((3, 4), keepdim=True)).sum(2)
        centred = similarity_NGHW - similarity_NGHW.mean((2, 3), keepdim=True)
        positions = centred.shape[2] * centred.shape[3]
        variance = centred.square().sum((2, 3), keepdim=True) / max(positions - 1, 1)
        std = variance.masked_fill(variance == 0, 1).sqrt()  # the root of 0 would have no gradient
        scaled = centred / (std + _EPS) * self.weight[:, None, None] + self.bias[:, None, None]
        return scaled.sigmoid()[:, :, None]

    def gate(self, x_NCHW: Tensor, state: State = None) -> tuple[Tensor, State]:
        """Mask (N, C, H, W); the state is handed through."""
        per_group = self.channels // self.groups
        return self._mask(x_NCHW).expand(-1, -1, per_group, -1, -1).flatten(1, 2), state

    def narrow(self, conv: Pointwise) -> nn.Module:
        """See `Attention.narrow`; the mask is one by group."""
        return _NarrowSGE(self, conv)

    def merge(
        self, residual_NCHW: Tensor, shortcut_NCHW: Tensor, state: State = None, weight: Tensor | None = None
    ) -> tuple[Tensor, State]:
        """As `Attention.merge`; works on views by group, so that the mask is never copied to all channels."""
        mask_NG1HW = self._mask(residual_NCHW)
        if weight is not None:
            mask_NG1HW = weight * mask_NG1HW + (1 - weight)
        split = (self.groups, -1)
        out = gated_add(shortcut_NCHW.unflatten(1, split), mask_NG1HW, residual_NCHW.unflatten(1, split))
        return out.flatten(1, 2), state


class _NarrowSGE(nn.Module):
    """The mask (N, G, 1, H, W), without the wide map.

    With `x = W y + b` and `m` its mean, a group's similarity at a position is `sum_c m_c x_c`. Less its mean over
    space, that is `(sum_c m_c W_c) (y - mean(y))`: a product of matrices per image.
    """

    def __init__(self, sam: SGE, conv: Any) -> None:
        super().__init__()
        self.sam, self.conv = sam, conv

    def forward(self, y_NKHW: Tensor, state: State = None) -> tuple[Tensor, State]:
        batch, _, height, width = y_NKHW.shape
        mask_NPG = self._mask(y_NKHW.permute(0, 2, 3, 1).flatten(1, 2), y_NKHW.mean((2, 3))[:, None])
        return mask_NPG.view(batch, height, width, 1, -1).permute(0, 4, 3, 1, 2), state

    def _mask(self, y_NPK: Tensor, mean_N1K: Tensor) -> Tensor:
        """Mask (N, H * W, G)."""
        batch, positions, _ = y_NPK.shape
        groups, weight, bias = self.sam.groups, self.sam.weight, self.sam.bias
        if positions == 1:  # as the SAM itself: what is standardised is 0, not its rounding error
            return bias.sigmoid().repeat(batch, 1, 1)
        kernel = self.conv.weight.flatten(1)
        wide_GNc = F.linear(mean_N1K[:, 0], kernel, self.conv.bias).view(batch, groups, -1).transpose(0, 1)
        weights_NKG = torch.bmm(wide_GNc, kernel.view(groups, -1, kernel.shape[1])).permute(1, 2, 0)
        centred_NPG = torch.baddbmm(-torch.bmm(mean_N1K, weights_NKG), y_NPK, weights_NKG)
        std_N1G = (centred_NPG.square().sum(1, keepdim=True) / (positions - 1)).sqrt_()
        return centred_NPG.mul_(weight / (std_N1G + _EPS)).add_(bias).sigmoid_()

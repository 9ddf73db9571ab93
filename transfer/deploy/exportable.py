"""Models as `torch.export` and `torch.onnx.export` can take them down, for images of any size."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from transfer.deploy.folding import deploy


def exportable(model: nn.Module) -> nn.Module:
    """Returns the deployed copy of a model, made of torch's own operators, every one of which works at any size."""
    twin = deploy(model, channels_last=False, pack=False)
    for module in list(twin.modules()):
        if "memory_format" in module.__dict__:
            module.__dict__["memory_format"] = torch.contiguous_format
        for name, child in module.named_children():
            if type(child) is nn.AdaptiveAvgPool2d and child.output_size not in (1, (1, 1)):
                setattr(module, name, _MeanOfBins(child.output_size))
    return twin


class _MeanOfBins(nn.Module):
    """`nn.AdaptiveAvgPool2d` as two products of matrices: torch takes its own down for the traced size alone.

    Bin i of k over n places is that of torch: from floor(i n / k) up to ceil((i + 1) n / k).
    """

    def __init__(self, output_size: Any) -> None:
        super().__init__()
        self.bins = (output_size, output_size) if isinstance(output_size, int) else tuple(output_size)

    def forward(self, x_NCHW: Tensor) -> Tensor:
        rows, columns = (_means(x_NCHW, axis, bins) for axis, bins in zip((2, 3), self.bins, strict=True))
        return rows @ x_NCHW @ columns.transpose(0, 1)


def _means(x_NCHW: Tensor, axis: int, bins: int | None) -> Tensor:
    """The matrix (bins, n) whose rows average the places of a bin; None: as many bins as places."""
    count = x_NCHW.shape[axis]
    bins = count if bins is None else bins
    place, index = (torch.arange(n, device=x_NCHW.device) for n in (count, bins))
    first, end = index * count // bins, ((index + 1) * count + bins - 1) // bins
    weights = ((place >= first[:, None]) & (place < end[:, None])).to(x_NCHW.dtype)
    return weights / weights.sum(1, keepdim=True)

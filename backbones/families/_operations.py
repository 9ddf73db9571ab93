"""The operations on the edges of searched cells; all keep the channels, and the size at stride 1."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn


@dataclass(frozen=True)
class Edge:
    """What an edge's operation must fit.

    Attributes:
        channels: that come in and go out.
        reduces: whether it leads from a map of twice the size, so that it has parameters of its own where others have
            none; its stride is then 2, or 1 where the stage dilates instead.
        stride: 1 or 2.
        dilations: of its first convolution and of the second.
        affine: whether normalisation has weights; none in a search.
        bias: whether convolutions have one.
    """

    channels: int
    reduces: bool = False
    stride: int = 1
    dilations: tuple[int, int] = (1, 1)
    affine: bool = True
    bias: bool = False


class Zero(nn.Module):
    """Nothing: zeros of the size that the others put out."""

    def __init__(self, stride: int) -> None:
        super().__init__()
        self.stride = stride

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """Zeros that gradients flow through, so that a cell without operations can be trained too."""
        return x_NCHW[:, :, :: self.stride, :: self.stride] * 0


class FactorizedReduce(nn.Module):
    """Half of the channels from even positions, half from odd ones, by 1x1 convolutions (DARTS).

    Maps of odd sides are padded by a row and a column of zeros.
    """

    def __init__(self, in_channels: int, channels: int, stride: int, affine: bool, bias: bool) -> None:
        super().__init__()
        half = channels // 2
        self.relu, self.stride = nn.ReLU(), stride
        self.conv1 = nn.Conv2d(in_channels, half, 1, stride, bias=bias)
        self.conv2 = nn.Conv2d(in_channels, channels - half, 1, stride, bias=bias)
        self.norm = nn.BatchNorm2d(channels, affine=affine)

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """(N, C, H, W) to (N, channels, ceil(H / stride), ceil(W / stride))."""
        x = self.relu(x_NCHW)
        odd = F.pad(x, (0, 1, 0, 1))[:, :, 1:, 1:] if self.stride == 2 else x
        return self.norm(torch.cat([self.conv1(x), self.conv2(odd)], dim=1))


def relu_conv_norm(in_channels: int, channels: int, kernel: int, edge: Edge) -> nn.Sequential:
    """ReLU, convolution, normalisation; stride and first dilation are those of the edge."""
    spread = edge.dilations[0]
    conv = nn.Conv2d(
        in_channels, channels, kernel, edge.stride, spread * (kernel // 2), dilation=spread, bias=edge.bias
    )
    return nn.Sequential(nn.ReLU(), conv, nn.BatchNorm2d(channels, affine=edge.affine))


def _separable(edge: Edge, kernel: int, dilation: int, stride: int) -> list[nn.Module]:
    """ReLU, depthwise convolution, 1x1 convolution, normalisation."""
    channels, bias = edge.channels, edge.bias
    depthwise = nn.Conv2d(
        channels, channels, kernel, stride, dilation * (kernel // 2), dilation=dilation, groups=channels, bias=bias
    )
    pointwise = nn.Conv2d(channels, channels, 1, bias=bias)
    return [nn.ReLU(), depthwise, pointwise, nn.BatchNorm2d(channels, affine=edge.affine)]


def _twice_separable(edge: Edge, kernel: int) -> nn.Module:
    first, second = edge.dilations
    return nn.Sequential(*_separable(edge, kernel, first, edge.stride), *_separable(edge, kernel, second, 1))


def _dilated(edge: Edge, kernel: int) -> nn.Module:
    return nn.Sequential(*_separable(edge, kernel, 2 * edge.dilations[0], edge.stride))


def _skip(edge: Edge) -> nn.Module:
    if edge.reduces:
        return FactorizedReduce(edge.channels, edge.channels, edge.stride, edge.affine, edge.bias)
    return nn.Identity()


_OPERATIONS: dict[str, Callable[[Edge], nn.Module]] = {
    "none": lambda edge: Zero(edge.stride),
    "skip_connect": _skip,
    "nor_conv_1x1": lambda edge: relu_conv_norm(edge.channels, edge.channels, 1, edge),
    "nor_conv_3x3": lambda edge: relu_conv_norm(edge.channels, edge.channels, 3, edge),
    "avg_pool_3x3": lambda edge: nn.AvgPool2d(3, edge.stride, padding=1, count_include_pad=False),
    "max_pool_3x3": lambda edge: nn.MaxPool2d(3, edge.stride, padding=1),
    "sep_conv_3x3": lambda edge: _twice_separable(edge, 3),
    "sep_conv_5x5": lambda edge: _twice_separable(edge, 5),
    "dil_conv_3x3": lambda edge: _dilated(edge, 3),
    "dil_conv_5x5": lambda edge: _dilated(edge, 5),
}


def operation(name: str, edge: Edge) -> nn.Module:
    """The operation called `name`, one of those of `backbones.genotype.SPACES`."""
    return _OPERATIONS[name](edge)

"""The residual blocks, with torchvision's parameter names, split into residual and shortcut."""

from __future__ import annotations

from torch import Tensor, nn


class _Block(nn.Module):
    """A residual block whose last addition is left to the caller."""

    downsample: nn.Sequential | None

    def residual(self, x_NCHW: Tensor) -> Tensor:
        """The convolutions' output after the last batch normalisation: what attention recalibrates."""
        raise NotImplementedError

    def shortcut(self, x_NCHW: Tensor) -> Tensor:
        """The input itself, or its 1x1 projection."""
        return x_NCHW if self.downsample is None else self.downsample(x_NCHW)

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """The plain block: `relu(shortcut + residual)`."""
        return self.residual(x_NCHW).add_(self.shortcut(x_NCHW)).relu_()


class BasicBlock(_Block):
    """3x3 (stride here), 3x3."""

    expansion = 1

    def __init__(
        self, in_channels: int, width: int, *, stride: int = 1, dilations: tuple[int, int] = (1, 1), bias: bool = False
    ) -> None:
        super().__init__()
        self.conv1 = conv3x3(in_channels, width, stride=stride, dilation=dilations[0], bias=bias)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = conv3x3(width, width, dilation=dilations[1], bias=bias)
        self.bn2 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = projection(in_channels, width, stride, bias)

    def residual(self, x_NCHW: Tensor) -> Tensor:
        x = self.relu(self.bn1(self.conv1(x_NCHW)))
        return self.bn2(self.conv2(x))


class Bottleneck(_Block):
    """1x1, 3x3 (stride here), 1x1 to four times the width."""

    expansion = 4

    def __init__(
        self, in_channels: int, width: int, *, stride: int = 1, dilations: tuple[int, int] = (1, 1), bias: bool = False
    ) -> None:
        super().__init__()
        channels = width * self.expansion
        self.conv1 = nn.Conv2d(in_channels, width, 1, bias=bias)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = conv3x3(width, width, stride=stride, dilation=dilations[0], bias=bias)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, channels, 1, bias=bias)
        self.bn3 = nn.BatchNorm2d(channels)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = projection(in_channels, channels, stride, bias)

    def residual(self, x_NCHW: Tensor) -> Tensor:
        x = self.relu(self.bn1(self.conv1(x_NCHW)))
        x = self.relu(self.bn2(self.conv2(x)))
        return self.bn3(self.conv3(x))


BLOCKS: dict[str, type[BasicBlock] | type[Bottleneck]] = {"basic": BasicBlock, "bottleneck": Bottleneck}


def conv3x3(in_channels: int, channels: int, *, stride: int = 1, dilation: int = 1, bias: bool = False) -> nn.Conv2d:
    """3x3 convolution that keeps the size at stride 1."""
    return nn.Conv2d(in_channels, channels, 3, stride=stride, padding=dilation, dilation=dilation, bias=bias)


def projection(in_channels: int, channels: int, stride: int, bias: bool) -> nn.Sequential | None:
    """The shortcut's 1x1 convolution and batch normalisation, or None where shapes agree already."""
    if stride == 1 and in_channels == channels:
        return None
    return nn.Sequential(nn.Conv2d(in_channels, channels, 1, stride=stride, bias=bias), nn.BatchNorm2d(channels))

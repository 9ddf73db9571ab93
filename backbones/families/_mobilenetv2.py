"""MobileNetV2's blocks and network, with the project's names of parameters."""

from __future__ import annotations

from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from backbones.attention.base import he_init_
from backbones.blocks import Block, Place
from backbones.trunk import Trunk

_DROPOUT = 0.2


class InvertedResidual(Block):
    """1x1 to the expanded channels, depthwise 3x3 (stride here), 1x1 without activation, to what the block puts out.

    The first block expands nothing: `conv1` and `bn1` are None. A shortcut is added where shapes agree.
    """

    places = (Place("conv1", ("bn1", "conv2", "bn2"), "conv3"),)
    downsample = None

    def __init__(
        self,
        in_channels: int,
        channels: int,
        width: int,
        *,
        stride: int = 1,
        dilations: tuple[int, int] = (1, 1),
        bias: bool = False,
        expands: bool = True,
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, width, 1, bias=bias) if expands else None
        self.bn1 = nn.BatchNorm2d(width) if expands else None
        spread = dilations[0]
        self.conv2 = nn.Conv2d(width, width, 3, stride, padding=spread, dilation=spread, groups=width, bias=bias)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, channels, 1, bias=bias)
        self.bn3 = nn.BatchNorm2d(channels)
        self.relu = nn.ReLU6(inplace=True)
        self.adds = stride == 1 and in_channels == channels

    def residual(self, x_NCHW: Tensor) -> Tensor:
        x = x_NCHW
        if self.conv1 is not None and self.bn1 is not None:
            x = self.relu(self.bn1(self.conv1(x)))
        return self.bn3(self.conv3(self.relu(self.bn2(self.conv2(x)))))

    def activate(self, sum_NCHW: Tensor) -> Tensor:
        """Nothing follows the addition."""
        return sum_NCHW

    def _run(self, x_NCHW: Tensor, *_: Any) -> tuple[Tensor, None]:
        x = self.residual(x_NCHW)
        return (x.add_(x_NCHW) if self.adds else x), None


class MobileNetV2(Trunk):
    """MobileNetV2 (Sandler et al., CVPR 2018) at width 1, in five stages of strides 2 to 32.

    Its blocks take no SAMs. The last convolution, to 1280 channels, belongs to the classifier: a network that puts out
    features has none, and the last stage's map has 320 channels.

    Args:
        arch, widths, ...: see `Trunk`. The inner width of the first block is that of the stem.
    """

    family = "mobilenetv2"
    head_prefixes = ("fc.", "last.")

    def _build_stem(self, in_channels: int, stride: int, bias: bool) -> None:
        channels = self.widths.stages[0][0][0]
        self.conv1 = nn.Conv2d(in_channels, channels, 3, stride=min(stride, 2), padding=1, bias=bias)
        self.bn1 = nn.BatchNorm2d(channels)
        self.relu = nn.ReLU6(inplace=True)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1) if stride == 4 else nn.Identity()

    def _block(self, stage: int, block: int, in_channels: int, **options: Any) -> InvertedResidual:
        (width,) = self.widths.stages[stage][block]
        channels = self.arch.block_channels(stage, block)
        return InvertedResidual(in_channels, channels, width, expands=(stage, block) != (0, 0), **options)

    def _build_head(self, num_classes: int) -> None:
        super()._build_head(num_classes)
        nn.init.normal_(self.fc.weight, 0, 0.01)
        nn.init.zeros_(self.fc.bias)

    def _build_last(self) -> int:
        channels = self.arch.pooled_channels
        convolution = nn.Conv2d(self.arch.channels[-1], channels, 1, bias=False)
        he_init_(convolution)
        self.last = nn.Sequential(convolution, nn.BatchNorm2d(channels), nn.ReLU6(inplace=True))
        return channels

    @property
    def stem_modules(self) -> tuple[nn.Module, ...]:
        """What has parameters before the first block."""
        return self.conv1, self.bn1

    def places(self, stage: int, block: int) -> tuple[Place, ...]:
        """As `Trunk.places`; the channels of the first block come from the stem."""
        if (stage, block) == (0, 0):
            return (Place("conv1", ("bn1", "layer1.0.conv2", "layer1.0.bn2"), "layer1.0.conv3"),)
        return super().places(stage, block)

    def stem_map(self, x_NCHW: Tensor) -> Tensor:
        """The stem but for its pooling."""
        return self.relu(self.bn1(self.conv1(x_NCHW)))

    def before_pool(self, x_NCHW: Tensor) -> Tensor:
        """What a classifier pools of the last stage's map: its 1280 channels, where there are any."""
        return self.last(x_NCHW) if hasattr(self, "last") else x_NCHW

    def head(self, x_NCHW: Tensor) -> Tensor:
        """Logits (N, num_classes) of the last stage's map, with dropout in training."""
        x_NC = F.adaptive_avg_pool2d(self.before_pool(x_NCHW), 1).flatten(1)
        return self.fc(F.dropout(x_NC, _DROPOUT, self.training))

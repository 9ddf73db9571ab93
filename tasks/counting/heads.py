"""Density heads: from one feature map of a backbone to a map of people, at the stride of that feature map."""

from __future__ import annotations

from collections.abc import Sequence

from mmengine.model import BaseModule
from mmengine.registry import MODELS
from torch import Tensor, nn

from backbones.errors import UserInputError


class DensityHead(BaseModule):
    """What the heads have in common: which feature map they read, and their raw output.

    The raw output (N, 1, h, w) is in label units, `label_scale` times the people per *pixel*; `CrowdCounter` turns it
    into people per cell, at one place.

    Args:
        in_channels: channels of the feature map.
        in_index: which of the backbone's outputs is read.
    """

    def __init__(self, in_channels: int, in_index: int = -1) -> None:
        super().__init__()
        self.in_channels, self.in_index = in_channels, in_index
        self.layers: nn.Sequential

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Raw density (N, 1, h, w) of the selected feature map (N, in_channels, h, w)."""
        return self.layers(features[self.in_index])


@MODELS.register_module()
class C3Head(DensityHead):
    """The head of C-3-Framework's `Res50`: 1x1 convolution, ReLU, 1x1 convolution, ReLU; weights from N(0, 0.01).

    C-3 enlarges the result by 8 (nearest) and compares it, pixel by pixel, with 100 times the density. For a cell of
    s x s pixels with raw value m, pixel labels 100 d and D = sum of d, the mean of (m - 100 d)^2 over the cell is
    (m - 100 D / s^2)^2 plus the labels' variance inside the cell, which no prediction changes. With people per cell
    p = m s^2 / 100, it is (100 / s^2)^2 (p - D)^2 + constant: `DensityMSELoss` at the head's stride has the same
    gradient, and nothing need be enlarged. At stride 8 the factor 100 / s^2 is 1.5625.

    Args:
        in_channels: channels of the feature map, 1024 in C-3.
        in_index: which of the backbone's outputs is read.
        channels: hidden channels.
    """

    def __init__(self, in_channels: int, in_index: int = -1, channels: int = 128) -> None:
        super().__init__(in_channels, in_index)
        hidden, final = nn.Conv2d(in_channels, channels, 1), nn.Conv2d(channels, 1, 1)
        for layer in (hidden, final):
            _small_init(layer)
        self.layers = nn.Sequential(hidden, nn.ReLU(inplace=True), final, nn.ReLU(inplace=True))


@MODELS.register_module()
class DilatedHead(DensityHead):
    """CSRNet's decoder (Li et al., CVPR 2018): dilated 3x3 convolutions with ReLU, then a linear 1x1 convolution.

    Without a last ReLU no cell can get stuck at zero. Hidden layers start by He's rule, as they must where no layer
    of the head is pre-trained; the last one starts from N(0, 0.01).

    Args:
        in_channels: channels of the feature map.
        in_index: which of the backbone's outputs is read.
        channels: widths of the 3x3 layers; CSRNet's by default.
        dilation: their dilation.
    """

    def __init__(
        self,
        in_channels: int,
        in_index: int = -1,
        channels: Sequence[int] = (512, 512, 512, 256, 128, 64),
        dilation: int = 2,
    ) -> None:
        super().__init__(in_channels, in_index)
        if not channels:
            raise UserInputError("DilatedHead: channels is empty, expected the width of at least one layer")
        layers: list[nn.Module] = []
        for before, width in zip((in_channels, *channels), channels, strict=False):
            conv = nn.Conv2d(before, width, 3, padding=dilation, dilation=dilation)
            nn.init.kaiming_normal_(conv.weight, nonlinearity="relu")
            nn.init.zeros_(conv.bias)
            layers += [conv, nn.ReLU(inplace=True)]
        final = nn.Conv2d(channels[-1], 1, 1)
        _small_init(final)
        self.layers = nn.Sequential(*layers, final)


def _small_init(layer: nn.Conv2d) -> None:
    nn.init.normal_(layer.weight, std=0.01)
    nn.init.zeros_(layer.bias)

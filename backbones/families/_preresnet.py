"""Pre-activation ResNets with SAMs at the same places as ResNets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from backbones.attention import Attention, State
from backbones.blocks import Block, Place, conv3x3
from backbones.errors import UserInputError
from backbones.resnet import AttentionResNet


class PreBottleneck(Block):
    """Normalisation and ReLU before each convolution: 1x1, 3x3 (stride here), 1x1 to four times the full width.

    The shortcut is the raw input, or a 1x1 convolution of it, and nothing follows the addition.

    Args:
        last: the network's last block, which ends in the normalisation and ReLU behind all residual blocks. They are
            in it, so that whoever runs a network block by block gets the maps that the network puts out.
    """

    places = (Place("conv1", ("bn2",), "conv2"), Place("conv2", ("bn3",), "conv3"))

    def __init__(
        self,
        in_channels: int,
        channels: int,
        inner: Sequence[int],
        *,
        stride: int = 1,
        dilations: tuple[int, int] = (1, 1),
        bias: bool = False,
        last: bool = False,
    ) -> None:
        super().__init__()
        first, second = inner
        self.bn1 = nn.BatchNorm2d(in_channels)
        self.conv1 = nn.Conv2d(in_channels, first, 1, bias=bias)
        self.bn2 = nn.BatchNorm2d(first)
        self.conv2 = conv3x3(first, second, stride=stride, dilation=dilations[0], bias=bias)
        self.bn3 = nn.BatchNorm2d(second)
        self.conv3 = nn.Conv2d(second, channels, 1, bias=bias)
        self.relu = nn.ReLU(inplace=True)
        plain = stride == 1 and in_channels == channels
        self.downsample = None if plain else nn.Conv2d(in_channels, channels, 1, stride=stride, bias=bias)
        self.norm = nn.BatchNorm2d(channels) if last else None

    def residual(self, x_NCHW: Tensor) -> Tensor:
        x = self.conv1(self.relu(self.bn1(x_NCHW)))
        x = self.conv2(self.relu(self.bn2(x)))
        return self.conv3(self.relu(self.bn3(x)))

    @property
    def norm_after(self) -> nn.Module | None:
        """The network's last normalisation, in its last block."""
        return self.norm

    def activate(self, sum_NCHW: Tensor) -> Tensor:
        """What follows the addition: nothing, or the network's last normalisation and ReLU."""
        return sum_NCHW if self.norm is None else self.relu(self.norm(sum_NCHW))

    def connect(
        self, sam: Attention, residual_NCHW: Tensor, shortcut_NCHW: Tensor, state: State, weight: Tensor | None = None
    ) -> tuple[Tensor, State]:
        """`shortcut + gate * residual`, without the ReLU of `Attention.merge`."""
        residual_NCHW, state = sam(residual_NCHW, None, state, weight)
        return self.activate(residual_NCHW + shortcut_NCHW), state


class PreResNet(AttentionResNet):
    """A pre-activation ResNet (He et al., ECCV 2016), plain or with SAMs in some of its blocks.

    Feature maps of stages before the last are sums that nothing has normalised, those of the last stage are normalised
    and activated. SAMs recalibrate the residual before the addition, as in ResNets.

    Args:
        arch, attention, scheme, ...: see `AttentionResNet`.

    Raises:
        UserInputError: names what does not fit; a SAM that has no gate (timm's layers).
    """

    family = "preresnet"
    norm_follows_conv = False

    def _build_stem(self, in_channels: int, stride: int, bias: bool) -> None:
        self.conv1 = conv3x3(in_channels, self.arch.stem_channels, stride=min(stride, 2), bias=bias)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1) if stride == 4 else nn.Identity()

    def _block(self, stage: int, block: int, in_channels: int, **options: Any) -> PreBottleneck:
        last = (stage + 1, block + 1) == (len(self.arch.depths), self.arch.depths[-1])
        inner = self.widths.stages[stage][block]
        return PreBottleneck(in_channels, self.arch.channels[stage], inner, last=last, **options)

    def _build_attention(self, name: str, args: dict[str, Any]) -> nn.ModuleDict:
        modules = super()._build_attention(name, args)
        for sam in modules.modules():
            if isinstance(sam, Attention) and type(sam).gate is Attention.gate:
                raise UserInputError(
                    f"attention {name!r} has no gate of its own, which {self.arch.name} needs, expected one that has"
                )
        return modules

    @property
    def stem_modules(self) -> tuple[nn.Module, ...]:
        """What has parameters before the first block."""
        return (self.conv1,)

    def stem_map(self, x_NCHW: Tensor) -> Tensor:
        """The first convolution; the first block begins with normalisation."""
        return self.conv1(x_NCHW)

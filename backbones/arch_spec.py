"""What tells one network from another within a family, and what a family is. Sizes only, no torch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from backbones.trunk import Trunk

Inner = tuple[tuple[tuple[int, ...], ...], ...]
"""Channels by stage, by block, and by place inside the block."""


@dataclass(frozen=True)
class ArchSpec:
    """What tells one network from another.

    `stem` says for which images it was made, `imagenet` or `cifar`; for ResNets: a 7x7 convolution of stride 2 and 3x3
    max pooling of stride 2, or a 3x3 convolution of stride 1. `widths` are the channels inside the blocks, one a stage;
    a block puts out `expansion` times as many. `family` is a name of `backbones.arch.FAMILIES`.
    """

    name: str
    block: str
    depths: tuple[int, ...]
    stem: str
    widths: tuple[int, ...]
    family: str = "resnet"

    @property
    def space(self) -> str | None:
        """The cell space of the network's genotype, a name of `backbones.genotype.SPACES`; None: it has no cells."""
        return None

    @property
    def expansion(self) -> int:
        """4 for bottleneck blocks, 1 for others."""
        return 4 if self.block == "bottleneck" else 1

    @property
    def channels(self) -> tuple[int, ...]:
        """Channels at the end of each stage: what attention sees."""
        return tuple(width * self.expansion for width in self.widths)

    @property
    def pooled_channels(self) -> int:
        """Channels that a classifier pools."""
        return self.channels[-1]

    @property
    def stem_channels(self) -> int:
        """Channels after the stem."""
        return self.widths[0]

    @property
    def stem_stride(self) -> int:
        """The stem's own stride: 4 (ImageNet) or 1 (CIFAR)."""
        return 4 if self.stem == "imagenet" else 1

    @property
    def inner(self) -> Inner:
        """Channels between the convolutions of each block at full width: two places in a bottleneck, one in others."""
        places = 2 if self.block == "bottleneck" else 1
        return tuple(((width,) * places,) * depth for width, depth in zip(self.widths, self.depths, strict=True))

    def block_channels(self, stage: int, block: int) -> int:
        """Channels that a block puts out (0-based stage and block)."""
        return self.channels[stage]


@dataclass(frozen=True)
class Family:
    """Networks of one make: a file of `backbones.families` is a family, called by the file's name.

    Attributes:
        architectures: its networks.
        network: imports and returns their class, whose constructor takes the name of an architecture first.
        sams: whether its blocks take self-attention modules, and so a connection scheme.
    """

    architectures: tuple[ArchSpec, ...]
    network: Callable[[], type[Trunk]]
    sams: bool

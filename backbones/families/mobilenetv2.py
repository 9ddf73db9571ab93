"""MobileNetV2 (Sandler et al., CVPR 2018), as torchvision has it; its blocks take no self-attention modules."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from backbones.arch_spec import ArchSpec, Family, Inner

if TYPE_CHECKING:
    from backbones.families._mobilenetv2 import MobileNetV2

_BLOCKS = ((16,), (24,) * 2, (32,) * 3, (64,) * 4 + (96,) * 3, (160,) * 3 + (320,))
"""Channels that each block puts out (Table 2), by stage; a stage is what has one stride."""

_STEM = 32
_EXPANSION = 6


@dataclass(frozen=True)
class MobileSpec(ArchSpec):
    """A MobileNetV2; `widths` are the channels at the end of each stage."""

    @property
    def pooled_channels(self) -> int:
        """Channels that a classifier pools: those of a last convolution."""
        return 1280

    @property
    def stem_channels(self) -> int:
        """Channels after the stem at full width."""
        return _STEM

    @property
    def stem_stride(self) -> int:
        """The stem's own stride."""
        return 2

    @property
    def inner(self) -> Inner:
        """Channels of each block's depthwise convolution: the stem's in the first block, which expands nothing."""
        before = [channels for stage in _BLOCKS for channels in stage]
        expanded = iter((_STEM, *(_EXPANSION * channels for channels in before[:-1])))
        return tuple(tuple((next(expanded),) for _ in stage) for stage in _BLOCKS)

    def block_channels(self, stage: int, block: int) -> int:
        """Channels that a block puts out (0-based stage and block)."""
        return _BLOCKS[stage][block]


def _network() -> type[MobileNetV2]:
    from backbones.families._mobilenetv2 import MobileNetV2

    return MobileNetV2


_SPEC = MobileSpec(
    name="mobilenetv2",
    block="inverted",
    depths=tuple(map(len, _BLOCKS)),
    stem="imagenet",
    widths=tuple(stage[-1] for stage in _BLOCKS),
    family="mobilenetv2",
)

FAMILY = Family((_SPEC,), _network, sams=False)

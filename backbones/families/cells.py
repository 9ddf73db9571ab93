"""Networks of searched cells: NAS-Bench-201's (Dong and Yang, ICLR 2020) and DARTS's (Liu et al., ICLR 2019)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from backbones.arch_spec import ArchSpec, Family
from backbones.genotype import SPACES

if TYPE_CHECKING:
    from backbones.families._cells import CellNetwork

DARTS_V2 = (
    "|sep_conv_3x3~0|sep_conv_3x3~1|+|sep_conv_3x3~0|sep_conv_3x3~1|+|skip_connect~0|sep_conv_3x3~1|+"
    "|skip_connect~0|dil_conv_3x3~2|/"
    "|max_pool_3x3~0|max_pool_3x3~1|+|max_pool_3x3~1|skip_connect~2|+|max_pool_3x3~0|skip_connect~2|+"
    "|max_pool_3x3~1|skip_connect~2|"
)
"""The cells that DARTS found on CIFAR-10 (second order), as its authors published them."""

RESNET = "|nor_conv_3x3~0|+|none~0|nor_conv_3x3~1|+|skip_connect~0|none~1|none~2|"


@dataclass(frozen=True)
class CellSpec(ArchSpec):
    """A network of cells in three stages; `block` is the cell space, `widths` the channels of a cell's nodes.

    Stages after the first begin with what halves the map: a residual block (nats) or a reduction cell (darts).
    """

    @property
    def space(self) -> str:
        """The cell space that its genotype is of."""
        return self.block

    @property
    def genotype(self) -> str:
        """The cells of a network that is built without a genotype: a residual block of two convolutions, DARTS_V2."""
        return {"nats": RESNET, "darts": DARTS_V2}[self.space]

    @property
    def expansion(self) -> int:
        """How many nodes a cell concatenates: all of darts, nats puts out its last."""
        return SPACES[self.space].nodes if self.space == "darts" else 1

    @property
    def stem_channels(self) -> int:
        """Channels after the stem: three times a node's in darts."""
        return self.widths[0] * (3 if self.space == "darts" else 1)


def _nats(name: str, channels: int, cells: int) -> CellSpec:
    """`cells` a stage, and a residual block before those of the second and third."""
    return CellSpec(name, "nats", (cells, cells + 1, cells + 1), "cifar", _doubled(channels), "cells")


def _darts(name: str, channels: int, cells: int) -> CellSpec:
    """`cells` in all; those at a third and two thirds reduce."""
    first, second = cells // 3, 2 * cells // 3
    return CellSpec(name, "darts", (first, second - first, cells - second), "cifar", _doubled(channels), "cells")


def _doubled(channels: int) -> tuple[int, ...]:
    return channels, 2 * channels, 4 * channels


def _network() -> type[CellNetwork]:
    from backbones.families._cells import CellNetwork

    return CellNetwork


FAMILY = Family(
    (
        _nats("cells_nats", 16, 5),
        _nats("cells_nats_c8n1", 8, 1),
        _darts("cells_darts", 36, 20),
        _darts("cells_darts_c16n8", 16, 8),
    ),
    _network,
    sams=False,
)

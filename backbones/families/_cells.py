"""Searched cells as blocks, and the networks of them."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import torch
from torch import Tensor, nn

from backbones.blocks import Block
from backbones.errors import UserInputError
from backbones.families._operations import Edge, FactorizedReduce, operation, relu_conv_norm
from backbones.genotype import Cell, Genotype
from backbones.trunk import Trunk
from backbones.widths import WidthPlan

if TYPE_CHECKING:
    from backbones.families.cells import CellSpec

Make = Callable[[int, int, str, Edge], nn.Module]
"""Makes the operation of an edge: its node and source, the genotype's operation, and what it must fit."""


class Maps(NamedTuple):
    """What a cell with two inputs hands on: the map of the cell before it, and its own."""

    before: Tensor
    own: Tensor


class _Graph(Block):
    """A cell: each node sums what its edges' operations make of earlier maps."""

    places = ()
    downsample = None

    def _build_edges(self, cell: Cell, make: Make, edge: Callable[[int], Edge]) -> None:
        self.sources = [[source for _, source in node] for node in cell]
        self.edges = nn.ModuleList(
            make(number, source, name, edge(source)) for number, node in enumerate(cell) for name, source in node
        )

    def _nodes(self, maps: list[Tensor]) -> list[Tensor]:
        """The maps that come in and those of the nodes."""
        edges = iter(self.edges)
        for sources in self.sources:
            maps.append(functools.reduce(torch.add, [next(edges)(maps[source]) for source in sources]))
        return maps


class NatsCell(_Graph):
    """NAS-Bench-201's cell: puts out its last node.

    Args:
        cell: of the genotype.
        channels: of all its maps.
        make: see `Make`.
        edge: what its operations must fit.
        last: the network's last block, which ends in the network's last normalisation and ReLU.
    """

    def __init__(self, cell: Cell, make: Make, edge: Edge, *, last: bool) -> None:
        super().__init__()
        self._build_edges(cell, make, lambda source: edge)
        self.norm = nn.BatchNorm2d(edge.channels) if last else None

    @property
    def norm_after(self) -> nn.Module | None:
        """The network's last normalisation, in its last block."""
        return self.norm

    def _run(self, x_NCHW: Tensor, *_: Any) -> tuple[Tensor, None]:
        x = self._nodes([x_NCHW])[-1]
        return (x if self.norm is None else self.norm(x).relu_()), None


class NatsReduction(Block):
    """NAS-Bench-201's residual block between stages: two 3x3 convolutions, and pooling with a 1x1 convolution."""

    places = ()

    def __init__(self, in_channels: int, edge: Edge) -> None:
        super().__init__()
        channels, (_, dilation) = edge.channels, edge.dilations
        self.conv1 = relu_conv_norm(in_channels, channels, 3, edge)
        second = replace(edge, stride=1, dilations=(dilation, dilation))
        self.conv2 = relu_conv_norm(channels, channels, 3, second)
        halve = nn.AvgPool2d(2, ceil_mode=True) if edge.stride == 2 else nn.Identity()
        self.downsample = nn.Sequential(halve, nn.Conv2d(in_channels, channels, 1, bias=edge.bias))

    def residual(self, x_NCHW: Tensor) -> Tensor:
        return self.conv2(self.conv1(x_NCHW))

    def activate(self, sum_NCHW: Tensor) -> Tensor:
        """Nothing follows the addition."""
        return sum_NCHW


class DartsCell(_Graph):
    """DARTS's cell: takes the maps of the two cells before it, and puts out its nodes side by side.

    Args:
        cell: of the genotype.
        before: channels of the two maps that come in, the earlier first.
        make: see `Make`.
        edge: what its operations must fit; `reduces` makes it a reduction cell.
        halves: stride that the earlier map is brought to the size of the later by; None where it has it.
        last: the network's last block, which hands on its own map alone.
    """

    def __init__(
        self, cell: Cell, before: tuple[int, int], make: Make, edge: Edge, *, halves: int | None, last: bool
    ) -> None:
        super().__init__()
        first, second = before
        plain = replace(edge, stride=1, dilations=(1, 1))
        self.before: nn.Module
        if halves is None:
            self.before = relu_conv_norm(first, edge.channels, 1, plain)
        else:
            self.before = FactorizedReduce(first, edge.channels, halves, edge.affine, edge.bias)
        self.own = relu_conv_norm(second, edge.channels, 1, plain)
        inside = replace(edge, reduces=False, stride=1, dilations=(edge.dilations[1],) * 2)
        self._build_edges(cell, make, lambda source: edge if source < 2 else inside)
        self.last = last

    def _run(self, maps: Any, *_: Any) -> tuple[Any, None]:
        before, own = maps if isinstance(maps, tuple) else (maps, maps)
        nodes = self._nodes([self.before(before), self.own(own)])[2:]
        x = torch.cat(nodes, dim=1)
        return (x if self.last else Maps(own, x)), None


class CellNetwork(Trunk):
    """A network of searched cells, in three stages.

    Its blocks take no SAMs, and have no widths to choose. Of darts each hands on two maps (`Maps`), its own being the
    feature map.

    Args:
        arch: see `Trunk`.
        genotype: of the architecture's cell space, as such or as text; default the architecture's own.
        widths, num_classes, ...: see `Trunk`.

    Raises:
        UserInputError: names what does not fit.
    """

    family = "cells"
    norm_follows_conv = False
    affine = True
    arch: CellSpec

    def __init__(
        self,
        arch: str,
        *,
        genotype: Genotype | str | None = None,
        widths: WidthPlan | str | None = None,
        num_classes: int | None = None,
        in_channels: int = 3,
        out_indices: Sequence[int] | None = None,
        output_stride: int | None = None,
        strides: Sequence[int] | None = None,
        stem_stride: int | None = None,
        conv_bias: bool = False,
        frozen_stages: int = -1,
        norm_eval: bool = False,
        with_cp: bool = False,
        channels_last: bool = False,
    ) -> None:
        self.genotype = _read_genotype(cast("CellSpec", self._own_arch(arch)), genotype)
        super().__init__(
            arch,
            widths=widths,
            num_classes=num_classes,
            in_channels=in_channels,
            out_indices=out_indices,
            output_stride=output_stride,
            strides=strides,
            stem_stride=stem_stride,
            conv_bias=conv_bias,
            frozen_stages=frozen_stages,
            norm_eval=norm_eval,
            with_cp=with_cp,
            channels_last=channels_last,
        )

    def _read_widths(self, widths: WidthPlan | str | None) -> WidthPlan:
        full, read = WidthPlan.full(self.arch.inner), super()._read_widths(widths)
        if read != full:
            raise UserInputError(f"widths: the cells of {self.arch.name} have none to choose; leave them out")
        return full

    def _build_stem(self, in_channels: int, stride: int, bias: bool) -> None:
        channels = self.arch.stem_channels
        self.conv1 = nn.Conv2d(in_channels, channels, 3, stride=min(stride, 2), padding=1, bias=bias)
        self.bn1 = nn.BatchNorm2d(channels)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1) if stride == 4 else nn.Identity()

    def _block(self, stage: int, block: int, in_channels: int, **options: Any) -> Block:
        stride, reduces = options["stride"], block == 0 and stage > 0
        if stride != 1 and not reduces:
            raise UserInputError(
                f"strides: the first stage of {self.arch.name} has nothing that halves a map, expected 1 there; give "
                "stem_stride"
            )
        edge = Edge(
            self.arch.widths[stage], reduces, stride, options["dilations"], affine=self.affine, bias=options["bias"]
        )
        if self.arch.space == "darts":
            return self._darts_cell(stage, block, edge)
        if reduces:
            return NatsReduction(in_channels, edge)
        last = (stage + 1, block + 1) == (len(self.arch.depths), self.arch.depths[-1])
        return NatsCell(self._cell(0), functools.partial(self._operation, 0), edge, last=last)

    def _darts_cell(self, stage: int, block: int, edge: Edge) -> DartsCell:
        kind = int(edge.reduces)
        before, number = [self.arch.stem_channels] * 2, sum(self.arch.depths[:stage]) + block
        for channels, depth in zip(self.arch.channels, self.arch.depths, strict=True):
            before += [channels] * depth
        if edge.reduces:
            self._halved = edge.stride
        return DartsCell(
            self._cell(kind),
            (before[number], before[number + 1]),
            functools.partial(self._operation, kind),
            edge,
            halves=self._halved if stage and block == 1 else None,
            last=(stage + 1, block + 1) == (self.stages_built, self.arch.depths[stage]),
        )

    def _cell(self, kind: int) -> Cell:
        """The edges of a kind of cell."""
        return self.genotype.cells[kind]

    def _operation(self, kind: int, node: int, source: int, name: str, edge: Edge) -> nn.Module:
        """What runs on an edge of a kind of cell."""
        return operation(name, edge)

    @property
    def stem_modules(self) -> tuple[nn.Module, ...]:
        """What has parameters before the first block."""
        return self.conv1, self.bn1

    def stem_map(self, x_NCHW: Tensor) -> Tensor:
        """The stem but for its pooling; cells begin with ReLU where they need one."""
        return self.bn1(self.conv1(x_NCHW))

    @staticmethod
    def feature(x: Any) -> Tensor:
        """The last cell's own map."""
        return x.own if isinstance(x, Maps) else x


def _read_genotype(arch: CellSpec, genotype: Genotype | str | None) -> Genotype:
    wanted = arch.genotype if genotype is None else genotype
    return Genotype.parse(wanted, arch.space) if isinstance(wanted, str) else wanted.check(arch.space)

"""The supernet of all cells of a space: every edge runs all operations and mixes what they put out."""

from __future__ import annotations

import re
from typing import Any

import torch
from torch import Tensor, nn

from backbones.errors import UserInputError
from backbones.families._cells import CellNetwork
from backbones.families._operations import Edge, operation
from backbones.genotype import Cell, CellSpace, Genotype, Node, get_space

_ON_EDGE = re.compile(r"layer(\d+)\.(\d+)\.edges\.(\d+)\.")


class _Soft:
    """The weights of all edges during one forward; the mixed operations of a network share it."""

    rows: Tensor | None = None


class MixedOperation(nn.Module):
    """The sum of all operations of an edge by weight (DARTS, Eq. 2; the thesis, Eq. 3.6).

    Args:
        names: of the operations.
        edge: what they must fit.
        soft: where their weights stand during a forward.
        row: which of its rows.
    """

    def __init__(self, names: tuple[str, ...], edge: Edge, soft: _Soft, row: int) -> None:
        super().__init__()
        self.operations = nn.ModuleList(operation(name, edge) for name in names)
        self.soft, self.row = soft, row

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """(N, C, H, W) to the same, or half the height and width."""
        assert self.soft.rows is not None
        weights = self.soft.rows[self.row].to(x_NCHW.dtype).unbind()
        parts = [weight * run(x_NCHW) for weight, run in zip(weights, self.operations, strict=True)]
        return torch.stack(parts).sum(0)


class CellSupernet(CellNetwork):
    """A network of searched cells with all operations on all edges; cells of a kind share their weights.

    What a one-hot weight chooses runs exactly as in the network of the genotype: normalisation has no weights of its
    own, and unlike DARTS's there is none behind pooling, as there is none in the network either.

    Args:
        arch: an architecture of the family `cells`.
        num_classes: put out logits (N, num_classes) instead of features.
        in_channels: channels of the image.
        stem_stride: 1, 2 or 4; default the architecture's own.
        channels_last: memory format of weights and maps.

    Attributes:
        space: whose cells.
        edges: edges of all kinds of cells.
    """

    supernet = True
    affine = False

    def __init__(
        self,
        arch: str,
        *,
        num_classes: int | None = None,
        in_channels: int = 3,
        stem_stride: int | None = None,
        channels_last: bool = False,
    ) -> None:
        self._soft = _Soft()
        super().__init__(
            arch,
            num_classes=num_classes,
            in_channels=in_channels,
            stem_stride=stem_stride,
            channels_last=channels_last,
        )

    @property
    def space(self) -> CellSpace:
        """The cell space."""
        return get_space(self.arch.space)

    @property
    def edges(self) -> int:
        """Rows of weights: edges of a cell, of all kinds of cells."""
        return len(self.space.cells) * len(self.space.edges)

    def initial_alphas(self, generator: torch.Generator | None = None) -> Tensor:
        """Architecture parameters (edges, operations) from N(0, 0.001^2), as DARTS begins; weights are their softmax.

        Those of a cell stand in the order of `CellSpace.edges`, one kind of cell after the other.
        """
        return 1e-3 * torch.randn(self.edges, len(self.space.operations), generator=generator)

    def forward(self, x_NCHW: Tensor, weights: Tensor | None = None) -> Any:
        """As `Trunk.forward`, each edge mixed by its row of weights.

        Args:
            x_NCHW: normalised images.
            weights: (edges, operations), see `initial_alphas`; default all alike.

        Raises:
            UserInputError: weights of another shape.
        """
        shape = (self.edges, len(self.space.operations))
        if weights is None:
            weights = x_NCHW.new_full(shape, 1 / shape[1])
        _check_shape(weights, shape)
        self._soft.rows = weights
        try:
            return super().forward(x_NCHW)
        finally:
            self._soft.rows = None

    def extract(self, genotype: Genotype | str) -> CellNetwork:
        """The network of a genotype with a copy of the weights that it has here; its normalisation is affine."""
        network = CellNetwork(
            self.arch.name,
            genotype=genotype,
            num_classes=self.num_classes,
            in_channels=self.conv1.in_channels,
            stem_stride=_stem_stride(self),
            channels_last=self.memory_format is torch.channels_last,
        )
        here, state = self.state_dict(), network.state_dict()
        for key in state:
            if (own := self._own_key(key, network)) in here:
                state[key] = here[own]
        network.to(self.conv1.weight).load_state_dict(state)
        return network.train(self.training)

    def _own_key(self, key: str, network: CellNetwork) -> str:
        """By what key the supernet holds a tensor of the network."""
        found = _ON_EDGE.match(key)
        if found is None:
            return key
        stage, block, number = map(int, found.groups())
        kind = int(stage > 1 and block == 0) if len(self.space.cells) > 1 else 0
        cell = network.genotype.cells[kind]
        node, (name, source) = [(n, edge) for n, edges in enumerate(cell) for edge in edges][number]
        place, choice = self.space.edges.index((node, source)), self.space.operations.index(name)
        return f"layer{stage}.{block}.edges.{place}.operations.{choice}.{key[found.end() :]}"

    def _cell(self, kind: int) -> Cell:
        """All edges, each of no operation yet."""
        nodes = range(self.space.nodes)
        return tuple(tuple(("", source) for node, source in self.space.edges if node == number) for number in nodes)

    def _operation(self, kind: int, node: int, source: int, name: str, edge: Edge) -> nn.Module:
        """All operations of the edge."""
        row = kind * len(self.space.edges) + self.space.edges.index((node, source))
        return MixedOperation(self.space.operations, edge, self._soft, row)


def _stem_stride(net: CellNetwork) -> int:
    halved = net.conv1.stride[0]
    return int(halved) * (1 if isinstance(net.maxpool, nn.Identity) else 2)


def discretise(weights: Tensor, space: str) -> Genotype:
    """The genotype that the weights of all edges say.

    In `nats` each edge is the operation of the greatest weight, `none` too (NAS-Bench-201). In `darts` each node keeps
    the two edges whose greatest weight of an operation is greatest, and `none` is never chosen (DARTS, section 2.4).

    Args:
        weights: (edges, operations), see `CellSupernet.initial_alphas`; alphas say the same in `nats`.
        space: a name of `backbones.genotype.SPACES`.

    Raises:
        UserInputError: weights of another shape, or not finite.
    """
    found = get_space(space)
    _check_shape(weights, (len(found.cells) * len(found.edges), len(found.operations)))
    if not bool(weights.isfinite().all()):
        raise UserInputError("weights of edges: some are not finite, expected numbers")
    tables = weights.detach().cpu().chunk(len(found.cells))
    return Genotype(space, tuple(_chosen(table, found) for table in tables))


def _chosen(weights: Tensor, space: CellSpace) -> Cell:
    first = 0 if space.kept is None else 1
    assert space.operations[0] == "none"
    strength, choice = weights[:, first:].max(dim=1)
    rows = list(zip(space.edges, strength.tolist(), choice.tolist(), strict=True))
    return tuple(
        _strongest([(w, space.operations[first + c], source) for (node, source), w, c in rows if node == number], space)
        for number in range(space.nodes)
    )


def _strongest(edges: list[tuple[float, str, int]], space: CellSpace) -> Node:
    """The edges that a node keeps, of (weight, operation, source); the earlier of two that are equal."""
    ranked = sorted(edges, key=lambda edge: -edge[0])[: space.kept]
    return tuple((name, source) for _, name, source in ranked)


def _check_shape(weights: Tensor, shape: tuple[int, int]) -> None:
    if tuple(weights.shape) != shape:
        raise UserInputError(
            f"weights of edges: shape {tuple(weights.shape)}, expected {shape}: a row for each edge, a column for each "
            "operation"
        )

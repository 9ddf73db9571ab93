"""Genotypes: which operation runs on each edge of a searched cell. No torch."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from backbones.errors import UserInputError, did_you_mean

Node = tuple[tuple[str, int], ...]
"""Operation and source of each edge that comes into a node."""

Cell = tuple[Node, ...]

_EDGE = re.compile(r"(\w+)~(\d{1,2})", re.ASCII)


@dataclass(frozen=True)
class CellSpace:
    """The cells that a search chooses from.

    A cell is a directed acyclic graph: its maps are numbered, first those that come into it, then those of its nodes,
    each the sum of what the operations of its edges make of earlier maps.

    Attributes:
        name: a name of `SPACES`.
        cells: the kinds of cells that a network of it has.
        inputs: maps that come into a cell.
        nodes: nodes that sum.
        kept: edges that come into a node of a genotype; None: one from each earlier map.
        operations: what an edge may be.
    """

    name: str
    cells: tuple[str, ...]
    inputs: int
    nodes: int
    kept: int | None
    operations: tuple[str, ...]

    @property
    def edges(self) -> tuple[tuple[int, int], ...]:
        """Node (0-based) and source of every edge that a cell may have."""
        return tuple((node, source) for node in range(self.nodes) for source in range(self.inputs + node))


SPACES = {
    space.name: space
    for space in (
        CellSpace(
            "nats", ("cell",), 1, 3, None, ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
        ),
        CellSpace(
            "darts",
            ("normal", "reduction"),
            2,
            4,
            2,
            (
                "none",
                "max_pool_3x3",
                "avg_pool_3x3",
                "skip_connect",
                "sep_conv_3x3",
                "sep_conv_5x5",
                "dil_conv_3x3",
                "dil_conv_5x5",
            ),
        ),
    )
}
"""`nats`: NAS-Bench-201 (Dong and Yang, ICLR 2020), NATS-Bench's topologies. `darts`: DARTS (Liu et al., ICLR 2019)."""


@dataclass(frozen=True)
class Genotype:
    """The cells of a network, as operation and source of each edge, by cell, by node.

    Hashable and comparable; edges of a node are held in the order of their sources. Written as NATS-Bench writes them,
    `|operation~source|...|` for a node, with a plus between nodes, and a slash between the normal and the reduction
    cell where a space has both:

    >>> genotype = Genotype.parse("|skip_connect~0|+|none~0|nor_conv_3x3~1|+|skip_connect~0|none~1|avg_pool_3x3~2|")
    >>> genotype.space, genotype.cells[0][1], genotype.share("skip_connect")
    ('nats', (('none', 0), ('nor_conv_3x3', 1)), 0.3333333333333333)
    >>> Genotype.parse(str(genotype)) == genotype
    True

    Attributes:
        space: a name of `SPACES`; `nats` has one cell, of 3 nodes with an edge from every earlier map; `darts` has two,
            of 4 nodes with two edges each, from maps numbered as they come: 0 and 1 are the cells before.
        cells: see above.

    Raises:
        UserInputError: names the node, what is wrong, what was expected.
    """

    space: str
    cells: tuple[Cell, ...]

    def __post_init__(self) -> None:
        space = get_space(self.space)
        if len(self.cells) != len(space.cells):
            raise UserInputError(
                f"genotype: {len(self.cells)} cells, expected {len(space.cells)} in the space {space.name}: "
                f"{' and '.join(space.cells)}"
            )
        cells = tuple(_checked(cell, kind, space) for cell, kind in zip(self.cells, space.cells, strict=True))
        object.__setattr__(self, "cells", cells)

    @classmethod
    def parse(cls, text: str, space: str | None = None) -> Genotype:
        """Reads `"|skip_connect~0|+|none~0|nor_conv_3x3~1|+|..."`.

        Args:
            text: see above.
            space: which it must be of; default the one that has as many cells.

        Raises:
            UserInputError: other text, or a genotype of another space.
        """
        try:
            cells = tuple(_read_cell(cell) for cell in text.strip().split("/"))
            known = [one.name for one in SPACES.values() if len(one.cells) == len(cells)]
            return cls(space or (known[0] if known else "darts"), cells)
        except UserInputError as error:
            raise UserInputError(f"{str(error).replace('genotype', f'genotype {_short(text)!r}', 1)}") from None

    def check(self, space: str) -> Genotype:
        """Returns itself if it is of the space `space`; else raises `UserInputError`."""
        if self.space != space:
            raise UserInputError(
                f"genotype {self.short!r}: it is one of the space {self.space}, expected one of {space}"
            )
        return self

    def share(self, operation: str) -> float:
        """Share of edges that are this operation, 0 to 1, over all cells."""
        found = [name for cell in self.cells for node in cell for name, _ in node]
        return found.count(operation) / len(found)

    @property
    def short(self) -> str:
        """As text, its end left out where it is long."""
        return _short(str(self))

    def __str__(self) -> str:
        return "/".join("+".join(map(_written, cell)) for cell in self.cells)


def get_space(name: str) -> CellSpace:
    """Returns the space called `name`; raises `UserInputError` with the close matches."""
    if name not in SPACES:
        raise UserInputError(
            f"cell space {name!r} is unknown, expected one of {', '.join(SPACES)}.{did_you_mean(name, SPACES)}"
        )
    return SPACES[name]


def _checked(cell: Sequence[Sequence[tuple[str, int]]], kind: str, space: CellSpace) -> Cell:
    if len(cell) != space.nodes:
        raise UserInputError(f"genotype: the {_named(kind)} has {len(cell)} nodes, expected {space.nodes}")
    return tuple(_checked_node(node, f"node {n} of the {_named(kind)}", n, space) for n, node in enumerate(cell, 1))


def _checked_node(node: Sequence[tuple[str, int]], where: str, number: int, space: CellSpace) -> Node:
    for operation, _ in node:
        if operation not in space.operations:
            raise UserInputError(
                f"genotype: {where} has {operation!r}, expected one of {', '.join(space.operations)}."
                f"{did_you_mean(operation, space.operations)}"
            )
    earlier = list(range(space.inputs + number - 1))
    sources = [source for _, source in node]
    whole = sorted(sources) == earlier if space.kept is None else len(sources) == space.kept
    if not whole or len(set(sources)) < len(sources) or not set(sources) <= set(earlier):
        wanted = f"one from each of {_listed(earlier)}"
        if space.kept is not None:
            wanted = f"{space.kept} from different ones of {_listed(earlier)}"
        raise UserInputError(f"genotype: {where} has edges from {_listed(sources)}, expected {wanted}")
    return tuple(sorted(((operation, int(source)) for operation, source in node), key=lambda edge: edge[1]))


def _read_cell(text: str) -> Cell:
    return tuple(_read_node(node) for node in text.split("+"))


def _read_node(text: str) -> Node:
    node = text.strip()
    edges = [_EDGE.fullmatch(edge) for edge in node[1:-1].split("|")]
    found = tuple((edge[1], int(edge[2])) for edge in edges if edge is not None)
    if len(node) < 2 or (node[0], node[-1]) != ("|", "|") or len(found) < len(edges):
        raise UserInputError(f"genotype: {_short(node)!r} is no node, expected edges such as |none~0|skip_connect~1|")
    return found


def _written(node: Node) -> str:
    return f"|{'|'.join(f'{operation}~{source}' for operation, source in node)}|"


def _named(kind: str) -> str:
    return kind if kind == "cell" else f"{kind} cell"


def _listed(numbers: Sequence[int]) -> str:
    return ", ".join(map(str, numbers)) or "nothing"


def _short(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:57]}..."

"""A prefix trie over connection schemes: schemes that agree on their first k blocks share the first k nodes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from backbones.errors import UserInputError
from backbones.scheme import ConnectionScheme


@dataclass(slots=True, eq=False)
class Node:
    """All schemes that begin with the same bits.

    Attributes:
        position: number of bits that these schemes share; also the index, in network order, of the block that runs
            here, whose convolutions the two children have in common. At a leaf: the number of blocks.
        plain: the schemes whose next bit is 0, or None.
        connected: the schemes whose next bit is 1, or None.
        leaf: index of the scheme that ends here, None at inner nodes.
        statistics: what calibration keeps here (see `_calibration`).
    """

    position: int
    plain: Node | None = None
    connected: Node | None = None
    leaf: int | None = None
    statistics: dict[Any, Any] = field(default_factory=dict)

    @property
    def children(self) -> Iterator[tuple[int, Node]]:
        """The existing children, each behind its bit."""
        if self.plain is not None:
            yield 0, self.plain
        if self.connected is not None:
            yield 1, self.connected


class SchemeTrie:
    """The trie of some connection schemes of one network.

    >>> depths = (2, 2)
    >>> trie = SchemeTrie([ConnectionScheme.parse(text, depths) for text in ("1011", "1010", "0011", "1011")])
    >>> [str(scheme) for scheme in trie.schemes], trie.inner, trie.alone
    (['00.11', '10.10', '10.11'], 7, 12)

    Args:
        schemes: in any order, with or without repetitions.

    Attributes:
        schemes: the distinct ones, sorted; a leaf's `leaf` is an index into it.
        root: the node of the empty prefix.
        inner: number of inner nodes, which is how many blocks run for a batch of images.
        alone: how many blocks would run if each scheme were evaluated alone.

    Raises:
        UserInputError: no scheme, or schemes of different networks.
    """

    def __init__(self, schemes: Iterable[ConnectionScheme]) -> None:
        self.schemes: tuple[ConnectionScheme, ...] = tuple(sorted(set(schemes), key=lambda scheme: scheme.bits))
        if not self.schemes:
            raise UserInputError("no connection scheme to evaluate, expected at least one")
        for scheme in self.schemes:
            scheme.check_depths(self.schemes[0].depths)
        self.root = self._build([scheme.bits for scheme in self.schemes])
        self.alone = len(self.schemes) * self.schemes[0].total

    def _build(self, sorted_bits: Sequence[tuple[int, ...]]) -> Node:
        """Adds one scheme after the other; `path` holds the nodes of the one before."""
        path, before = [Node(0)], sorted_bits[0]
        self.inner = 1
        for index, bits in enumerate(sorted_bits):
            shared = next((i for i, (a, b) in enumerate(zip(bits, before, strict=True)) if a != b), len(path) - 1)
            path = path[: shared + 1]
            self.inner += len(bits) - len(path)
            for bit in bits[shared:]:
                child = Node(len(path))
                setattr(path[-1], "connected" if bit else "plain", child)
                path.append(child)
            path[-1].leaf, before = index, bits
        return path[0]

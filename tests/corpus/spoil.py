"""Tables with one thing wrong: every key with a value of another type, without its value, and with an extreme one."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

WORDS = "\x1b[31mred\n" * 3


class Spoilt(NamedTuple):
    """A changed table, what was changed (`key`, dotted) and how (`kind`: `type`, `missing`, `extreme`)."""

    key: str
    kind: str
    table: Any

    @property
    def name(self) -> str:
        """Of a case."""
        return f"{self.key} {self.kind}"


def spoilt(table: Any, *, inside_lists: bool = True) -> Iterator[Spoilt]:
    """Yields `table` with one thing wrong, for every key that it has, those below others too."""
    for path in _paths(table, (), inside_lists):
        value = _at(table, path)
        key = ".".join(map(str, path))
        yield Spoilt(key, "type", _set(table, path, _other_type(value)))
        yield Spoilt(key, "missing", _without(table, path))
        for extreme in _extremes(value):
            yield Spoilt(key, f"extreme {str(extreme)[:12]!r}", _set(table, path, extreme))


def _paths(node: Any, above: tuple[Any, ...], inside_lists: bool) -> Iterator[tuple[Any, ...]]:
    items = node.items() if isinstance(node, Mapping) else ()
    if isinstance(node, list) and inside_lists and node and isinstance(node[0], (Mapping, list)):
        items = [(0, node[0])]
    for key, value in items:
        path = (*above, key)
        yield path
        yield from _paths(value, path, inside_lists)


def _at(table: Any, path: tuple[Any, ...]) -> Any:
    for key in path:
        table = table[key]
    return table


def _set(table: Any, path: tuple[Any, ...], value: Any) -> Any:
    changed = copy.deepcopy(table)
    _at(changed, path[:-1])[path[-1]] = value
    return changed


def _without(table: Any, path: tuple[Any, ...]) -> Any:
    changed = copy.deepcopy(table)
    del _at(changed, path[:-1])[path[-1]]
    return changed


def _other_type(value: Any) -> Any:
    return 7 if isinstance(value, (str, Mapping, list, bool)) else "words"


def _extremes(value: Any) -> list[Any]:
    if isinstance(value, bool):
        return []
    if isinstance(value, (int, float)):
        return [-1, float("nan"), 10**30]
    if isinstance(value, str):
        return ["", WORDS]
    return []

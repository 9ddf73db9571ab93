"""Cells of tables: what a row of a measurement says under a header (see `transfer.measure.tables.Columns`)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from transfer.measure import markdown

NONE = "–"

Row = dict[str, Any]
Cell = Callable[[Row], str]


def number(key: str, digits: int = 2, flags: str = ",") -> Cell:
    """A number, with thousands separators unless other format flags are given, such as `"+"`; a dash for None.

    >>> number("ms", 1)({"ms": 1234.56}), number("ms")({})
    ('1,234.6', '–')
    """
    return lambda row: markdown.number(row.get(key), f"{flags}.{digits}f", none=NONE)


def interval(key: str, digits: int = 2, flags: str = ",") -> Cell:
    """Both ends of an interval, as `number` has them; a dash for None."""
    return lambda row: markdown.interval(row.get(key), f"{flags}.{digits}f", none=NONE)


def text(key: str) -> Cell:
    """A value as it is; a dash for None."""
    return lambda row: NONE if row.get(key) is None else str(row[key])


def significant(key: str, digits: int = 3) -> Cell:
    """A number with so many significant digits; a dash for None."""
    return lambda row: markdown.number(row.get(key), f".{digits}g", none=NONE)


def as_markdown(rows: Sequence[Row], columns: dict[str, Cell]) -> str:
    """The table that the terminal shows, in Markdown, without the columns that say nothing."""
    cells = [[cell(row) for cell in columns.values()] for row in rows]
    told = [place for place in range(len(columns)) if any(line[place] != NONE for line in cells)]
    head = list(columns)
    return markdown.table([head[place] for place in told], [[line[place] for place in told] for line in cells])

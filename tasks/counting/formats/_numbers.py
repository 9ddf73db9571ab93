"""Text files of nothing but numbers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from backbones.errors import UserInputError
from backbones.schema import is_number
from tasks.counting.formats._base import read_text


def read_numbers(path: Path, columns: Sequence[str], hint: str = "") -> np.ndarray:
    """Reads a text file of numbers, (N, len(columns)) float64.

    Numbers are parted by a comma, a semicolon or blanks; a heading with the columns' names may come first.

    Args:
        path: the file.
        columns: what the numbers of a line are.
        hint: ends the message.

    Raises:
        UserInputError: a line with anything else than a finite number for each column.
    """
    rows: list[tuple[int, tuple[Any, ...]]] = []
    for index, (number, cells) in enumerate(lines_of(path)):
        if index or not _is_heading(cells, columns):
            rows.append((number, tuple(_number(cell) for cell in cells)))
    check_rows(rows, path, "line", columns, hint)
    return np.array([row for _, row in rows], np.float64).reshape(-1, len(columns))


def lines_of(path: Path) -> list[tuple[int, list[str]]]:
    """The number and the cells of each line that is neither empty nor a comment."""
    parted = (line.replace(",", " ").replace(";", " ").split() for line in read_text(path).splitlines())
    return [(number, cells) for number, cells in enumerate(parted, start=1) if cells and not cells[0].startswith("#")]


def _is_heading(cells: list[str], columns: Sequence[str]) -> bool:
    return [cell.strip("\"'").lower() for cell in cells] == list(columns)


def _number(cell: str) -> float | str:
    try:
        return float(cell)
    except ValueError:
        return cell


def check_rows(
    rows: Sequence[tuple[int, tuple[Any, ...]]],
    path: Path,
    unit: str,
    columns: Sequence[str] = ("x", "y"),
    hint: str = "",
) -> None:
    """Raises `UserInputError` at the first of the numbered rows that is not a finite number for each column."""
    for number, row in rows:
        if len(row) != len(columns) or not all(map(is_number, row)):
            found = ", ".join(str(v) for v in row)[:60]
            raise UserInputError(
                f"{path}: {unit} {number} is {found!r}, expected {len(columns)} finite numbers: {', '.join(columns)}"
                + hint
            )

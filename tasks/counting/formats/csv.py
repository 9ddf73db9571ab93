"""Tables of points: one file for all images, with a column of their names, or one for each image, called like it."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from backbones.errors import UserInputError
from tasks.counting.formats._base import Annotated, Format, Mark, box, point, read_text
from tasks.counting.formats.jhu import is_row as is_jhu
from tasks.counting.formats.via import is_via_heading
from transfer.engine.images import EXTENSIONS

IMAGE = (
    "image",
    "filename",
    "file",
    "imagename",
    "imagefile",
    "imagepath",
    "img",
    "imgname",
    "imgpath",
    "path",
    "name",
)
LABEL = ("label", "class", "classname", "category")
CORNERS = ("xmin", "ymin", "xmax", "ymax")


def _names(axis: str) -> tuple[str, ...]:
    return tuple(name.format(axis) for name in ("{}", "c{}", "{}center", "{}centre", "center{}", "{}coord", "point{}"))


@dataclass(frozen=True)
class _Columns:
    """Places of the columns: `place` is x and y, or a box's corners."""

    place: tuple[int, ...]
    image: int | None = None
    label: int | None = None
    notes: tuple[str, ...] = ()


class CSV(Format):
    """Columns x and y or xmin, ymin, xmax and ymax, perhaps those of the image and of a label, as a heading names them.

    Without a heading: x and y, an image's name in front or behind, and numbers that count the rows before all that.
    Cells are parted by semicolons, tabs, commas or blanks. A row with an image and neither x nor y is an image without
    points.
    """

    title = "a table with columns x and y (and image, where it is one file for all images)"
    endings = (".csv", ".txt", ".tsv")

    def sniff(self, path: Path) -> bool:
        text = read_text(path)
        rows = _rows(text)
        if not rows:
            return True  # no points
        first = rows[0][1]
        if is_via_heading(text.split("\n", 1)[0]) or (path.suffix.lower() == ".txt" and is_jhu(first)):
            return False
        return sum(map(_is_number, first)) > 1 or _find_place([_plain(cell) for cell in first]) != ()

    def read(self, path: Path) -> Iterator[Annotated]:
        rows = _rows(read_text(path))
        headed = bool(rows) and not any(map(_is_number, rows[0][1]))
        if not rows:
            yield Annotated(path.stem, [])
            return
        columns = _named(rows[0][1], path) if headed else _guessed([cells for _, cells in rows], path)
        _check_widths(rows, path)
        yield from _grouped(rows[headed:], columns, path)


def _rows(text: str) -> list[tuple[int, list[str]]]:
    """The number and the cells of each line that is neither empty nor a comment."""
    lines = [(n, line) for n, line in enumerate(text.splitlines(), start=1) if line.strip() and line.lstrip()[0] != "#"]
    if not lines:
        return []
    first = lines[0][1]
    mark = next((mark for mark in ";\t," if mark in first), None)
    if mark is None:
        return [(n, line.split()) for n, line in lines]
    parted = csv.reader((line for _, line in lines), delimiter=mark, skipinitialspace=True)
    rows = [(n, [cell.strip() for cell in cells]) for (n, _), cells in zip(lines, parted, strict=True)]
    # Where a comma parts nothing it is a decimal comma, as spreadsheets of half of Europe write it.
    return rows if mark == "," else [(n, [_pointed(cell) for cell in cells]) for n, cells in rows]


def _pointed(cell: str) -> str:
    changed = cell.replace(",", ".")
    return changed if _is_number(changed) else cell


def _is_number(cell: str) -> bool:
    try:
        return not math.isnan(float(cell))
    except ValueError:
        return False


def _plain(cell: str) -> str:
    return "".join(letter for letter in cell.lower() if letter.isalnum())


def _find_place(names: list[str]) -> tuple[int, ...]:
    """Where x and y are, or a box's corners; empty where they are not."""
    if all(name in names for name in CORNERS):
        return tuple(names.index(name) for name in CORNERS)
    pairs = zip(_names("x"), _names("y"), strict=True)
    return next(((names.index(x), names.index(y)) for x, y in pairs if x in names and y in names), ())


def _named(heading: Sequence[str], path: Path) -> _Columns:
    names = [_plain(cell) for cell in heading]
    place = _find_place(names)
    if not place:
        raise UserInputError(f"{path}: its columns are {', '.join(heading)}, expected x and y, or {', '.join(CORNERS)}")
    if len(place) == 2 and ({"w", "h"} <= set(names) or {"width", "height"} <= set(names)):
        raise UserInputError(
            f"{path}: has a width and a height beside x and y, which may be a box's corner or its centre: name the "
            f"columns {', '.join(CORNERS)}, or remove the width and the height"
        )
    image, label = (next((names.index(n) for n in known if n in names), None) for known in (IMAGE, LABEL))
    others = [cell for i, cell in enumerate(heading) if cell and i not in (*place, image, label)]
    return _Columns(place, image, label, (f"columns left out: {', '.join(others)}",) if others else ())


def _guessed(rows: Sequence[Sequence[str]], path: Path) -> _Columns:
    """The columns of a table without a heading, by what is in them."""
    first = rows[0]
    names = [i for i, cell in enumerate(first) if cell.lower().endswith(EXTENSIONS)]
    rest = [i for i in range(len(first)) if i not in names]
    counts = len(rest) == 3 and len(rows) > 1 and _counts([row[rest[0]] for row in rows if len(row) > rest[0]])
    place = tuple(rest[1:] if counts else rest)
    if len(place) != 2 or len(names) > 1:
        raise UserInputError(
            f"{path}: begins with {', '.join(first)[:60]!r}, expected x and y, with the image's name where the file is "
            "for several images: add a heading that names the columns, such as image,x,y"
        )
    notes = ("a first column that counts the rows left out",) if counts else ()
    return _Columns(place, names[0] if names else None, notes=notes)


def _counts(cells: Sequence[str]) -> bool:
    return any(list(cells) == [str(n) for n in range(start, start + len(cells))] for start in (0, 1))


def _check_widths(rows: Sequence[tuple[int, list[str]]], path: Path) -> None:
    width = len(rows[0][1])
    for n, cells in rows:
        if len(cells) != width:
            raise UserInputError(f"{path}: line {n} has {len(cells)} cells, expected {width} as in the first one")


def _grouped(rows: Sequence[tuple[int, list[str]]], columns: _Columns, path: Path) -> Iterator[Annotated]:
    images: dict[str, list[Mark]] = {} if columns.image is not None else {path.stem: []}
    for n, cells in rows:
        name = path.stem if columns.image is None else cells[columns.image]
        if not name:
            raise UserInputError(f"{path}: line {n} names no image, expected one")
        marks = images.setdefault(name, [])
        place = [cells[i] for i in columns.place]
        if columns.image is not None and all(cell.lower() in ("", "nan") for cell in place):
            continue  # an image without points
        label = "" if columns.label is None else cells[columns.label]
        marks.append((point if len(place) == 2 else box)(place, f"{path}: line {n}", label))
    for name, marks in images.items():
        yield Annotated(name, marks, notes=columns.notes)

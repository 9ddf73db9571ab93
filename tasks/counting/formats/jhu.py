"""JHU-CROWD++: a text file for each image, with six numbers a line."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tasks.counting.formats._base import PointsFile
from tasks.counting.formats._numbers import lines_of, read_numbers

COLUMNS = ("x", "y", "w", "h", "occlusion", "blur")


class JHU(PointsFile):
    """The first two of six columns; a head's width, height, occlusion and blur are checked and left."""

    title = "JHU-CROWD++'s six columns x y w h occlusion blur"
    endings = (".txt",)

    def sniff(self, path: Path) -> bool:
        rows = lines_of(path)
        return bool(rows) and is_row(rows[0][1])

    def points(self, path: Path) -> np.ndarray:
        return read_numbers(path, COLUMNS)[:, :2]


def is_row(cells: list[str]) -> bool:
    """Whether a line's cells are six numbers."""
    try:
        return len([float(cell) for cell in cells]) == len(COLUMNS)
    except ValueError:
        return False

"""Reads points, one for each person's head, from `.mat`, `.json`, `.csv`, `.txt` and `.npy` files.

Points are continuous pixel coordinates of the upright image: x to the right, y down, (0, 0) the outer corner of the
first pixel, (0.5, 0.5) its centre. MATLAB's first pixel has its centre at (1, 1), so 0.5 is taken off what a `.mat`
holds. All other files are read as they are.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from backbones.errors import UserInputError
from tasks.counting.formats import labelme
from tasks.counting.formats._base import read_json
from tasks.counting.formats._numbers import read_numbers
from tasks.counting.formats.json_list import JsonList
from tasks.counting.formats.mat import Mat
from tasks.counting.formats.npy import Npy

Reader = Callable[[Path], np.ndarray]


def read_points(path: str | Path, reader: Reader | None = None) -> np.ndarray:
    """Returns the points (N, 2) float64, x and y in continuous pixel coordinates; N may be 0.

    Args:
        path: the file.
        reader: of its format, instead of the one of `READERS` that its ending names.

    Raises:
        UserInputError: the file is missing, truncated, of another format, or holds coordinates that are no numbers.
    """
    path = Path(path)
    reader = reader or READERS.get(path.suffix.lower())
    if reader is None:
        raise UserInputError(f"{path}: cannot hold points, expected a file that ends in {', '.join(READERS)}")
    if not path.is_file():
        raise UserInputError(f"{path}: no such file, expected the points of an image")
    try:
        return reader(path)
    except UserInputError:
        raise
    except OSError as error:
        raise UserInputError(f"{path}: cannot be read: {error.strerror or error}") from error


def _read_json(path: Path) -> np.ndarray:
    """A list of points, or labelme's shapes of type point."""
    content = read_json(path)
    if not labelme.is_labelme(content):
        return JsonList().points(path)
    try:
        marks = labelme.marks(content, path)
    except UserInputError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError):
        raise UserInputError(f"{path}: is not {labelme.LabelMe.title}, expected shapes with points") from None
    for number, mark in enumerate(marks, start=1):
        if mark.width is not None:
            raise UserInputError(
                f"{path}: shape {number} is a rectangle, expected points: `ean import-points` turns boxes into points"
            )
    return np.array([(mark.x, mark.y) for mark in marks], np.float64).reshape(-1, 2)


def _read_text(path: Path) -> np.ndarray:
    return read_numbers(path, ("x", "y"), hint="; `ean import-points` reads tables with other columns")


READERS: dict[str, Reader] = {
    ".mat": Mat().points,
    ".json": _read_json,
    ".csv": _read_text,
    ".txt": _read_text,
    ".npy": Npy().points,
}

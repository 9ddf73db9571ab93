"""A NumPy array for each image."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from backbones.errors import UserInputError
from tasks.counting.formats._base import PointsFile, as_points


class Npy(PointsFile):
    """An array (N, 2)."""

    title = "a NumPy array (N, 2) for each image"
    endings = (".npy",)

    def sniff(self, path: Path) -> bool:
        return True

    def points(self, path: Path) -> np.ndarray:
        try:
            content = np.load(path, allow_pickle=False)
        except (ValueError, EOFError) as error:
            raise UserInputError(f"{path}: is truncated or no array of numbers, expected shape (N, 2)") from error
        if not isinstance(content, np.ndarray):
            raise UserInputError(f"{path}: holds several arrays, expected one of shape (N, 2)")
        return as_points(content, path)

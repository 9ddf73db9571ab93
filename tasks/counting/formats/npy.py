"""A NumPy array for each image."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from backbones.errors import UserInputError
from backbones.reading import reading
from tasks.counting.formats._base import PointsFile, as_points


class Npy(PointsFile):
    """An array (N, 2)."""

    title = "a NumPy array (N, 2) for each image"
    endings = (".npy",)

    def sniff(self, path: Path) -> bool:
        return True

    def points(self, path: Path) -> np.ndarray:
        with reading(path, "an array of numbers, of shape (N, 2), not truncated", "export it again"):
            content = np.load(path, mmap_mode="r", allow_pickle=False)  # a header may claim any size
        if not isinstance(content, np.ndarray):
            raise UserInputError(f"{path}: holds several arrays, expected one of shape (N, 2): save each by itself")
        return as_points(np.array(content), path)

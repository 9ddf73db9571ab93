"""Small data sets on disk, in the layouts that users have them in."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import scipy.io
from PIL import Image


def save_mat(path: Path, points_xy: np.ndarray, number: int | None = None) -> None:
    """Writes continuous pixel coordinates as ShanghaiTech's `.mat` files hold them: MATLAB's, in a nested struct."""
    info = np.empty((1, 1), dtype=[("location", object), ("number", object)])
    info["location"][0, 0] = np.asarray(points_xy, float).reshape(-1, 2) + 0.5
    info["number"][0, 0] = len(points_xy) if number is None else number
    cell = np.empty((1, 1), dtype=object)
    cell[0, 0] = info
    scipy.io.savemat(path, {"image_info": cell})


def save_picture(path: Path, shape_hw: tuple[int, int] = (40, 60), seed: int = 0) -> None:
    """A picture of smooth noise."""
    noise = np.random.default_rng(seed).integers(0, 256, (5, 5, 3), np.uint8)
    Image.fromarray(noise).resize(shape_hw[::-1], Image.Resampling.BILINEAR).save(path)


def heads(number: int, shape_hw: tuple[int, int], seed: int) -> np.ndarray:
    """Random heads inside a picture, (number, 2)."""
    return np.random.default_rng(seed).random((number, 2)) * (shape_hw[1] - 1, shape_hw[0] - 1)


def make_shanghaitech(root: Path, *, release: str = "2016", train: int = 10, test: int = 4, shape_hw=(40, 60)) -> Path:
    """A part in the layout of a release; picture n of a split has n heads, the first one none."""
    for split, number in (("train", train), ("test", test)):
        images = root / f"{split}_data" / "images"
        points = root / f"{split}_data" / {"2016": "ground-truth", "2015": "ground_truth"}[release]
        images.mkdir(parents=True)
        points.mkdir()
        for n in range(1, number + 1):
            save_picture(images / f"IMG_{n}.jpg", shape_hw, seed=n)
            save_mat(points / f"GT_IMG_{n}.mat", heads(n - 1, shape_hw, seed=n))
    return root

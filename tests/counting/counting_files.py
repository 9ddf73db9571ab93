"""Small data sets on disk, in the layouts that users have them in."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import scipy.io
from PIL import Image

from tasks.counting.layouts import Layout
from tasks.counting.layouts.shanghaitech import ShanghaiTech, image_info

SHAPE = (40, 60)


def save_mat(path: Path, points_xy: np.ndarray, number: int | None = None) -> None:
    """Writes points as ShanghaiTech's `.mat` files hold them; `number` is what the file says that they are."""
    info = image_info(np.asarray(points_xy, float).reshape(-1, 2))
    if number is not None:
        info[0, 0]["number"][0, 0] = np.array([[number]])
    scipy.io.savemat(path, {"image_info": info})


def noise(shape_hw: tuple[int, int] = SHAPE, seed: int = 0) -> np.ndarray:
    """An image of smooth noise, (H, W, 3) uint8."""
    small = Image.fromarray(np.random.default_rng(seed).integers(0, 256, (5, 5, 3), np.uint8))
    return np.asarray(small.resize(shape_hw[::-1], Image.Resampling.BILINEAR))


def save_image(path: Path, shape_hw: tuple[int, int] = SHAPE, seed: int = 0) -> None:
    """Saves an image of smooth noise."""
    Image.fromarray(noise(shape_hw, seed)).save(path)


def random_points(number: int, shape_hw: tuple[int, int] = SHAPE, seed: int = 0) -> np.ndarray:
    """Random points inside an image, (number, 2), in eighths of a pixel: exact in any file and after any shift."""
    unit = np.random.default_rng(seed).random((number, 2))
    return np.floor(8 * unit * (shape_hw[1] - 1, shape_hw[0] - 1)) / 8


def fill(root: Path, layout: Layout, images: dict[str, int], shape_hw: tuple[int, int] = SHAPE) -> Path:
    """Writes so many images of each split; image n of a split has n - 1 points."""
    for split, number in images.items():
        for n in range(1, number + 1):
            layout.write(root, split, n, noise(shape_hw, n), random_points(n - 1, shape_hw, n))
    return root


def make_shanghaitech(root: Path, *, release: str = "2016", train: int = 10, test: int = 4, shape_hw=SHAPE) -> Path:
    """A part as a release has it; image n of a split has n - 1 points."""
    fill(root, ShanghaiTech(), {"train": train, "test": test}, shape_hw)
    if release == "2015":
        for folder in root.glob("*/ground-truth"):
            folder.rename(folder.with_name("ground_truth"))
    return root

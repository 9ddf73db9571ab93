"""Pairs images with their files of points, and writes both."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from pathlib import Path

import cv2
import numpy as np
from scipy.io import savemat

from tasks.counting.formats.mat import MATLAB_OFFSET
from tasks.counting.layouts._base import Entry, Split
from tasks.counting.points import READERS
from transfer.engine.images import EXTENSIONS

JPEG_QUALITY = 90


def pair(images: Path, points: Path, names: Callable[[str], Iterable[str]]) -> Split:
    """Pairs each image of a folder with the one of `names(stem)` in the folder `points`, in natural order."""
    found = list_images(images)
    if not found:
        return Split([], [f"{images}: holds no image, expected files that end in {', '.join(EXTENSIONS)}"])
    left = {p.name for p in _files(points) if p.suffix.lower() in READERS}
    split = Split([])
    seen: dict[str, str] = {}
    for image in found:
        other = seen.setdefault(image.stem, image.name)
        if other != image.name:
            split.problems.append(f"{image}: {other} has the same name, expected one image for each file of points")
            continue
        candidates = list(names(image.stem))
        there = [name for name in candidates if name in left]
        left.difference_update(there)
        if not there:
            split.problems.append(
                f"{image}: has no ground truth, expected {points / candidates[0]}: add it or remove the image"
            )
            continue
        if len(there) > 1:
            split.problems.append(f"{image}: has two files of points, {there[0]} and {there[1]}: remove one")
        split.entries.append(Entry(image, points / there[0], image.stem))
    split.problems.extend(
        f"{points / orphan}: ground truth without an image in {images}: add the image or remove the file"
        for orphan in sorted(left, key=natural)
    )
    return split


def list_images(folder: Path) -> list[Path]:
    """The image files in a folder, in natural order."""
    return sorted((p for p in _files(folder) if p.suffix.lower() in EXTENSIONS), key=lambda p: natural(p.name))


def _files(folder: Path) -> list[Path]:
    return [p for p in folder.iterdir() if p.is_file() and not p.name.startswith(".")]


def natural(name: str) -> list[tuple[int, str]]:
    """Sort key that puts IMG_2 before IMG_10."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name)]


def write_image(path: Path, image_HW3: np.ndarray) -> None:
    """Writes a uint8 RGB image, and the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    options = [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY] if path.suffix == ".jpg" else []
    if not cv2.imwrite(str(path), image_HW3[:, :, ::-1], options):
        raise OSError(f"{path} cannot be written")


def write_lines(path: Path, lines: Iterable[str]) -> None:
    """Writes a text file, and the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def write_mat(path: Path, content: dict[str, np.ndarray]) -> None:
    """Writes a `.mat` file, and the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    savemat(path, content, do_compression=True)


def to_matlab(points_xy: np.ndarray) -> np.ndarray:
    """Continuous pixel coordinates (N, 2) as MATLAB's, whose first pixel has its centre at (1, 1)."""
    return np.asarray(points_xy, np.float64).reshape(-1, 2) + MATLAB_OFFSET

"""Images of one's own, with a file of points each."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tasks.counting.layouts._base import Entry, Layout, Source
from tasks.counting.layouts._files import list_images, pair, write_image, write_lines
from tasks.counting.points import READERS

POINT_FOLDERS = ("points", "ground-truth", "ground_truth")


class Folder(Layout):
    """Images with a file of points each, in `root` or in its folders `train`, `val` and `test`.

    In each of these, images lie beside their points, or in `images` with the points in `points`, `ground-truth` or
    `ground_truth`. The points of `a.jpg` are in `a`, `a_ann` or `GT_a`, with any ending that `read_points` knows.
    """

    expected = "images, or train, val and test with images, and a file of points beside each or in a folder points"
    origin = "`ean import-points` brings images of your own into layout='folder'"
    splits = ("train", "val", "test")

    def find(self, root: Path) -> Source | None:
        places = {split: root / split for split in self.splits if (root / split).is_dir()} or {"all": root}
        if not any(list_images(_images(place)) for place in places.values()):
            return None
        splits = {split: pair(_images(place), _points(place), _names) for split, place in places.items()}
        return Source(root.resolve().name, root, splits)

    def write(self, root: Path, split: str, number: int, image_HW3: np.ndarray, points_xy: np.ndarray) -> Entry:
        folder = root / split
        entry = Entry(folder / "images" / f"{number}.png", folder / "points" / f"{number}.csv", str(number))
        write_image(entry.image, image_HW3)
        write_points(entry.points, points_xy)
        return entry


def write_points(path: Path, points_xy: np.ndarray) -> None:
    """Writes points (N, 2) as CSV, and the folders above the file."""
    write_lines(path, ["x,y", *(f"{float(x)!r},{float(y)!r}" for x, y in points_xy)])


def _images(place: Path) -> Path:
    return place / "images" if (place / "images").is_dir() else place


def _points(place: Path) -> Path:
    return next((place / name for name in POINT_FOLDERS if (place / name).is_dir()), _images(place))


def _names(stem: str) -> list[str]:
    return [f"{name}{suffix}" for name in (stem, f"{stem}_ann", f"GT_{stem}") for suffix in READERS]

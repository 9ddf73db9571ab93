"""JHU-CROWD++ (Sindagi et al., TPAMI 2020): 2,272 training, 500 validation and 1,600 test images."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tasks.counting.formats import jhu
from tasks.counting.layouts._base import Entry, Layout, Source
from tasks.counting.layouts._files import pair, write_image, write_lines
from tasks.counting.points import read_points


class JHU(Layout):
    """`{train,val,test}/{images/0001.jpg, gt/0001.txt}`; images without people are part of it."""

    expected = "train, val and test with images and gt in them"
    origin = "get JHU-CROWD++ from http://www.crowd-counting.com"
    splits = ("train", "val", "test")

    def find(self, root: Path) -> Source | None:
        splits = {
            split: pair(root / split / "images", root / split / "gt", lambda stem: [f"{stem}.txt"])
            for split in self.splits
            if all((root / split / name).is_dir() for name in ("images", "gt"))
        }
        return Source("JHU-CROWD++", root, splits) if splits else None

    def read(self, entry: Entry) -> np.ndarray:
        """The first two of six columns; a head's width, height, occlusion and blur are checked and left."""
        return read_points(entry.points, reader=jhu.JHU().points)

    def write(self, root: Path, split: str, number: int, image_HW3: np.ndarray, points_xy: np.ndarray) -> Entry:
        """Points have no extent, so that w and h are 0; occlusion 1 is "visible", blur 0 is "sharp"."""
        name = f"{number:04d}"
        entry = Entry(root / split / "images" / f"{name}.jpg", root / split / "gt" / f"{name}.txt", name)
        write_image(entry.image, image_HW3)
        write_lines(entry.points, (f"{float(x)!r} {float(y)!r} 0 0 1 0" for x, y in points_xy))
        return entry

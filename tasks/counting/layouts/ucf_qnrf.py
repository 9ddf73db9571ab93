"""UCF-QNRF (Idrees et al., ECCV 2018): 1,201 training and 334 test images, no official val."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tasks.counting.layouts._base import Entry, Layout, Source
from tasks.counting.layouts._files import pair, to_matlab, write_image, write_mat

FOLDERS = {"train": "Train", "test": "Test"}


class UCFQNRF(Layout):
    """`{Train,Test}/{img_0001.jpg, img_0001_ann.mat}`."""

    expected = "Train and Test with img_0001.jpg, img_0001_ann.mat, ... in them"
    origin = "get UCF-QNRF from https://www.crcv.ucf.edu/data/ucf-qnrf/"
    splits = ("train", "test")

    def find(self, root: Path) -> Source | None:
        there = {split: root / name for split, name in FOLDERS.items() if (root / name).is_dir()}
        if not any(any(folder.glob("*_ann.mat")) for folder in there.values()):
            return None
        splits = {split: pair(folder, folder, lambda stem: [f"{stem}_ann.mat"]) for split, folder in there.items()}
        return Source("UCF-QNRF", root, splits)

    def write(self, root: Path, split: str, number: int, image_HW3: np.ndarray, points_xy: np.ndarray) -> Entry:
        folder, name = root / FOLDERS[split], f"img_{number:04d}"
        entry = Entry(folder / f"{name}.jpg", folder / f"{name}_ann.mat", name)
        write_image(entry.image, image_HW3)
        write_mat(entry.points, {"annPoints": to_matlab(points_xy)})
        return entry

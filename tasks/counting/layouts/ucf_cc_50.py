"""UCF_CC_50 (Idrees et al., CVPR 2013): 50 images, five-fold cross-validation."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tasks.counting.layouts._base import Entry, Layout, Source
from tasks.counting.layouts._files import pair, to_matlab, write_image, write_mat

FOLDS = 5


class UCFCC50(Layout):
    """`n.jpg` and `n_ann.mat`; five folds of consecutive images, the authors' own having never been published."""

    expected = "1.jpg, 1_ann.mat, ..."
    origin = "get UCF_CC_50 from https://www.crcv.ucf.edu/data/ucf-cc-50/"
    splits = ("all",)

    def find(self, root: Path) -> Source | None:
        if not any(root.glob("*_ann.mat")):
            return None
        split = pair(root, root, lambda stem: [f"{stem}_ann.mat"])
        if len(split.entries) < FOLDS:
            split.problems.append(f"data_root {root}: has {len(split.entries)} image(s), expected 50; {self.origin}")
        return Source("UCF_CC_50", root, {"all": split}, folds=FOLDS)

    def write(self, root: Path, split: str, number: int, image_HW3: np.ndarray, points_xy: np.ndarray) -> Entry:
        entry = Entry(root / f"{number}.jpg", root / f"{number}_ann.mat", str(number))
        write_image(entry.image, image_HW3)
        write_mat(entry.points, {"annPoints": to_matlab(points_xy)})
        return entry

"""ShanghaiTech (Zhang et al., CVPR 2016) as its archives unpack, parts A and B, releases of 2015 and of 2016."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from tasks.counting.layouts._base import Entry, Layout, Source, Split
from tasks.counting.layouts._files import pair, to_matlab, write_image, write_mat

# The folder of points tells the releases apart.
RELEASES = {"ground-truth": "2016", "ground_truth": "2015"}

# Part A, test: 98 is train 121 byte for byte, the others are near-duplicates of train 60, 2, 139, 154 and 97.
LEAKED_PART_A = tuple(f"IMG_{n}" for n in (98, 40, 173, 82, 181, 142))

# Numbers of images, which differ between the parts.
SIZES = {(300, "train"): "A", (182, "test"): "A", (400, "train"): "B", (316, "test"): "B"}


class ShanghaiTech(Layout):
    """`{train,test}_data/{images/IMG_n.jpg, ground-truth/GT_IMG_n.mat}`; `ground_truth` in the release of 2015."""

    expected = "train_data and test_data with images and ground-truth (2016) or ground_truth (2015) in them"
    origin = "get ShanghaiTech from https://github.com/desenzhou/ShanghaiTechDataset"
    splits = ("train", "test")

    def find(self, root: Path) -> Source | None:
        splits, releases = {}, set()
        for split in ("train", "test"):
            folder = root / f"{split}_data"
            points = [folder / name for name in RELEASES if (folder / name).is_dir()]
            if (folder / "images").is_dir() and points:
                releases.add(RELEASES[points[0].name])
                splits[split] = pair(folder / "images", points[0], lambda stem: [f"GT_{stem}.mat"])
        if not splits:
            return None
        part = _part(root, splits)
        if part is None:  # other images in this layout, such as generated ones: no release of anything
            return Source(root.resolve().name, root, splits)
        return Source(
            name=f"ShanghaiTech {part}",
            root=root,
            splits=splits,
            part=part,
            release="2015" if root.resolve().name.endswith("_final") else min(releases),
            release_if_outside="2015",  # such points are what the release of 2016 took out
            leaked={"test": LEAKED_PART_A} if part == "A" else {},
        )

    def write(self, root: Path, split: str, number: int, image_HW3: np.ndarray, points_xy: np.ndarray) -> Entry:
        folder, name = root / f"{split}_data", f"IMG_{number}"
        entry = Entry(folder / "images" / f"{name}.jpg", folder / "ground-truth" / f"GT_{name}.mat", name)
        write_image(entry.image, image_HW3)
        write_mat(entry.points, {"image_info": image_info(points_xy)})
        return entry

    def other_names(self, root: Path) -> list[Path]:
        """Parts are `part_A` in the release of 2016, `part_A_final` in that of 2015: either stands in for the other."""
        match = re.fullmatch(r"(part_[AB])(_final)?", root.name)
        return [root.with_name(match[1] if match[2] else f"{match[1]}_final")] if match else []


def _part(root: Path, splits: Mapping[str, Split]) -> str | None:
    """By the folder's name, else by the number of images."""
    for name in (root.name, root.resolve().name):
        if match := re.match(r"(?i)part_?([ab])(?![a-z])", name):
            return match[1].upper()
    found = {SIZES.get((len(split.entries), name)) for name, split in splits.items()}
    return found.pop() if len(found) == 1 else None


def image_info(points_xy: np.ndarray) -> np.ndarray:
    """The variable of its `.mat` files: a 1x1 cell of a 1x1 struct with location (N, 2), MATLAB's, and number."""
    content = np.empty((1, 1), dtype=[("location", object), ("number", object)])
    content[0, 0] = (to_matlab(points_xy), np.array([[len(points_xy)]], np.uint16))
    cell = np.empty((1, 1), dtype=object)
    cell[0, 0] = content
    return cell

"""NWPU-Crowd (Wang et al., TPAMI 2020): 3,109 training, 500 validation and 1,500 test images."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from backbones.errors import UserInputError
from tasks.counting.layouts._base import Entry, Layout, Source, Split
from tasks.counting.layouts._files import list_images, write_image

FOLDERS = {"jsons": ".json", "mats": ".mat"}
"""Where the same points are, twice; JSON is taken where both are there: it needs no shift by half a pixel."""


class NWPU(Layout):
    """`images/0001.jpg`, `jsons/0001.json` or `mats/0001.mat`, and lists of names `train.txt`, `val.txt`, `test.txt`.

    A line of a list begins with the image's number; what follows (luminance, density) is left. Points of the test
    images are not published: without any, there is no test split.
    """

    expected = "images, jsons (or mats), train.txt, val.txt and test.txt"
    origin = "get NWPU-Crowd from https://www.crowdbenchmark.com/nwpucrowd.html"
    splits = ("train", "val", "test")

    def find(self, root: Path) -> Source | None:
        folder = next((root / name for name in FOLDERS if (root / name).is_dir()), None)
        lists = {split: root / f"{split}.txt" for split in self.splits if (root / f"{split}.txt").is_file()}
        if folder is None or not lists or not (root / "images").is_dir():
            return None
        images = {image.stem: image for image in list_images(root / "images")}
        points = {path.stem: path for path in folder.glob(f"*{FOLDERS[folder.name]}")}
        splits = {split: _split(file, images, points, folder) for split, file in lists.items()}
        remarks = ()
        if "test" in splits and not any(name in points for name in _names(lists["test"])):
            del splits["test"]
            remarks = (f"{lists['test']}: none of its images has points, which are not published: no test split",)
        return Source("NWPU-Crowd", root, splits, remarks=remarks)

    def write(self, root: Path, split: str, number: int, image_HW3: np.ndarray, points_xy: np.ndarray) -> Entry:
        name = f"{split}_{number:04d}"
        entry = Entry(root / "images" / f"{name}.jpg", root / "jsons" / f"{name}.json", name)
        write_image(entry.image, image_HW3)
        entry.points.parent.mkdir(parents=True, exist_ok=True)
        points = np.asarray(points_xy, np.float64).reshape(-1, 2).tolist()
        content = {"img_id": entry.image.name, "human_num": len(points), "points": points}
        entry.points.write_text(json.dumps(content), encoding="utf-8")
        with open(root / f"{split}.txt", "a", encoding="utf-8") as file:
            file.write(f"{name}\n")
        return entry


def _names(file: Path) -> list[str]:
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError:
        raise UserInputError(f"{file}: is not text, expected the name of an image on each line") from None
    return [Path(line.split()[0]).stem for line in lines if line.strip()]


def _split(file: Path, images: dict[str, Path], points: dict[str, Path], folder: Path) -> Split:
    """Pairs the images of a list, in its order."""
    split = Split([])
    for name in _names(file):
        image, truth = images.get(name), points.get(name)
        if image and truth:
            split.entries.append(Entry(image, truth, name))
        elif image:
            expected = folder / f"{name}{FOLDERS[folder.name]}"
            split.problems.append(f"{image}: has no ground truth, expected {expected}: add it or remove the image")
        elif truth:
            split.problems.append(
                f"{truth}: ground truth without an image in {file.parent / 'images'}: add the image or remove the file"
            )
        else:
            split.problems.append(f"{file}: names {name!r}, expected it in {file.parent / 'images'} and {folder}")
    return split

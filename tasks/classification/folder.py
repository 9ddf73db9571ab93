"""Image folders in ImageNet's layout: `train/<class>/*`, `val/<class>/*`, read from disk as they are needed."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.registry import DATASETS
from PIL import Image
from torch.utils.data import Dataset

from backbones.errors import UserInputError
from tasks.classification.in_memory import check_augmentations
from tasks.classification.splits import balanced_subset, check_split, held_out
from transfer.engine.data import find_data

EXTENSIONS = (".jpg", ".jpeg", ".png", ".bmp", ".webp")
AUGMENTATIONS = ("resized_crop", "flip")


@DATASETS.register_module()
class ImageFolder(Dataset):
    """One folder a class; classes are numbered in the order of their names.

    An item is `dict(inputs=uint8 (3, size, size) RGB, labels=int)`.

    Args:
        data_root: folder that holds `train` and `val`, looked for as `find_data` does.
        split: `"train"` (D_train), `"val"` (D_val), `"trainval"`: parts of `train`; `"test"`: the folder `val`, as
            ImageNet's official validation images are what is reported.
        val_per_class: size of D_val, images a class.
        val_seed: chooses D_val; None: the first of each class by name, as the authors' code does.
        images: take a class-balanced subset of this size only.
        size: side of the square in pixels.
        resize: shorter side before the central square is cut out, where there is no `"resized_crop"`.
        augment: any of `"resized_crop"` (`scale` of the area, 3/4 to 4/3 of the aspect) and `"flip"`.
        scale: least and greatest share of the area that `"resized_crop"` keeps. Small images and short schedules do
            better with a greater least share than ImageNet's 8 %.
        seed: of the augmentation, a pure function of (seed, epoch, index).

    Attributes:
        classes: names of the class folders.

    Raises:
        UserInputError: no such folder, no images, another set of classes in `val` than in `train`, an argument that
            does not fit; when an item is read: a picture that cannot be decoded.
    """

    def __init__(
        self,
        data_root: str,
        split: str = "train",
        val_per_class: int = 100,
        val_seed: int | None = None,
        images: int | None = None,
        size: int = 224,
        resize: int = 256,
        augment: Sequence[str] = (),
        scale: Sequence[float] = (0.08, 1.0),
        seed: int = 0,
    ) -> None:
        check_split(split)
        if not 1 <= size <= resize:
            raise UserInputError(f"dataset.size={size}: expected 1 to resize={resize}")
        if len(scale) != 2 or not 0 < scale[0] <= scale[1] <= 1:
            raise UserInputError(
                f"dataset.scale={scale!r}: expected two shares of the area, 0 < least <= greatest <= 1"
            )
        folder = find_data(data_root) / ("val" if split == "test" else "train")
        self.classes, files, labels = list_images(folder)
        train = folder.parent / "train"
        if split == "test" and train.is_dir() and class_names(train) != self.classes:
            raise UserInputError(f"{folder}: its class folders are not those of {train}, expected the same names")
        chosen = np.arange(len(labels)) if split == "test" else held_out(labels, split, val_per_class, val_seed)
        chosen = chosen[balanced_subset(labels[chosen], images, val_seed)]
        self.files, self.labels = [files[index] for index in chosen], labels[chosen]
        self.size, self.resize, self.scale, self.seed = size, resize, (scale[0], scale[1]), seed
        self.augment = check_augmentations(augment, AUGMENTATIONS)
        self.metainfo = {
            "name": folder.parent.name,
            "split": split,
            "num_classes": len(self.classes),
            "val_seed": val_seed,
            "images": len(self.files),
            "augment": list(self.augment),
            **({"scale": list(self.scale)} if "resized_crop" in self.augment else {}),
        }

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> dict[str, Any]:
        picture = read_rgb(self.files[index])
        generator = np.random.default_rng((self.seed, getattr(index, "epoch", 0), int(index)))
        if "resized_crop" in self.augment:
            left, top, width, height = random_box(picture.width, picture.height, generator, self.scale)
            picture = picture.crop((left, top, left + width, top + height))
            picture = picture.resize((self.size, self.size), Image.Resampling.BILINEAR)
        else:
            picture = central_square(picture, self.resize, self.size)
        if "flip" in self.augment and generator.random() < 0.5:
            picture = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        pixels = torch.from_numpy(np.array(picture)).permute(2, 0, 1).contiguous()
        return {"inputs": pixels, "labels": int(self.labels[index])}


def class_names(folder: Path) -> tuple[str, ...]:
    """Names of the class folders, sorted; hidden ones are not classes."""
    if not folder.is_dir():
        raise UserInputError(f"{folder}: no such folder, expected train/<class>/* and val/<class>/*")
    return tuple(sorted(entry.name for entry in os.scandir(folder) if entry.is_dir() and entry.name[0] != "."))


def list_images(folder: Path) -> tuple[tuple[str, ...], list[str], np.ndarray]:
    """Class names, files in the order of their names within each class, and labels (N,)."""
    classes = class_names(folder)
    files: list[str] = []
    labels: list[int] = []
    for label, name in enumerate(classes):
        inside = folder / name
        found = sorted(entry.name for entry in os.scandir(inside) if entry.name.lower().endswith(EXTENSIONS))
        if not found:
            raise UserInputError(f"{inside}: holds no image ({', '.join(EXTENSIONS)}), expected at least one")
        files.extend(os.path.join(inside, file) for file in found)
        labels.extend([label] * len(found))
    if not files:
        raise UserInputError(f"{folder}: holds no class folders, expected train/<class>/* and val/<class>/*")
    return classes, files, np.array(labels, dtype=np.int64)


def read_rgb(path: str | Path) -> Image.Image:
    """Decodes a picture to RGB; raises `UserInputError` that names a file which cannot be decoded."""
    try:
        with Image.open(path) as picture:
            return picture.convert("RGB")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise UserInputError(f"{path}: cannot be decoded ({error}), expected a picture: replace the file") from error


def random_box(
    width: int, height: int, generator: np.random.Generator, scale: tuple[float, float] = (0.08, 1.0)
) -> tuple[int, int, int, int]:
    """Left, top, width, height of Inception's random crop (torchvision's rule, ten tries, then the centre)."""
    for _ in range(10):
        area = width * height * generator.uniform(*scale)
        aspect = math.exp(generator.uniform(math.log(3 / 4), math.log(4 / 3)))
        w, h = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
        if 0 < w <= width and 0 < h <= height:
            return int(generator.integers(width - w + 1)), int(generator.integers(height - h + 1)), w, h
    w, h = min(width, round(height * 4 / 3)), min(height, round(width * 4 / 3))
    return (width - w) // 2, (height - h) // 2, w, h


def central_square(picture: Image.Image, resize: int, size: int) -> Image.Image:
    """Scales the shorter side to `resize` and cuts the central `size` x `size` out (torchvision's rounding)."""
    shorter = min(picture.size)
    width, height = (int(resize * side / shorter) for side in picture.size)
    picture = picture.resize((width, height), Image.Resampling.BILINEAR)
    left, top = round((width - size) / 2.0), round((height - size) / 2.0)
    return picture.crop((left, top, left + size, top + size))

"""Image folders in ImageNet's layout, `train/<class>/*` and `val/<class>/*`, or in Tiny-ImageNet's own.

Tiny-ImageNet unpacks as `train/<class>/images/*` and `val/images/*`, whose classes stand in `val/val_annotations.txt`.
Images are read from disk as they are needed.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
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
from transfer.engine.images import open_image

EXTENSIONS = (".jpg", ".jpeg", ".png", ".bmp", ".webp")
AUGMENTATIONS = ("resized_crop", "flip")
ANNOTATIONS = "val_annotations.txt"
LAYOUT = "expected train/<class>/* and val/<class>/*"


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
        files: paths of the images.
        labels: their classes (N,).

    Raises:
        UserInputError: no such folder, no images, another set of classes in `val` than in `train`, a broken
            `val_annotations.txt`, an argument that does not fit; when an item is read: an image that cannot be decoded.
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
        if split == "test":
            check_same_classes(folder, self.classes)
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
        image = read_rgb(self.files[index])
        generator = np.random.default_rng((self.seed, getattr(index, "epoch", 0), int(index)))
        if "resized_crop" in self.augment:
            left, top, width, height = random_box(image.width, image.height, generator, self.scale)
            image = image.crop((left, top, left + width, top + height))
            image = image.resize((self.size, self.size), Image.Resampling.BILINEAR)
        else:
            image = central_square(image, self.resize, self.size)
        if "flip" in self.augment and generator.random() < 0.5:
            image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1).contiguous()
        return {"inputs": pixels, "labels": int(self.labels[index])}


def class_names(folder: Path) -> tuple[str, ...]:
    """Names of the class folders, sorted; hidden ones are not classes."""
    if not folder.is_dir():
        raise UserInputError(f"{folder}: no such folder, {LAYOUT}")
    return tuple(sorted(entry.name for entry in os.scandir(folder) if entry.is_dir() and entry.name[0] != "."))


def check_same_classes(folder: Path, classes: tuple[str, ...]) -> None:
    """Raises `UserInputError` where `train` beside a folder has other classes than `classes`, those of the folder."""
    train = folder.parent / "train"
    if not train.is_dir() or (expected := class_names(train)) == classes:
        return
    if classes == ("images",):
        raise UserInputError(f"{folder}: has images/ but no {ANNOTATIONS}, which says their classes; unpack it anew")
    odd = sorted(set(classes) ^ set(expected))
    raise UserInputError(
        f"{folder}: its class folders are not those of {train}: {', '.join(odd[:5])}{', ...' if len(odd) > 5 else ''} "
        "in one of them only; expected the same names"
    )


def list_images(folder: Path) -> tuple[tuple[str, ...], list[str], np.ndarray]:
    """Class names, files in the order of their names within each class, and labels (N,)."""
    annotations, images = folder / ANNOTATIONS, folder / "images"
    if annotations.is_file() and image_names(images):  # whoever sorted the images into folders may have left the file
        inside = {name: (images, names) for name, names in sorted(read_annotations(annotations, images).items())}
    else:
        inside = {name: images_of_class(folder / name) for name in class_names(folder)}
    if not inside:
        raise UserInputError(f"{folder}: holds no class folders, {LAYOUT}")
    if empty := [name for name, (_, names) in inside.items() if not names]:
        some = f"{', '.join(empty[:5])}{', ...' if len(empty) > 5 else ''}"
        raise UserInputError(
            f"{folder}: holds no image ({', '.join(EXTENSIONS)}) in {some}, expected at least one each"
        )
    files = [os.path.join(place, name) for place, names in inside.values() for name in names]
    sizes = [len(names) for _, names in inside.values()]
    return tuple(inside), files, np.repeat(np.arange(len(inside), dtype=np.int64), sizes)


def images_of_class(folder: Path) -> tuple[Path, list[str]]:
    """Where a class's images lie, in its folder or in `images` below it, and their names, sorted."""
    names = image_names(folder)
    return (folder, names) if names else (folder / "images", image_names(folder / "images"))


def image_names(folder: Path) -> list[str]:
    """Names of the images in a folder, sorted; none where there is no such folder."""
    if not folder.is_dir():
        return []
    return sorted(entry.name for entry in os.scandir(folder) if entry.name.lower().endswith(EXTENSIONS))


def read_annotations(path: Path, images: Path) -> dict[str, list[str]]:
    """Sorted names of the images of each class, from lines of file name, class, and anything, parted by tabs.

    Raises:
        UserInputError: a line that is none, names no image of the folder or one again; an image that no line names.
    """
    left, classes = set(image_names(images)), {}
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError:
        raise UserInputError(f"{path}: is no text file, expected lines of file name, tab, class") from None
    for number, line in enumerate(lines, 1):
        name, label = [*line.split("\t"), ""][:2]
        if not name or not label.strip():
            raise UserInputError(f"{path}: line {number} is {line[:80]!r}, expected a file name, a tab and a class")
        if name not in left:
            raise UserInputError(
                f"{path}: line {number} names {name!r}, which is not in {images} or was named before; correct it"
            )
        left.remove(name)
        classes.setdefault(label.strip(), []).append(name)
    if left:
        raise UserInputError(
            f"{path}: names no class for {len(left)} images of {images}, such as {min(left)!r}, expected all; add them"
        )
    return {label: sorted(names) for label, names in classes.items()}


@contextmanager
def decoding(path: str | Path) -> Iterator[None]:
    """Turns what Pillow raises inside into a `UserInputError` that names the file."""
    try:
        yield
    except UserInputError:
        raise
    except (OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError) as error:
        raise UserInputError(f"{path}: cannot be decoded ({error}), expected an image: replace the file") from error


def read_rgb(path: str | Path) -> Image.Image:
    """Decodes an image to RGB; raises `UserInputError` that names a file which cannot be decoded."""
    with decoding(path), open_image(path) as image:
        if image.mode == "F":
            raise ValueError("32-bit floating-point pixels have no agreed range")
        return image.convert("RGB")


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


def central_square(image: Image.Image, resize: int, size: int) -> Image.Image:
    """Scales the shorter side to `resize` and cuts the central `size` x `size` out (torchvision's rounding)."""
    shorter = min(image.size)
    width, height = (int(resize * side / shorter) for side in image.size)
    image = image.resize((width, height), Image.Resampling.BILINEAR)
    left, top = round((width - size) / 2.0), round((height - size) / 2.0)
    return image.crop((left, top, left + size, top + size))

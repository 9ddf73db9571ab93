"""Generated scenes in Pascal VOC's own layout: something to segment where no data set is at hand.

A scene is a textured ground under a sky with one to four objects of VOC's classes, drawn from simple shapes in the
class's typical form and colouring. Masks are palette PNGs; a rim of 255 runs around each object, as in VOC. Image n
depends on (seed, n) only.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from backbones.errors import UserInputError
from backbones.files import whole_folder
from tasks.segmentation.masks import voc_palette

IGNORE = 255
SIZE = (160, 200)  # rows, columns

Rng = np.random.Generator
Shape = tuple[str, float, float, float, float]

# (kind, centre x, centre y, half width, half height) in units of the object's size; y runs down, the feet are at 1.
OBJECTS: dict[int, tuple[tuple[int, int, int], tuple[Shape, ...]]] = {
    1: (
        (200, 205, 215),
        (("ellipse", 0, 0, 1, 0.18), ("ellipse", -0.1, 0.05, 0.2, 0.6), ("ellipse", 0.85, -0.2, 0.1, 0.3)),
    ),
    5: ((40, 120, 70), (("ellipse", 0, 0, 0.32, 0.7), ("box", 0, -0.75, 0.12, 0.25))),
    6: ((190, 60, 50), (("box", 0, 0, 1, 0.5), ("ellipse", -0.6, 0.55, 0.2, 0.2), ("ellipse", 0.6, 0.55, 0.2, 0.2))),
    7: ((50, 80, 180), (("box", 0, 0.2, 1, 0.25), ("ellipse", 0, -0.1, 0.6, 0.35), ("ellipse", -0.6, 0.5, 0.2, 0.2))),
    9: ((140, 90, 50), (("box", -0.35, -0.3, 0.1, 0.7), ("box", 0, 0.2, 0.4, 0.1), ("box", 0.35, 0.6, 0.08, 0.4))),
    12: (
        (90, 65, 45),
        (("ellipse", 0, 0, 0.7, 0.3), ("ellipse", 0.7, -0.35, 0.25, 0.25), ("box", -0.4, 0.5, 0.1, 0.4)),
    ),
    15: (
        (210, 160, 120),
        (("ellipse", 0, -0.75, 0.18, 0.22), ("ellipse", 0, 0, 0.32, 0.55), ("box", 0, 0.7, 0.2, 0.35)),
    ),
    20: ((30, 30, 35), (("box", 0, -0.1, 0.9, 0.6), ("box", 0, 0.65, 0.2, 0.2))),
}


def make_scene(seed: int, number: int) -> tuple[np.ndarray, np.ndarray]:
    """Draws one scene: image (H, W, 3) uint8 RGB, and class ids (H, W) uint8, 0 background, 255 the rims."""
    rng = np.random.default_rng((seed, number))
    image, mask = _background(rng), np.zeros(SIZE, np.uint8)
    for _ in range(int(rng.integers(1, 5))):
        _draw_object(rng, image, mask, int(rng.choice(list(OBJECTS))))
    light = rng.uniform(0.7, 1.15) * (1 + rng.normal(0, 0.05, 3))
    noisy = image * light + rng.normal(0, rng.uniform(2, 8), image.shape)
    return np.round(noisy.clip(0, 255)).astype(np.uint8), mask


def _background(rng: Rng) -> np.ndarray:
    height, width = SIZE
    horizon = int(rng.uniform(0.2, 0.5) * height)
    image = np.empty((height, width, 3))
    image[:horizon] = np.array([150, 180, 215]) + rng.normal(0, 20, 3)
    image[horizon:] = rng.uniform(80, 170) + rng.normal(0, 25, 3)
    for octave in (6, 24):
        grain = rng.normal(0, 7, (height // octave, width // octave))
        image += cv2.resize(grain, (width, height), interpolation=cv2.INTER_CUBIC)[..., None]
    return image


def _draw_object(rng: Rng, image: np.ndarray, mask: np.ndarray, label: int) -> None:
    height, width = mask.shape
    size = rng.uniform(0.16, 0.42) * height
    x, y = rng.uniform(0.1, 0.9) * width, rng.uniform(0.35, 0.85) * height
    mirror, colour = rng.choice((-1, 1)), np.array(OBJECTS[label][0]) + rng.normal(0, 22, 3)
    covered = np.zeros(mask.shape, np.uint8)
    for kind, dx, dy, half_width, half_height in OBJECTS[label][1]:
        part = np.zeros(mask.shape, np.uint8)
        centre = (round(x + mirror * dx * size), round(y + dy * size))
        axes = (max(2, round(half_width * size)), max(2, round(half_height * size)))
        if kind == "ellipse":
            cv2.ellipse(part, centre, axes, 0, 0, 360, 1, -1)
        else:
            corners = [(centre[0] + sign * axes[0], centre[1] + sign * axes[1]) for sign in (-1, 1)]
            cv2.rectangle(part, corners[0], corners[1], 1, -1)
        shade = np.linspace(1.15, 0.75, height)[:, None, None] * rng.uniform(0.85, 1.1)
        np.copyto(image, colour * shade, where=part[..., None].astype(bool))
        covered |= part
    rim = cv2.dilate(covered, np.ones((3, 3), np.uint8)) - cv2.erode(covered, np.ones((3, 3), np.uint8))
    mask[covered > 0] = label
    mask[rim > 0] = IGNORE


def write_scenes(
    out: str | Path,
    images: int,
    seed: int = 0,
    test_share: float = 0.2,
    progress: Callable[[int], None] = lambda done: None,
) -> tuple[int, int]:
    """Writes `out/VOC2012/{JPEGImages,SegmentationClass,ImageSets/Segmentation}`, all of it or nothing.

    Args:
        out: a new or empty folder.
        images: number of images, at least 2.
        seed: image n depends on (seed, n) only.
        test_share: share of the images that go to the list `val`.
        progress: called with the number of images written.

    Returns:
        Number of names in the lists `train` and `val`.

    Raises:
        UserInputError: the folder holds something, or a number is out of range.
    """
    out = Path(out)
    if images < 2 or not 0 < test_share < 1 or seed < 0:
        raise UserInputError(
            f"images={images}, seed={seed}, test_share={test_share}: expected at least 2 images, a seed from 0 and a "
            "share between 0 and 1"
        )
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UserInputError(f"{out}: is there already and not empty; remove it, or name another folder")
    held_out = min(max(1, round(images * test_share)), images - 1)
    with whole_folder(out) as new:
        _write_all(new / "VOC2012", images, seed, held_out, progress)
    return images - held_out, held_out


def _write_all(root: Path, images: int, seed: int, held_out: int, progress: Callable[[int], None]) -> None:
    lists = root / "ImageSets" / "Segmentation"
    for folder in (root / "JPEGImages", root / "SegmentationClass", lists):
        folder.mkdir(parents=True)
    names = [f"scene_{number + 1:06d}" for number in range(images)]
    for number, name in enumerate(names):
        image, mask = make_scene(seed, number)
        Image.fromarray(image).save(root / "JPEGImages" / f"{name}.jpg", quality=90)
        indexed = Image.fromarray(mask, mode="P")
        indexed.putpalette([value for colour in voc_palette() for value in colour])
        indexed.save(root / "SegmentationClass" / f"{name}.png")
        progress(number + 1)
    for split, chosen in {"train": names[:-held_out], "val": names[-held_out:]}.items():
        (lists / f"{split}.txt").write_text("\n".join(chosen) + "\n")

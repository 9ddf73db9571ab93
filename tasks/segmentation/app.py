"""The tab of segmentation in `ean app`: the classes over the photograph, their names and their shares of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import cv2
import numpy as np

from tasks.segmentation.predictor import Segmented
from tasks.segmentation.visualize import OPACITY, Pixels, legend, overlay
from transfer.app.controls import Control, Slider, Tick
from transfer.app.uploads import Photo
from transfer.engine.lettering import BLACK, WHITE, text_width, write

TITLE = "Segmentation"
LARGEST = 2_000_000  # pixels: a network's answer has a number for each class and pixel
CONTROLS: Sequence[Control] = (
    Slider("opacity", "Opacity of the classes", 0, 1, OPACITY, 0.05),
    Tick("names", "Write the names on the image", True),
    Tick("own_colours", "Colours of the data set instead of those that the colour-blind can tell"),
)

# Okabe and Ito, "Color Universal Design", 2008, without black, and their shades for more classes.
SAFE = ((230, 159, 0), (86, 180, 233), (0, 158, 115), (240, 228, 66), (0, 114, 178), (213, 94, 0), (204, 121, 167))
LETTERS = 15
LEAST_NAMED = 0.002  # of the image: smaller patches get no name


def headline(found: Segmented) -> str:
    """The classes with the largest shares."""
    shares = found.shares
    named = [f"{name} {100 * share:.1f} %" for name, share in list(shares.items())[:3]]
    return ", ".join(named) + (f", and {len(shares) - 3} more" if len(shares) > 3 else "")


def remarks(found: Segmented, options: Mapping[str, Any]) -> list[str]:
    """Nothing to keep in mind."""
    return []


def draw(photo: Photo, found: Segmented, options: Mapping[str, Any]) -> Pixels:
    """The classes over the photograph, above a legend with their shares; class 0 is left as it is."""
    palette, (height, width) = _palette(found, options), photo.pixels.shape[:2]
    ids_HW = cv2.resize(found.mask, (width, height), interpolation=cv2.INTER_NEAREST).astype(np.uint8)
    shown = overlay(photo.pixels, ids_HW, palette, opacity=options["opacity"])
    if options["names"]:
        for index in np.unique(ids_HW[ids_HW > 0]).tolist():
            _name(shown, ids_HW == index, found.classes[index])
    shares = found.shares
    colours = [palette[found.classes.index(name)] for name in shares]
    below = legend(list(shares), list(shares.values()), colours, width)
    white = np.full((height, below.shape[1] - width, 3), 255, np.uint8)
    return np.concatenate([np.concatenate([shown, white], axis=1), below], axis=0)


def table(found: Segmented, options: Mapping[str, Any]) -> list[list[str]]:
    """Shares of the image by class, the names of the columns first."""
    return [["class", "share"], *([name, f"{100 * share:.2f} %"] for name, share in found.shares.items())]


def row(found: Segmented, options: Mapping[str, Any]) -> dict[str, Any]:
    """A line of the CSV: the size that was predicted, and the share of every class."""
    height, width = found.mask.shape
    shares = found.shares
    return {"width": width, "height": height} | {
        f"share_{name}": round(shares.get(name, 0.0), 6) for name in found.classes
    }


def _palette(found: Segmented, options: Mapping[str, Any]) -> list[tuple[int, ...]]:
    """A colour for each class: its own, or one of the safe ones, the largest classes first."""
    palette = [tuple(map(int, colour)) for colour in found.palette]
    if options["own_colours"]:
        return palette
    background = found.classes[0]
    for place, name in enumerate(name for name in found.shares if name != background):
        darker = 0.65 ** (place // len(SAFE))
        palette[found.classes.index(name)] = tuple(round(darker * value) for value in SAFE[place % len(SAFE)])
    return palette


def _name(image_HW3: Pixels, where_HW: np.ndarray, name: str) -> None:
    """Writes a class's name into the middle of its largest patch, if that has room for it."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats(where_HW.astype(np.uint8))
    largest = 1 + int(stats[1:count, cv2.CC_STAT_AREA].argmax())
    if stats[largest, cv2.CC_STAT_AREA] < LEAST_NAMED * where_HW.size:
        return
    # The point farthest from the patch's edge lies in it, whatever its shape.
    inside = cv2.distanceTransform(np.pad(labels == largest, 1).astype(np.uint8), cv2.DIST_L2, 3)[1:-1, 1:-1]
    y, x = np.unravel_index(int(inside.argmax()), inside.shape)
    half = text_width(name, LETTERS) / 2
    x_kept = float(np.clip(x, half, max(half, image_HW3.shape[1] - half)))
    write(image_HW3, name, (x_kept, float(y)), LETTERS, anchor="mm", colour=WHITE, halo=BLACK)

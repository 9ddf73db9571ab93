"""Images of class ids laid over photographs, with a legend, and of training curves."""

from __future__ import annotations

import math
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from transfer.engine.lettering import text_width, write

Pixels = NDArray[np.uint8]
Palette = Sequence[Sequence[int]]

OPACITY = 0.55
LONGEST = 1000  # pixels of a side of each panel, unless the full size is asked for
LARGEST = 30_000  # in full size, about what OpenCV can draw
_ROW, _SWATCH, _GAP, _TEXT = 24, 16, 12, 13


def overlay(
    image_HW3: Pixels,
    ids_HW: NDArray[np.integer],
    palette: Palette,
    background: int | None = 0,
    *,
    opacity: float = OPACITY,
) -> Pixels:
    """Blends the classes' colours over an RGB photograph; pixels of `background` and of no class stay as they are."""
    colours = np.zeros((256, 3), np.float32)
    colours[: len(palette)] = palette
    shown = ids_HW < len(palette)
    if background is not None:
        shown &= ids_HW != background
    cover = opacity * shown[..., None].astype(np.float32)
    return np.round((1 - cover) * image_HW3 + cover * colours[ids_HW.astype(np.uint8)]).astype(np.uint8)


def legend(names: Sequence[str], shares: Sequence[float], palette: Palette, width: int) -> Pixels:
    """Swatches with a class's name and share of the image (0 to 1), in as many columns as `width` pixels hold."""
    texts = [f"{name} {100 * share:.1f} %" for name, share in zip(names, shares, strict=True)]
    column = _SWATCH + 6 + max((text_width(text, _TEXT) for text in texts), default=0) + _GAP
    columns = max(1, (width - _GAP) // column)
    rows = math.ceil(len(texts) / columns)
    out = np.full((rows * _ROW + _GAP, max(width, column + _GAP), 3), 255, np.uint8)
    for i, (text, colour) in enumerate(zip(texts, palette, strict=True)):
        x, y = _GAP + i % columns * column, _GAP // 2 + i // columns * _ROW
        cv2.rectangle(out, (x, y + 4), (x + _SWATCH, y + 4 + _SWATCH), tuple(map(int, colour)), -1)
        cv2.rectangle(out, (x, y + 4), (x + _SWATCH, y + 4 + _SWATCH), (0, 0, 0), 1)
        write(out, text, (x + _SWATCH + 6, y + 4 + _SWATCH / 2), _TEXT)
    return out


def panels(
    image_HW3: Pixels,
    ids_HW: NDArray[np.integer],
    classes: Sequence[str],
    palette: Palette,
    truth_HW: NDArray[np.integer] | None = None,
    *,
    longest: int | None = LONGEST,
) -> Pixels:
    """Photograph, ground truth (where there is one) and prediction side by side, with a legend; uint8 RGB.

    Below them are the classes that are predicted with their shares, the largest first, then those in the truth alone.

    Args:
        image_HW3: uint8 RGB.
        ids_HW: predicted class of each pixel.
        classes: names, by id.
        palette: colours, by id.
        truth_HW: annotated class of each pixel; what is no class is ignored.
        longest: pixels of the longer side of each of them, if the image is larger; None for its own size.
    """
    counts, others = (_areas(ids, len(classes)) for ids in (ids_HW, ids_HW if truth_HW is None else truth_HW))
    found = [int(i) for i in np.lexsort((-others, -counts)) if counts[i] or others[i]]
    scale = min(1.0, (longest or LARGEST) / max(image_HW3.shape[:2]))
    photo = _scaled(image_HW3, scale, cv2.INTER_AREA)
    shown = {"input": photo}
    for name, ids in (("ground truth", truth_HW), ("prediction", ids_HW)):
        if ids is not None:
            shown[name] = overlay(photo, _scaled(ids.astype(np.uint8), scale, cv2.INTER_NEAREST), palette)
    above = np.concatenate([_captioned(panel, name) for name, panel in shown.items()], axis=1)
    names, shares = [classes[i] for i in found], [counts[i] / ids_HW.size for i in found]
    below = legend(names, shares, [palette[i] for i in found], above.shape[1])
    white = np.full((above.shape[0], below.shape[1] - above.shape[1], 3), 255, np.uint8)
    return np.concatenate([np.concatenate([above, white], axis=1), below], axis=0)


def _areas(ids_HW: NDArray[np.integer], classes: int) -> NDArray[np.integer]:
    return np.bincount(ids_HW.ravel(), minlength=classes)[:classes]


def _scaled(image: Pixels, scale: float, how: int) -> Pixels:
    height, width = (max(1, round(size * scale)) for size in image.shape[:2])
    return image if scale == 1 else cv2.resize(np.ascontiguousarray(image), (width, height), interpolation=how)


def _captioned(image: Pixels, text: str) -> Pixels:
    """The image with a white margin, and the text above it where there is room."""
    bar = np.full((_ROW + _GAP, image.shape[1], 3), 255, np.uint8)
    write(bar, text, (0, (_ROW + _GAP) / 2), 15)
    framed = np.concatenate([bar, image], axis=0)
    return np.pad(framed, ((0, _GAP // 2), (_GAP // 2, _GAP // 2), (0, 0)), constant_values=255)

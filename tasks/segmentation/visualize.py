"""Images of class ids laid over photographs, with a legend, and of training curves."""

from __future__ import annotations

import math
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
Palette = Sequence[Sequence[int]]

OPACITY = 0.55
_FONT, _ROW, _SWATCH, _GAP = cv2.FONT_HERSHEY_SIMPLEX, 24, 16, 12


def overlay(image_HW3: Pixels, ids_HW: NDArray[np.integer], palette: Palette, background: int | None = 0) -> Pixels:
    """Blends the classes' colours over an RGB photograph; pixels of `background` and of no class stay as they are."""
    colours = np.zeros((256, 3), np.float32)
    colours[: len(palette)] = palette
    shown = ids_HW < len(palette)
    if background is not None:
        shown &= ids_HW != background
    opacity = OPACITY * shown[..., None].astype(np.float32)
    return np.round((1 - opacity) * image_HW3 + opacity * colours[ids_HW.astype(np.uint8)]).astype(np.uint8)


def legend(names: Sequence[str], shares: Sequence[float], palette: Palette, width: int) -> Pixels:
    """Swatches with a class's name and share of the image (0 to 1), in as many columns as `width` pixels hold."""
    texts = [f"{name} {100 * share:.1f} %" for name, share in zip(names, shares, strict=True)]
    widest = max((cv2.getTextSize(text, _FONT, 0.45, 1)[0][0] for text in texts), default=0)
    column = _SWATCH + 6 + widest + _GAP
    columns = max(1, (width - _GAP) // column)
    rows = math.ceil(len(texts) / columns)
    out = np.full((rows * _ROW + _GAP, max(width, column + _GAP), 3), 255, np.uint8)
    for i, (text, colour) in enumerate(zip(texts, palette, strict=True)):
        x, y = _GAP + i % columns * column, _GAP // 2 + i // columns * _ROW
        cv2.rectangle(out, (x, y + 4), (x + _SWATCH, y + 4 + _SWATCH), tuple(map(int, colour)), -1)
        cv2.rectangle(out, (x, y + 4), (x + _SWATCH, y + 4 + _SWATCH), (0, 0, 0), 1)
        cv2.putText(out, text, (x + _SWATCH + 6, y + 17), _FONT, 0.45, (0, 0, 0), 1, cv2.LINE_AA)
    return out


def with_legend(image_HW3: Pixels, ids_HW: NDArray[np.integer], classes: Sequence[str], palette: Palette) -> Pixels:
    """The overlay, and below it the classes that are in it with their shares, the largest first; uint8 RGB."""
    counts = np.bincount(ids_HW.ravel(), minlength=len(classes))[: len(classes)]
    found = [int(i) for i in np.argsort(-counts, kind="stable") if counts[i]]
    below = legend(
        [classes[i] for i in found],
        [counts[i] / ids_HW.size for i in found],
        [palette[i] for i in found],
        image_HW3.shape[1],
    )
    above = overlay(image_HW3, ids_HW, palette)
    white = np.full((above.shape[0], below.shape[1] - above.shape[1], 3), 255, np.uint8)
    return np.concatenate([np.concatenate([above, white], axis=1), below], axis=0)

"""Images of densities beside their photographs, and of training curves."""

from __future__ import annotations

import cv2
import matplotlib
import numpy as np
from numpy.typing import NDArray

from tasks.counting.structures import NOUN

ImageArray = NDArray[np.uint8]

COLORMAP = "viridis"  # even in lightness, so readable in print and with any colour vision
_FONT = cv2.FONT_HERSHEY_SIMPLEX
_GAP, _BAR, _STRIP = 8, 34, 26


def panels(
    image_HW3: ImageArray,
    prediction_hw: NDArray[np.floating],
    predicted: float,
    truth_hw: NDArray[np.floating] | None = None,
    points: int | None = None,
    *,
    stride: int = 8,
    width: int = 480,
    noun: str = NOUN,
) -> ImageArray:
    """Draws the photograph, the ground truth (where there is one) and the prediction side by side, with both counts.

    Args:
        image_HW3: uint8 RGB.
        prediction_hw: density, `noun` per cell; cell (0, 0) is the top left `stride` x `stride` pixels.
        predicted: number predicted.
        truth_hw: ground truth on the same grid; both maps share one colour scale.
        points: number of annotated points.
        stride: side of a cell in pixels.
        width: of one panel in pixels.
        noun: what is counted.

    Returns:
        uint8 RGB; below the panels lies the colour scale.
    """
    maps = [m for m in (truth_hw, prediction_hw) if m is not None]
    top = max(max(float(np.max(m, initial=0.0)) for m in maps), 1e-6)
    input_caption = "input" if points is None else f"input: {points} points"
    parts = [_captioned(_fitted(image_HW3, width), input_caption)]
    if truth_hw is not None:
        shown = _fitted(overlay(image_HW3, truth_hw, stride, top), width)
        total = float(np.sum(truth_hw)) if points is None else points
        parts.append(_captioned(shown, f"ground truth: {total:g}"))
    shown = _fitted(overlay(image_HW3, prediction_hw, stride, top), width)
    parts.append(_captioned(shown, f"predicted: {predicted:.1f} {noun}"))
    gap = np.full((parts[0].shape[0], _GAP, 3), 255, np.uint8)
    row = [piece for part in parts for piece in (part, gap)][:-1]
    body = np.concatenate(row, axis=1)
    return np.concatenate([body, _scale(body.shape[1], top, stride, noun)], axis=0)


def overlay(image_HW3: ImageArray, density_hw: NDArray[np.floating], stride: int, top: float) -> ImageArray:
    """Lays the density's colours over the greyed photograph, the more opaquely the denser; `top` is the last colour."""
    height, width = image_HW3.shape[:2]
    grown = np.kron(np.asarray(density_hw, np.float32), np.ones((stride, stride), np.float32))
    value = np.clip(grown[:height, :width] / top, 0, 1)
    grey = cv2.cvtColor(np.ascontiguousarray(image_HW3), cv2.COLOR_RGB2GRAY)[..., None].astype(np.float32)
    opacity = 0.35 + 0.6 * np.sqrt(value)[..., None]
    return np.round((1 - opacity) * grey + opacity * 255 * _colours(value)).astype(np.uint8)


def _colours(value: NDArray[np.floating]) -> NDArray[np.floating]:
    return matplotlib.colormaps[COLORMAP](value)[..., :3].astype(np.float32)


def _fitted(image: ImageArray, width: int) -> ImageArray:
    height = max(1, round(image.shape[0] * width / image.shape[1]))
    way = cv2.INTER_AREA if image.shape[1] > width else cv2.INTER_LINEAR
    return cv2.resize(np.ascontiguousarray(image), (width, height), interpolation=way)


def _captioned(image: ImageArray, text: str) -> ImageArray:
    bar = np.full((_BAR, image.shape[1], 3), 255, np.uint8)
    cv2.putText(bar, text, (6, _BAR - 11), _FONT, 0.65, (0, 0, 0), 1, cv2.LINE_AA)
    return np.concatenate([bar, image], axis=0)


def _scale(width: int, top: float, stride: int, noun: str) -> ImageArray:
    """The colour scale with its ends named, in people (or what else is counted) per cell."""
    strip = np.full((_STRIP + 8, width, 3), 255, np.uint8)
    text = f"{top:.2g} {noun} per {stride} x {stride} px"
    left = 24
    right = max(left + 20, width - 10 * len(text))
    ramp = _colours(np.linspace(0, 1, right - left, dtype=np.float32))
    strip[8:_STRIP, left:right] = np.round(255 * ramp)
    cv2.putText(strip, "0", (6, _STRIP - 3), _FONT, 0.5, (0, 0, 0), 1, cv2.LINE_AA)
    cv2.putText(strip, text, (right + 6, _STRIP - 3), _FONT, 0.5, (0, 0, 0), 1, cv2.LINE_AA)
    return strip

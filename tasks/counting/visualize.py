"""Densities over their photographs, for looking at, and training curves."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import matplotlib
import numpy as np
from numpy.typing import NDArray

from tasks.counting.structures import NOUN
from transfer.engine.lettering import BLACK, WHITE, shortened, text_width, write

ImageArray = NDArray[np.uint8]
Outlines = Sequence[tuple[str, Sequence[tuple[float, float]]]]

COLORMAP = "viridis"  # even in lightness, so readable in print and with any colour vision
OPACITY = 0.85  # of the last colour
LEAST_TOP = 0.05  # people per cell: below it a map is noise, which a scale of its own would show as a crowd
LONGEST = 2000  # pixels of a side of what is drawn, unless the full size is asked for
LARGEST = 30_000  # pixels of a side in full size, about what OpenCV can draw
_GAP, _BAR, _STRIP, _NARROWEST = 8, 34, 26, 360


def drawing(
    image_HW3: ImageArray,
    density_hw: NDArray[np.floating],
    title: str,
    *,
    stride: int,
    top: float | None = None,
    outlines: Outlines = (),
    points_xy: NDArray[np.floating] | None = None,
    longest: int | None = LONGEST,
    noun: str = NOUN,
    opacity: float = OPACITY,
    shape_hw: tuple[int, int] | None = None,
) -> ImageArray:
    """The density over its photograph in the photograph's size, below a bar with a title, above the colour scale.

    Args:
        image_HW3: uint8 RGB.
        density_hw: people per cell; cell (0, 0) is the top left `stride` x `stride` pixels.
        title: of which the end is shown where it is too long.
        stride: side of a cell in pixels.
        top: people per cell of the last colour; default the map's largest value.
        outlines: a text for the middle and the corners, in pixels of the image, of polygons.
        points_xy: (N, 2) points to mark, in pixels of the image.
        longest: larger images are drawn with so many pixels on their longer side; None draws them as they are, up to
            what viewers can take.
        noun: what is counted.
        opacity: of the last colour, 0 to 1.
        shape_hw: height and width of the image, where `image_HW3` is a smaller copy of it.
    """
    top = scale_top(density_hw) if top is None else top
    shape_hw = shape_hw or image_HW3.shape[:2]
    shown = overlay(image_HW3, density_hw, stride, top, longest=longest, opacity=opacity, shape_hw=shape_hw)
    scale = np.array(shown.shape[1::-1]) / shape_hw[::-1]
    for text, corners in outlines:
        _outline(shown, np.asarray(corners, np.float64) * scale, text)
    for x, y in () if points_xy is None else points_xy * scale:
        _mark(shown, x, y)
    white = np.full((shown.shape[0], max(0, _NARROWEST - shown.shape[1]), 3), 255, np.uint8)
    shown = np.concatenate([shown, white], axis=1)
    return np.concatenate([_captioned(shown, title), _scale(shown.shape[1], top, stride, noun)], axis=0)


def scale_top(density_hw: NDArray[np.floating]) -> float:
    """People per cell of the last colour, where nobody says it."""
    return max(float(np.max(density_hw, initial=0.0)), LEAST_TOP)


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
        width: of one panel in pixels; the height is twice that at most.
        noun: what is counted.

    Returns:
        uint8 RGB; below the panels lies the colour scale.
    """
    top = max(scale_top(m) for m in (truth_hw, prediction_hw) if m is not None)
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


def overlay(
    image_HW3: ImageArray,
    density_hw: NDArray[np.floating],
    stride: int,
    top: float,
    *,
    longest: int | None = LONGEST,
    opacity: float = OPACITY,
    shape_hw: tuple[int, int] | None = None,
) -> ImageArray:
    """Lays the density's colours over the greyed photograph: transparent at zero, the more opaque the denser.

    The map is smoothed between its cells. `top` is the value of the last colour; for the options, see `drawing`.
    """
    image = _shrunk(image_HW3, longest)
    height, width = image.shape[:2]
    value = np.clip(_grown(density_hw, stride, shape_hw or image_HW3.shape[:2], (height, width)) / top, 0, 1)
    grey = cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_RGB2GRAY)[..., None].astype(np.float32)
    cover = opacity * np.sqrt(value)[..., None]
    return np.round((1 - cover) * grey + cover * _colours(value)).astype(np.uint8)


def _grown(
    density_hw: NDArray[np.floating], stride: int, shape_hw: tuple[int, ...], drawn_hw: tuple[int, int]
) -> NDArray[np.float32]:
    """The map at each pixel of what is drawn of an image of `shape_hw`, by cubic interpolation."""
    density = np.ascontiguousarray(density_hw, np.float32)
    down, across = (stride * drawn / size for drawn, size in zip(drawn_hw, shape_hw[:2], strict=True))
    # Where cells lie in the drawing; centres fall on centres, and cells beyond the image are cut off.
    to_map = np.array([[1 / across, 0, 0.5 / across - 0.5], [0, 1 / down, 0.5 / down - 0.5]], np.float32)
    how = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(density, to_map, drawn_hw[::-1], flags=how, borderMode=cv2.BORDER_REPLICATE)


def _colours(value: NDArray[np.floating]) -> NDArray[np.uint8]:
    table = np.round(255 * matplotlib.colormaps[COLORMAP](np.arange(256))[:, :3]).astype(np.uint8)
    return table[np.round(255 * value).astype(np.uint8)]


def _shrunk(image: ImageArray, longest: int | None) -> ImageArray:
    scale = min(1.0, (longest or LARGEST) / max(image.shape[:2]))
    return image if scale == 1 else _resized(image, scale)


def _resized(image: ImageArray, scale: float) -> ImageArray:
    height, width = (max(1, round(size * scale)) for size in image.shape[:2])
    way = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    return cv2.resize(np.ascontiguousarray(image), (width, height), interpolation=way)


def _fitted(image: ImageArray, width: int) -> ImageArray:
    """The image `width` pixels wide, on white where it would be more than twice as high."""
    fitted = _resized(image, min(width / image.shape[1], 2 * width / image.shape[0]))
    white = np.full((fitted.shape[0], max(0, width - fitted.shape[1]), 3), 255, np.uint8)
    return np.concatenate([fitted[:, :width], white], axis=1)


def _captioned(image: ImageArray, text: str) -> ImageArray:
    bar = np.full((_BAR, image.shape[1], 3), 255, np.uint8)
    write(bar, shortened(text, 17, image.shape[1] - 16), (8, _BAR / 2), 17)
    return np.concatenate([bar, image], axis=0)


def _scale(width: int, top: float, stride: int, noun: str) -> ImageArray:
    """The colour scale with its ends named, in people (or what else is counted) per cell."""
    strip = np.full((_STRIP + 8, width, 3), 255, np.uint8)
    text = f"{top:.2g} {noun} per {stride} x {stride} px"
    left, middle = 26, (8 + _STRIP) / 2
    right = max(left + 20, width - text_width(text, 13) - 16)
    strip[8:_STRIP, left:right] = _colours(np.linspace(0, 1, right - left, dtype=np.float32))
    write(strip, "0", (left - 8, middle), 13, anchor="rm")
    write(strip, text, (right + 8, middle), 13)
    return strip


def _outline(image: ImageArray, corners: NDArray[np.floating], text: str) -> None:
    line = [np.round(corners).astype(np.int32)]
    for colour, thickness in ((BLACK, 3), (WHITE, 1)):
        cv2.polylines(image, line, True, colour, thickness, cv2.LINE_AA)
    room = corners.max(axis=0) - corners.min(axis=0)
    size = int(min(15, room[1] / 1.5))
    if size >= 8 and text_width(text, size) <= room[0]:
        x, y = (corners.max(axis=0) + corners.min(axis=0)) / 2
        write(image, text, (x, y), size, anchor="mm", colour=WHITE, halo=BLACK)


def _mark(image: ImageArray, x: float, y: float) -> None:
    centre = (int(x), int(y))
    cv2.circle(image, centre, 3, BLACK, -1, cv2.LINE_AA)
    cv2.circle(image, centre, 2, (255, 120, 60), -1, cv2.LINE_AA)

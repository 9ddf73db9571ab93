"""Text on images, in one font that every installation has: DejaVu Sans, which comes with matplotlib."""

from __future__ import annotations

import functools
from pathlib import Path

import matplotlib
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

Pixels = NDArray[np.uint8]
BLACK, WHITE = (0, 0, 0), (255, 255, 255)


def text_width(text: str, size: int) -> int:
    """Width of a line of text in pixels; `size` is the font's, in pixels."""
    return round(_font(size).getlength(text))


def write(
    image_HW3: Pixels,
    text: str,
    xy: tuple[float, float],
    size: int = 15,
    *,
    anchor: str = "lm",
    colour: tuple[int, int, int] = BLACK,
    halo: tuple[int, int, int] | None = None,
) -> None:
    """Writes one line of text into an image, in place; what does not fit is cut off.

    Args:
        image_HW3: uint8 RGB.
        text: without line breaks.
        xy: where its anchor lies.
        size: of the font, in pixels.
        anchor: Pillow's two letters: `"lm"` is left and middle, `"mm"` the centre, `"rm"` right and middle.
        colour: of the letters.
        halo: colour of an outline, which makes letters readable on any ground.
    """
    font, stroke = _font(size), 0 if halo is None else max(1, size // 7)
    measure = ImageDraw.Draw(Image.new("RGB", (1, 1)))
    left, top, right, bottom = measure.textbbox(xy, text, font, anchor, stroke_width=stroke)
    height, width = image_HW3.shape[:2]
    x0, y0, x1, y1 = (
        max(0, int(left) - 1),
        max(0, int(top) - 1),
        min(width, int(right) + 2),
        min(height, int(bottom) + 2),
    )
    if x0 >= x1 or y0 >= y1:
        return
    part = Image.fromarray(np.ascontiguousarray(image_HW3[y0:y1, x0:x1]))
    at = (xy[0] - x0, xy[1] - y0)
    ImageDraw.Draw(part).text(at, text, colour, font, anchor, stroke_width=stroke, stroke_fill=halo)
    image_HW3[y0:y1, x0:x1] = np.asarray(part)


def shortened(text: str, size: int, width: int) -> str:
    """`text`, or as much of its end as fits into `width` pixels behind an ellipsis."""
    if text_width(text, size) <= width:
        return text
    for start in range(1, len(text)):
        if text_width("…" + text[start:], size) <= width:
            return "…" + text[start:]
    return ""


@functools.lru_cache
def _font(size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf", size)

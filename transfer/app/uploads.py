"""Files that somebody sent, as images: what is too large is refused before it is decoded."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from backbones.errors import UserInputError
from transfer.engine.images import read_image

Pixels = NDArray[np.uint8]

FORMATS = ("JPEG", "PNG", "BMP", "WEBP", "TIFF")
"""The ones that `ean predict` finds in folders; Pillow would start other programs for some of the rest."""

MOST_BYTES = 64_000_000
MOST_PIXELS = 40_000_000
"""Decoding takes up to about 20 bytes a pixel."""

MOST_SIDE = 20_000
"""Networks pad a line of pixels to a band."""

MOST_IMAGES = 20
"""At once: what is shown of each stays in memory."""

SHOWN = 1280
"""Pixels on the longer side of what is shown."""


@dataclass(frozen=True, eq=False)
class Photo:
    """What is kept of an image to draw on.

    Attributes:
        name: of its file.
        pixels: (h, w, 3) uint8 RGB, at most `SHOWN` pixels on the longer side.
        shape_hw: of the image that was predicted.
    """

    name: str
    pixels: Pixels
    shape_hw: tuple[int, int]


def check_number(paths: Sequence[str | Path]) -> None:
    """Raises `UserInputError` for no file and for too many."""
    if not paths:
        raise UserInputError("No image yet: drop one into the field, or click on it.")
    if len(paths) > MOST_IMAGES:
        raise UserInputError(f"{len(paths)} files, expected at most {MOST_IMAGES} at once; ean predict takes more.")


def read_upload(path: str | Path) -> Pixels:
    """The upright image (H, W, 3), uint8 RGB.

    Raises:
        UserInputError: the file is empty, damaged, too large or no image; it is called by its name alone.
    """
    path = Path(path)
    try:
        size = path.stat().st_size
    except FileNotFoundError:
        raise UserInputError(f"{path.name}: is kept no longer, send it again.") from None
    if not size:
        raise UserInputError(f"{path.name}: is empty, expected an image.")
    if size > MOST_BYTES:
        raise UserInputError(f"{path.name}: {size / 1e6:,.0f} MB, expected at most {MOST_BYTES / 1e6:.0f} MB.")
    width, height = _size(path)
    if width * height > MOST_PIXELS or max(width, height) > MOST_SIDE:
        raise UserInputError(
            f"{path.name}: {width:,} x {height:,} pixels, expected at most {MOST_PIXELS / 1e6:.0f} megapixels and "
            f"{MOST_SIDE:,} on a side; make it smaller, or give it to ean predict."
        )
    try:
        return read_image(path)
    except UserInputError as error:
        raise UserInputError(str(error).replace(str(path), path.name)) from error


def _size(path: Path) -> tuple[int, int]:
    """Width and height, by the file's header."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(path, formats=FORMATS) as image:
                return image.size
    except Image.DecompressionBombError:
        raise UserInputError(
            f"{path.name}: too many pixels, expected at most {MOST_PIXELS / 1e6:.0f} megapixels."
        ) from None
    except (OSError, ValueError, SyntaxError, EOFError):
        raise UserInputError(
            f"{path.name}: is no image that can be read, expected {', '.join(FORMATS[:-1])} or {FORMATS[-1]}."
        ) from None


def shrunk(image_HW3: Pixels, *, pixels: int | None = None, side: int | None = None) -> Pixels:
    """The image with so many pixels at most, in all or on its longer side."""
    height, width = image_HW3.shape[:2]
    scale = min(1.0, ((pixels or np.inf) / (height * width)) ** 0.5, (side or np.inf) / max(height, width))
    if scale == 1:
        return image_HW3
    size = max(1, int(width * scale)), max(1, int(height * scale))
    return cv2.resize(np.ascontiguousarray(image_HW3), size, interpolation=cv2.INTER_AREA).astype(np.uint8)

"""Masks of class ids as files: what can be one, and which ids are in it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from backbones.errors import UserInputError

MODES = ("P", "L", "1")
"""PIL's modes with one id a pixel: palette, grayscale, black and white."""


def read_mask(path: str | Path) -> np.ndarray:
    """Returns the class ids (H, W), uint8; of a palette picture the indices, whatever their colours.

    Raises:
        UserInputError: the file is missing or truncated, or its pixels are colours instead of ids.
    """
    try:
        with Image.open(path) as picture:
            if picture.mode not in MODES:
                raise UserInputError(
                    f"{path}: its pixels are colours (mode {picture.mode}), expected one class id a pixel: a palette "
                    "or 8-bit grayscale PNG, as in VOC's SegmentationClass"
                )
            return np.array(picture, np.uint8)
    except UserInputError:
        raise
    except FileNotFoundError:
        raise UserInputError(f"{path}: no such file, expected a mask") from None
    except (OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError) as error:
        reason = str(error).replace(str(path), "file").replace("\n", " ")
        raise UserInputError(f"{path}: cannot be decoded ({reason}), expected a whole mask: copy it again") from error


def wrong_ids(mask_HW: np.ndarray, num_classes: int, ignore_index: int = 255) -> list[int]:
    """Ids in the mask that are neither a class nor the ignored one, in order.

    >>> wrong_ids(np.array([[0, 20], [21, 255]], np.uint8), 21)
    [21]
    """
    counts = np.bincount(mask_HW.ravel(), minlength=256)
    return [int(i) for i in np.flatnonzero(counts) if i >= num_classes and i != ignore_index]


def size_text(shape: tuple[int, ...]) -> str:
    """`width x height` of (height, width)."""
    return f"{shape[1]}x{shape[0]}"

"""Masks of class ids as files: what can be one, and which ids are in it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from backbones.errors import UserInputError
from transfer.engine.images import open_image

MODES = ("P", "L", "1")
"""PIL's modes with one id a pixel: palette, grayscale, black and white."""


def read_mask(path: str | Path) -> np.ndarray:
    """Returns the class ids (H, W), uint8; of a palette image the indices, whatever their colours.

    Raises:
        UserInputError: the file is missing or truncated, or its pixels are colours instead of ids.
    """
    try:
        with open_image(path) as image:
            if image.mode not in MODES:
                raise UserInputError(
                    f"{path}: its pixels are colours (mode {image.mode}), expected one class id a pixel: a palette "
                    "or 8-bit grayscale PNG, as in VOC's SegmentationClass; save it as one"
                )
            return np.array(image, np.uint8)
    except UserInputError:
        raise
    except FileNotFoundError:
        raise UserInputError(f"{path}: no such file, expected a mask") from None
    except (OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError) as error:
        reason = str(error).replace(str(path), "file").replace("\n", " ")
        raise UserInputError(f"{path}: cannot be decoded ({reason}), expected a whole mask: copy it again") from error


def wrong_ids(mask_HW: np.ndarray, num_classes: int, ignore_index: int) -> list[int]:
    """Ids in the mask that are neither a class nor the ignored one, in order.

    >>> wrong_ids(np.array([[0, 20], [21, 255]], np.uint8), 21, 255)
    [21]
    """
    counts = np.bincount(mask_HW.ravel(), minlength=256)
    return [int(i) for i in np.flatnonzero(counts) if i >= num_classes and i != ignore_index]


def wrong_ids_text(wrong: list[int], num_classes: int, ignore_index: int) -> str:
    """What is wrong with a mask that holds `wrong`, and where ids are declared."""
    return (
        f"holds the class ids {', '.join(map(str, wrong[:8]))}, expected 0 to {num_classes - 1}, or {ignore_index} for "
        "ignored pixels; the data set's metainfo.classes names the classes, its ignore_index the ignored id"
    )


def size_text(shape: tuple[int, ...]) -> str:
    """`width x height` of (height, width)."""
    return f"{shape[1]}x{shape[0]}"


def voc_palette(count: int = 256) -> list[tuple[int, int, int]]:
    """VOC's colour map for any number of ids: the bits of an id, three at a time, from the colours' highest bits down.

    >>> voc_palette(3)
    [(0, 0, 0), (128, 0, 0), (0, 128, 0)]
    """
    return [
        tuple(sum((i >> (3 * bit + channel) & 1) << (7 - bit) for bit in range(8)) for channel in range(3))  # type: ignore[misc]
        for i in range(count)
    ]

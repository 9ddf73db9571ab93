"""Density maps in files: as an array, and as an image of 16 bits."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from backbones.files import write_atomically

LEVELS = 65_534  # one below the largest value, which rounding with carry may reach


def write_density(folder: Path, stem: str, density_hw: np.ndarray) -> dict[str, Any]:
    """Writes `<stem>_density.npy` (float32, people per cell) and `<stem>_density16.png`.

    Returns:
        `density`, the array's name, and `density_png`: its `file`, `scale` and `offset`. People per cell are
        `offset + scale * value`; the rounding of a cell is carried to the next one, so that the sum stays.
    """
    array = io.BytesIO()
    np.save(array, density_hw.astype(np.float32))
    write_atomically(folder / f"{stem}_density.npy", array.getvalue())
    values, scale, offset = quantised(density_hw)
    image = io.BytesIO()
    Image.fromarray(values).save(image, "png")
    write_atomically(folder / f"{stem}_density16.png", image.getvalue())
    png = {"file": f"{stem}_density16.png", "scale": scale, "offset": offset}
    return {"density": f"{stem}_density.npy", "density_png": png}


def quantised(density_hw: np.ndarray) -> tuple[np.ndarray, float, float]:
    """Values (h, w) uint16, scale and offset with `density = offset + scale * values`, one level off at most.

    The sums differ by half a level of one cell, whatever the size of the map.
    """
    density = np.asarray(density_hw, np.float64)
    offset = min(0.0, float(density.min(initial=0.0)))
    scale = max(float(density.max(initial=0.0)) - offset, 1e-12) / LEVELS
    running = np.rint(np.cumsum(density.ravel() - offset) / scale)
    return np.diff(running, prepend=0).reshape(density.shape).astype(np.uint16), scale, offset

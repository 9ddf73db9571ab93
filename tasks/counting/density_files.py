"""Density maps as CSRNet and its successors exchange them: `.h5` files with a dataset `density` at full resolution."""

from __future__ import annotations

import io
from pathlib import Path

import h5py
import numpy as np

from backbones.errors import UserInputError
from transfer.engine.checkpoint import write_atomically

KEY = "density"


def read_density(path: str | Path) -> np.ndarray:
    """Returns the map (H, W) float32, people per cell.

    Raises:
        UserInputError: the file is missing, no HDF5 file, or holds no such map of finite numbers.
    """
    try:
        with h5py.File(path, "r") as file:
            if not isinstance(file.get(KEY), h5py.Dataset):
                keys = ", ".join(file) or "nothing"
                raise UserInputError(f"{path}: holds {keys}, expected the dataset {KEY!r}")
            density = file[KEY][()]
    except FileNotFoundError:
        raise UserInputError(f"{path}: no such file, expected an .h5 density map") from None
    except (OSError, RuntimeError) as error:
        raise UserInputError(f"{path}: is truncated or no HDF5 file, expected an .h5 density map") from error
    if np.ndim(density) != 2 or density.dtype.kind not in "iuf" or not np.isfinite(density).all():
        raise UserInputError(
            f"{path}: {KEY!r} is {density.dtype} of shape {np.shape(density)}, expected finite numbers (height, width)"
        )
    return density.astype(np.float32)


def write_density(path: str | Path, density_hw: np.ndarray) -> None:
    """Writes the map (H, W), people per cell, as float32; an interrupted write leaves no file behind.

    Raises:
        ValueError: the map has another shape.
    """
    density = np.asarray(density_hw, dtype=np.float32)
    if density.ndim != 2:
        raise ValueError(f"density_hw has shape {density.shape}, expected (height, width)")
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        file.create_dataset(KEY, data=density, compression="gzip")
    write_atomically(path, buffer.getvalue())

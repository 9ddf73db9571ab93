"""Augmentation of whole batches at once, as a pure function of (seed, epoch, index)."""

from __future__ import annotations

import numpy as np

_STEP = np.uint64(0x9E3779B97F4A7C15)


def _mix(state: np.ndarray) -> np.ndarray:
    """SplitMix64's finaliser (Steele et al., OOPSLA 2014): one 64-bit word to another, all bits of it."""
    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return state ^ (state >> np.uint64(31))


def uniforms(seed: int, epochs_N: np.ndarray, indices_N: np.ndarray, draws: int) -> np.ndarray:
    """Numbers (N, draws) in [0, 1), those of a row from (seed, epoch, index) alone.

    A hash instead of a generator a row: making one costs more than augmenting an image of 32 x 32.
    """
    state = np.full(len(indices_N), seed, dtype=np.uint64)
    for part in (epochs_N, indices_N):
        state = _mix(state + _STEP) + np.asarray(part).astype(np.uint64)
    words = _mix(_mix(state + _STEP)[:, None] + _STEP * np.arange(1, draws + 1, dtype=np.uint64))
    return (words >> np.uint64(11)) * 2.0**-53


def random_crop(images_NCHW: np.ndarray, draws_N2: np.ndarray, padding: int) -> np.ndarray:
    """Pads with black on all sides and cuts the old size out at a random place."""
    count, _, height, width = images_NCHW.shape
    around = ((0, 0), (0, 0), (padding, padding), (padding, padding))
    places = np.lib.stride_tricks.sliding_window_view(np.pad(images_NCHW, around), (height, width), axis=(2, 3))
    rows, columns = (draws_N2 * (2 * padding + 1)).astype(np.int64).T
    return places[np.arange(count), :, rows, columns]


def random_flip(images_NCHW: np.ndarray, draws_N: np.ndarray) -> np.ndarray:
    """Mirrors every second image, on average, left to right."""
    return np.where((draws_N < 0.5)[:, None, None, None], images_NCHW[..., ::-1], images_NCHW)

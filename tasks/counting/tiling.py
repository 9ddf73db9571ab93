"""Prediction of images that are too large for one pass, tile by tile."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from backbones.errors import UserInputError

MARGIN = 64
"""Pixels that a tile sees beyond its own part on each inner side, so that its edges have context."""


class Tile(NamedTuple):
    """One tile along one axis, in cells: it answers for [start, stop) and looks at [seen_start, seen_stop)."""

    start: int
    stop: int
    seen_start: int
    seen_stop: int


def split(cells: int, tiles: int, margin: int) -> list[Tile]:
    """Divides `cells` into `tiles` parts whose sizes differ by one at most, each with `margin` cells of context.

    All look at equally many cells, at the image's ends too, so that memory which one tile leaves fits the next.
    """
    edges = [cells * i // tiles for i in range(tiles + 1)]
    seen = min(math.ceil(cells / tiles) + 2 * margin, cells)
    starts = [min(max(edge - margin, 0), cells - seen) for edge in edges[:-1]]
    return [Tile(a, b, start, start + seen) for (a, b), start in zip(itertools.pairwise(edges), starts, strict=True)]


def grid(cells_hw: tuple[int, int], stride: int, max_pixels: int | None) -> tuple[int, int]:
    """Rows and columns of the fewest tiles of which none, margins included, has more than `max_pixels` pixels.

    Raises:
        UserInputError: the budget is too small for a tile with its margins.
    """
    height, width = cells_hw
    if max_pixels is None or height * width * stride**2 <= max_pixels:
        return 1, 1
    margin = _margin(stride)
    fitting = [
        (rows * columns, abs(rows * width - columns * height), rows, columns)
        for rows in range(1, height + 1)
        if (columns := _fewest_columns(height, width, rows, margin, max_pixels // stride**2)) is not None
    ]
    if not fitting:
        least = (2 * margin + 1) ** 2 * stride**2
        raise UserInputError(
            f"test_cfg.max_pixels={max_pixels}: too small for a tile with {MARGIN} pixels of context on each side, "
            f"expected at least {least}, or None for whole images"
        )
    return min(fitting)[2:]


def _fewest_columns(height: int, width: int, rows: int, margin: int, max_cells: int) -> int | None:
    tall = min(math.ceil(height / rows) + 2 * margin, height) if rows > 1 else height
    if tall * width <= max_cells:
        return 1
    wide = max_cells // tall - 2 * margin
    return math.ceil(width / wide) if wide >= 1 else None


def _margin(stride: int) -> int:
    return math.ceil(MARGIN / stride)


def predict_tiled(
    predict: Callable[[Tensor], Tensor], image_13HW: Tensor, stride: int, rows_columns: tuple[int, int]
) -> Tensor:
    """Density (1, 1, H / stride, W / stride), rounded up, put together from `predict` on each tile of the image."""
    height, width = (-(-size // stride) for size in image_13HW.shape[-2:])
    margin = _margin(stride)
    bands = []
    for row in split(height, rows_columns[0], margin):
        parts = []
        for column in split(width, rows_columns[1], margin):
            top, bottom = row.seen_start * stride, row.seen_stop * stride
            left, right = column.seen_start * stride, column.seen_stop * stride
            seen = predict(image_13HW[..., top:bottom, left:right])
            rows = slice(row.start - row.seen_start, row.stop - row.seen_start)
            columns = slice(column.start - column.seen_start, column.stop - column.seen_start)
            parts.append(seen[..., rows, columns])
        bands.append(torch.cat(parts, dim=-1))
    return torch.cat(bands, dim=-2)

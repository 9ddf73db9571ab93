"""People in regions of an image: polygons and the cells of a grid, exact to the pixel.

A pixel belongs to a polygon where its centre does, and has its share of a density cell: one over the cell's pixels
inside the image. So regions that share no pixel and cover the image add up to its count.
"""

from __future__ import annotations

import functools
import itertools
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from backbones.errors import UserInputError
from tasks.counting.formats._base import as_points

MOST_POINTS = 10_000


@dataclass(frozen=True)
class Region:
    """A polygon by the pixel coordinates of its corners, in order.

    Attributes:
        name: in results.
        corners: three or more (x, y); (0, 0) is the outer corner of the first pixel.
    """

    name: str
    corners: tuple[tuple[float, float], ...]


def read_regions(given: Sequence[str | Path]) -> list[Region]:
    """Reads what `--roi` takes: `"x0,y0,x1,y1"`, or a JSON file with a list of points or with LabelMe's polygons.

    Regions are called by LabelMe's label, else by the file's name, rectangles `roi`; no two the same.

    Raises:
        UserInputError: a file that is missing or holds no polygon; fewer than three corners, or edges that cross.
    """
    regions: list[Region] = []
    used: set[str] = set()
    for name, where, corners in (found for one in given for found in _polygons(str(one))):
        unique, number = name, 2
        while unique in used:
            unique, number = f"{name}_{number}", number + 1
        used.add(unique)
        regions.append(Region(unique, _checked(where, corners)))
    return regions


def parse_grid(text: str) -> tuple[int, int]:
    """Rows and columns of `"4x6"`; raises `UserInputError` for anything else, and for 0."""
    match = re.fullmatch(r"(\d{1,6})\s*[xX]\s*(\d{1,6})", text.strip())
    rows, columns = map(int, match.groups()) if match else (0, 0)
    if rows < 1 or columns < 1:
        raise UserInputError(f"--grid {text}: expected ROWSxCOLUMNS of at least 1, such as 4x6")
    return rows, columns


def region_count(density_hw: np.ndarray, stride: int, shape_hw: tuple[int, int], region: Region) -> float:
    """People in a region.

    Args:
        density_hw: (ceil(H / stride), ceil(W / stride)) people per cell.
        stride: side of a cell in pixels.
        shape_hw: height and width of the image.
        region: of the image.

    Raises:
        UserInputError: the region reaches beyond the image, or holds no pixel's centre.
    """
    return float((np.asarray(density_hw, np.float64) * _shares(region, shape_hw, stride)).sum())


def grid_counts(
    density_hw: np.ndarray, stride: int, shape_hw: tuple[int, int], rows_columns: tuple[int, int]
) -> np.ndarray:
    """People in each cell of a grid, (rows, columns) float64; sides differ by a pixel at most.

    Raises:
        UserInputError: the grid has more rows or columns than the image has pixels.
    """
    if any(parts > size for parts, size in zip(rows_columns, shape_hw, strict=True)):
        raise UserInputError(
            f"--grid {rows_columns[0]}x{rows_columns[1]}: finer than the pixels of an image of {shape_hw[1]} x "
            f"{shape_hw[0]}, expected fewer rows and columns"
        )
    down, across = (_overlaps(size, stride, parts) for size, parts in zip(shape_hw, rows_columns, strict=True))
    return down @ np.asarray(density_hw, np.float64) @ across.T


def grid_edges(size: int, parts: int) -> list[int]:
    """Where the parts of a side of `size` pixels begin, and where the last one ends."""
    return [size * i // parts for i in range(parts + 1)]


def grid_outlines(shape_hw: tuple[int, int], rows_columns: tuple[int, int]) -> list[list[tuple[float, float]]]:
    """Corners of the grid's cells, row by row."""
    ys, xs = (grid_edges(size, parts) for size, parts in zip(shape_hw, rows_columns, strict=True))
    return [
        [(left, top), (right, top), (right, bottom), (left, bottom)]
        for top, bottom in itertools.pairwise(ys)
        for left, right in itertools.pairwise(xs)
    ]


def polygon_mask(corners: Sequence[tuple[float, float]], shape_hw: tuple[int, int]) -> np.ndarray:
    """Pixels whose centres lie inside a polygon (even-odd rule), (H, W) bool; polygons side by side share none."""
    height, width = shape_hw
    toggled = np.zeros((height, width + 1), bool)
    for (x0, y0), (x1, y1) in zip(corners, [*corners[1:], corners[0]], strict=True):
        # Rows whose centres lie in [low, high): an edge's lower end belongs to the next edge.
        first, last = (int(np.ceil(np.clip(y, 0, height) - 0.5)) for y in sorted((y0, y1)))
        rows = np.arange(first, last)
        if len(rows):
            x = x0 + (rows + 0.5 - y0) * (x1 - x0) / (y1 - y0)
            toggled[rows, np.ceil(np.clip(x, 0, width) - 0.5).astype(int)] ^= True
    return np.logical_xor.accumulate(toggled, axis=1)[:, :width]


@functools.lru_cache(maxsize=32)
def _shares(region: Region, shape_hw: tuple[int, int], stride: int) -> np.ndarray:
    """Share of each cell's pixels that lie in the region, (h, w); the frames of a video ask for the same one."""
    height, width = shape_hw
    for x, y in region.corners:
        if not (0 <= x <= width and 0 <= y <= height):
            raise UserInputError(
                f"--roi {region.name}: corner ({x:g}, {y:g}) lies outside the image of {width} x {height} pixels, "
                "expected a region inside it"
            )
    mask = polygon_mask(region.corners, shape_hw)
    if not mask.any():
        raise UserInputError(f"--roi {region.name}: holds no pixel, expected a larger region")
    inside, pixels = _by_cell(mask, stride), _by_cell(np.ones(shape_hw, bool), stride)
    return inside / pixels


def _by_cell(mask_HW: np.ndarray, stride: int) -> np.ndarray:
    height, width = (-(-size // stride) for size in mask_HW.shape)
    padded = np.zeros((height * stride, width * stride), bool)
    padded[: mask_HW.shape[0], : mask_HW.shape[1]] = mask_HW
    return padded.reshape(height, stride, width, stride).sum(axis=(1, 3))


def _overlaps(size: int, stride: int, parts: int) -> np.ndarray:
    """Share of each cell along one side that lies in each part, (parts, cells); a cell's shares add up to 1."""
    edges = np.array(grid_edges(size, parts))
    starts = np.arange(0, size, stride)
    stops = np.minimum(starts + stride, size)
    common = np.minimum(edges[1:, None], stops) - np.maximum(edges[:-1, None], starts)
    return common.clip(0) / (stops - starts)


# ---- reading polygons


def _polygons(given: str) -> list[tuple[str, str, Any]]:
    """Name, place in messages, and corners of each polygon that an argument of `--roi` stands for."""
    numbers = given.split(",")
    if len(numbers) == 4 and not Path(given).is_file():
        return [("roi", f"--roi {given}", _rectangle(given, numbers))]
    path = Path(given)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserInputError(f"--roi {given}: no such file, expected a polygon as JSON, or x0,y0,x1,y1") from None
    except OSError as error:
        raise UserInputError(f"--roi {given}: cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError):
        raise UserInputError(f"--roi {given}: is not JSON, expected a list of points [[x, y], ...]") from None
    if isinstance(content, dict) and isinstance(content.get("shapes"), list) and content["shapes"]:
        return [_labelme(shape, number, given) for number, shape in enumerate(content["shapes"], start=1)]
    if not isinstance(content, list):
        raise UserInputError(f"--roi {given}: holds no polygon, expected [[x, y], ...] or LabelMe's shapes")
    return [(path.stem, f"--roi {given}", content)]


def _rectangle(given: str, numbers: Sequence[str]) -> list[tuple[float, float]]:
    try:
        x0, y0, x1, y1 = map(float, numbers)
    except ValueError:
        raise UserInputError(f"--roi {given}: expected four numbers x0,y0,x1,y1, or a JSON file") from None
    if not (x0 < x1 and y0 < y1):
        raise UserInputError(f"--roi {given}: expected x0 < x1 and y0 < y1: left, top, right, bottom")
    return [(x0, y0), (x1, y0), (x1, y1), (x0, y1)]


def _labelme(shape: Any, number: int, given: str) -> tuple[str, str, Any]:
    kind = shape.get("shape_type", "polygon") if isinstance(shape, dict) else None
    corners = shape.get("points") if kind in ("polygon", "rectangle") else None
    if corners is None:
        raise UserInputError(f"--roi {given}: shape {number} is {kind!r}, expected LabelMe's 'polygon' or 'rectangle'")
    where = f"--roi {given}: shape {number}"
    if kind == "rectangle" and len(as_points(corners, Path(where))) != 2:
        raise UserInputError(f"{where}: a rectangle by {len(corners)} corners, expected two opposite ones")
    if kind == "rectangle":
        (x0, y0), (x1, y1) = np.sort(as_points(corners, Path(where))[:2], axis=0).tolist() or [(0, 0), (0, 0)]
        corners = [(x0, y0), (x1, y0), (x1, y1), (x0, y1)]
    return str(shape.get("label") or Path(given).stem), where, corners


def _checked(where: str, corners: Any) -> tuple[tuple[float, float], ...]:
    points = as_points(corners, Path(where))
    kept = points[(points != np.roll(points, -1, axis=0)).any(axis=1)] if len(points) else points
    if not 3 <= len(kept) <= MOST_POINTS:
        raise UserInputError(f"{where}: {len(kept)} different corners, expected 3 to {MOST_POINTS:,}")
    crossing = _crossing(kept)
    if crossing is not None:
        raise UserInputError(
            f"{where}: the edges from corners {crossing[0] + 1} and {crossing[1] + 1} cross or touch, expected corners "
            "in order around the region"
        )
    return tuple((float(x), float(y)) for x, y in kept)


def _crossing(corners: np.ndarray) -> tuple[int, int] | None:
    """The first two edges that have no corner in common, and a point all the same."""
    ends = np.roll(corners, -1, axis=0)
    low, high = np.minimum(corners, ends), np.maximum(corners, ends)
    for i in range(len(corners) - 2):
        others = np.arange(i + 2, len(corners) - (i == 0))  # the last edge ends where the first begins
        a, b, c, d = corners[i], ends[i], corners[others], ends[others]
        meet = (
            (_side(a, b, c) * _side(a, b, d) <= 0)
            & (_side(c, d, a) * _side(c, d, b) <= 0)
            & ((low[i] <= high[others]) & (low[others] <= high[i])).all(axis=1)
        )
        if meet.any():
            return i, int(others[meet.argmax()])
    return None


def _side(a: np.ndarray, b: np.ndarray, c: np.ndarray) -> np.ndarray:
    """Sign of where c lies, seen from a towards b."""
    ab, ac = b - a, c - a
    return np.sign(ab[..., 0] * ac[..., 1] - ab[..., 1] * ac[..., 0])

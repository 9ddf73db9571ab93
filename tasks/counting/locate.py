"""Where people are, from a density map; and how many of such points are right. Experimental.

A density map says how many people there are, not where each of them is: where they stand closer than two or three
cells, points are spread over the crowd as its density says.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from scipy.ndimage import gaussian_filter
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import maximum_bipartite_matching
from scipy.spatial import cKDTree

SMOOTHING = 0.7
"""Width, in cells, of what a map is smoothed by before its maxima are looked for."""

WIDTHS = (0.4, 0.6, 0.9, 1.35, 2.0)
"""Widths, in cells, of what one person may take away around a maximum: the narrowest that holds a whole person."""

REACH = 6
"""Cells on each side that one person may take away from."""

MARGIN = REACH + 3
"""Cells on each side whose smoothed value changes by that."""


def locate(
    density_hw: np.ndarray, stride: int, *, shape_hw: tuple[int, int] | None = None, number: int | None = None
) -> np.ndarray:
    """Points of people, as many as the map's rounded sum, the surest first.

    Again and again the highest maximum of what is left of the (smoothed) map is a person, placed by a parabola through
    the logarithms of the neighbours, which is exact for a Gaussian; one person's mass around it is taken away.

    Args:
        density_hw: (h, w) people per cell; negative values count as 0.
        stride: side of a cell in pixels.
        shape_hw: height and width of the image, where it ends inside the last cells.
        number: of points, if not the rounded sum.

    Returns:
        (N, 2) float64 x and y in continuous pixel coordinates, inside the image; fewer than `number` where nothing is
        left of the map.

    Raises:
        ValueError: the map is not finite, or not two-dimensional.
    """
    density = np.asarray(density_hw, np.float64)
    if density.ndim != 2 or not np.isfinite(density).all():
        raise ValueError(f"density of shape {density.shape}: expected (h, w) finite numbers")
    wanted = round(float(density.sum())) if number is None else number
    left = np.pad(density.clip(0), MARGIN)
    smooth = gaussian_filter(left, SMOOTHING, mode="constant")
    inner = smooth[MARGIN:-MARGIN, MARGIN:-MARGIN]
    points: list[tuple[float, float]] = []
    while len(points) < wanted:
        row, column = (int(at) + MARGIN for at in np.unravel_index(inner.argmax(), inner.shape))
        if smooth[row, column] <= 1e-9:
            break
        x, y = (_offset(line) for line in (smooth[row, column - 1 : column + 2], smooth[row - 1 : row + 2, column]))
        points.append((column + x, row + y))
        _take_one(left, smooth, row, column)
    xy = (np.array(points, np.float64).reshape(-1, 2) - MARGIN + 0.5) * stride
    height, width = shape_hw or tuple(cells * stride for cells in density.shape)
    return xy.clip(0, (width - 0.5, height - 0.5))


def _offset(three: np.ndarray) -> float:
    """Where between -0.5 and 0.5 a Gaussian through three neighbouring values, the middle one largest, has its top."""
    before, here, after = np.log(np.maximum(three, 1e-4 * three[1]))
    bend = 2 * here - before - after
    return float(np.clip(0.5 * (after - before) / bend, -0.5, 0.5)) if bend > 1e-9 else 0.0


def _take_one(left: np.ndarray, smooth: np.ndarray, row: int, column: int) -> None:
    """Takes one person's mass, or what there is of it, away around a cell, in place."""
    window = (slice(row - MARGIN, row + MARGIN + 1), slice(column - MARGIN, column + MARGIN + 1))
    for kernel in _KERNELS:
        mass = left[window] * kernel
        if mass.sum() >= 1:
            break
    taken = mass / max(mass.sum(), 1)
    left[window] -= taken
    smooth[window] -= gaussian_filter(taken, SMOOTHING, mode="constant")


def _kernel(width: float) -> np.ndarray:
    away = np.arange(-MARGIN, MARGIN + 1)
    line = np.exp(-(away**2) / (2 * width**2)) * (abs(away) <= REACH)
    return np.outer(line, line)


_KERNELS = [_kernel(width) for width in WIDTHS]


def matches(found_xy: np.ndarray, true_xy: np.ndarray, radius: float) -> int:
    """The largest number of pairs, each point in one at most, that lie `radius` pixels apart or less.

    Args:
        found_xy: (N, 2).
        true_xy: (M, 2).
        radius: in pixels.
    """
    if not len(found_xy) or not len(true_xy):
        return 0
    near = cKDTree(true_xy).query_ball_point(found_xy, radius)
    ends = np.cumsum([0, *map(len, near)])
    indices = np.concatenate([np.asarray(one, np.int64) for one in near])
    graph = csr_matrix((np.ones(len(indices)), indices, ends), shape=(len(found_xy), len(true_xy)))
    return int((maximum_bipartite_matching(graph, perm_type="column") >= 0).sum())


def scores(counts: Iterable[tuple[int, int, int]]) -> dict[str, float]:
    """Precision, recall and F1 over all images, from (matched, found, true) of each; 0 where there is nothing.

    >>> scores([(1, 2, 1), (1, 1, 3)])
    {'precision': 0.6666666666666666, 'recall': 0.5, 'f1': 0.5714285714285714}
    """
    matched, found, true = (sum(column) for column in zip(*counts, strict=True))
    return {
        "precision": matched / found if found else 0.0,
        "recall": matched / true if true else 0.0,
        "f1": 2 * matched / (found + true) if found + true else 0.0,
    }

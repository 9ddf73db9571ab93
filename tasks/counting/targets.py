"""Density maps with exact mass, made straight on the grid of the head."""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree

NEIGHBOURS = 3
BETA = 0.3
SIGMA_OF_LONE_POINT = 15.0
ENTRIES = 2**20  # kernel values held at a time; bounds memory whatever the number of points


def density_map(
    points_xy: np.ndarray,
    shape_hw: tuple[int, int],
    stride: int,
    sigma: float | np.ndarray,
    truncate: float = 4.0,
) -> np.ndarray:
    """People per cell: a Gaussian for each point, whose sum is the number of points inside the image.

    A point's Gaussian is sampled at pixel centres within `int(truncate * sigma + 0.5)` pixels of the point's own pixel
    (scipy's discrete convention: for a point on a pixel's centre, `scipy.ndimage.gaussian_filter` of that pixel),
    clipped to the image and then normalised to 1. Pixels are summed over cells of `stride` x `stride`; cells
    on the far borders may reach beyond the image, where there is no mass.

    Each kernel is a product of two one-dimensional ones, so that n points cost n short vectors for each axis, summed
    into cells, and one product of (h, n) and (n, w) matrices.

    Args:
        points_xy: (N, 2) points in continuous pixel coordinates; those outside the image have no mass.
        shape_hw: height and width of the image in pixels.
        stride: side of a cell in pixels.
        sigma: width in pixels, one for all points or (N,); 0 puts a point into its own pixel.
        truncate: reach of a Gaussian in widths.

    Returns:
        (ceil(H / stride), ceil(W / stride)) float32, accumulated in float64.

    Raises:
        ValueError: an argument out of range.

    >>> density_map(np.array([[0.5, 0.5], [0.5, 0.5]]), (12, 20), stride=8, sigma=2.0).shape
    (2, 3)
    """
    height, width = shape_hw
    points = np.asarray(points_xy, dtype=np.float64).reshape(-1, 2)
    sigmas = np.broadcast_to(np.asarray(sigma, dtype=np.float64), len(points))
    if min(height, width, stride) < 1 or not np.isfinite(sigmas).all() or (sigmas < 0).any() or not truncate > 0:
        raise ValueError(
            f"shape_hw={shape_hw}, stride={stride}, truncate={truncate}, sigma={sigma}: expected positive sizes and "
            "finite widths of at least 0"
        )
    inside = inside_mask(points, shape_hw)
    points, sigmas = points[inside], sigmas[inside]
    total = np.zeros((-(-height // stride), -(-width // stride)))
    chunk = max(1, ENTRIES // max(height, width))
    for start in range(0, len(points), chunk):
        (x, y), s = points[start : start + chunk].T, sigmas[start : start + chunk]
        gx_Nw = _binned_kernels(x, s, width, stride, truncate)
        gy_Nh = _binned_kernels(y, s, height, stride, truncate)
        total += gy_Nh.T @ gx_Nw
    return total.astype(np.float32)


def _binned_kernels(at_N: np.ndarray, sigma_N: np.ndarray, size: int, stride: int, truncate: float) -> np.ndarray:
    """Normalised Gaussians along one axis of `size` pixels, summed over cells: (N, ceil(size / stride))."""
    number, cells = len(at_N), -(-size // stride)
    own = at_N.astype(np.int64)
    radius = np.minimum(truncate * sigma_N + 0.5, size).astype(np.int64)
    first = np.maximum(own - radius, 0)
    length = np.minimum(own + radius, size - 1) - first + 1
    # One flat array holds the windows of all points, one after the other.
    point = np.repeat(np.arange(number), length)
    pixel = np.arange(len(point)) - np.repeat(np.cumsum(length) - length - first, length)
    # Distances are relative to the own pixel's, so that its weight is 1 and no window underflows to nothing.
    squared = (pixel + 0.5 - at_N[point]) ** 2 - ((own + 0.5 - at_N) ** 2)[point]
    weight = np.exp(-squared * (0.5 / np.maximum(sigma_N, 1e-6) ** 2)[point])
    binned = np.bincount(point * cells + pixel // stride, weight, number * cells).reshape(number, cells)
    return binned / np.bincount(point, weight, number)[:, None]


def adaptive_sigma(
    points_xy: np.ndarray, shape_hw: tuple[int, int] | None = None, *, max_sigma: float | None = None
) -> np.ndarray:
    """Geometry-adaptive widths (Zhang et al., CVPR 2016, eq. 4): 0.3 x the mean distance of the 3 nearest points.

    With two or three points the mean is over the one or two neighbours there are. One point alone gets mean(H, W) / 4,
    as in CSRNet's `make_dataset`, or CSRNet's fixed width 15 where no `shape_hw` is given. Four stacked points get 0.

    Args:
        points_xy: (N, 2) points in pixels.
        shape_hw: height and width of the image.
        max_sigma: upper bound, in pixels.

    Returns:
        (N,) float64 widths in pixels.
    """
    points = np.asarray(points_xy, dtype=np.float64).reshape(-1, 2)
    if len(points) < 2:
        sigma = np.full(len(points), SIGMA_OF_LONE_POINT if shape_hw is None else sum(shape_hw) / 8)
    else:
        distances, _ = cKDTree(points).query(points, k=min(NEIGHBOURS + 1, len(points)))
        sigma = BETA * distances[:, 1:].mean(axis=1)  # the nearest is the point itself, or one stacked on it
    return sigma if max_sigma is None else np.minimum(sigma, max_sigma)


def inside_mask(points_xy: np.ndarray, shape_hw: tuple[int, int]) -> np.ndarray:
    """Which of the points (N, 2) lie in the image, 0 <= x < W and 0 <= y < H: (N,) bool."""
    height, width = shape_hw
    return ((points_xy >= 0) & (points_xy < (width, height))).all(axis=1)

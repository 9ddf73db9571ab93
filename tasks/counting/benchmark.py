"""Speed, mass and memory of density targets, beside a full-size Gaussian filter for each point."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.ndimage import gaussian_filter

from backbones.errors import UserInputError
from tasks.counting.dataset import CrowdDataset
from tasks.counting.scenes import make_scene
from tasks.counting.targets import adaptive_sigma, density_map
from transfer.measure.timing import CLOCKS, bootstrap_median

SIGMA = 8.0
PART_A = "ShanghaiTech/part_A"
AGAINST = "scipy gaussian_filter of the full size, a head at a time"
SHORTEST = 0.005
"""Seconds that a timed stretch lasts at least: the toolkit's maps of one image are repeated for so long."""

MEMORY_SHAPE = (768, 1024)


@dataclass(frozen=True)
class Crowd:
    """Points (N, 2) of an image of (height, width), with their geometry-adaptive widths (N,)."""

    points: np.ndarray
    shape: tuple[int, int]
    sigma: np.ndarray


def part_a(split: str = "test", limit: int | None = None) -> list[Crowd]:
    """The images of ShanghaiTech A that have points, or as many of them as `limit` says, evenly spread."""
    data = CrowdDataset(PART_A, split)
    samples = [data.sample(i) for i in spread(len(data), limit)]
    return [Crowd(one.points, one.shape, one.sigma) for one in samples if len(one.points)]


def generated(count: int, seed: int = 0) -> list[Crowd]:
    """Points of generated scenes, see `tasks.counting.scenes`."""
    scenes = (make_scene(seed, number) for number in range(count))
    return [
        Crowd(points, image.shape[:2], adaptive_sigma(points, image.shape[:2]).astype(np.float32))
        for image, points in scenes
        if len(points)
    ]


def spread(total: int, limit: int | None) -> Iterable[int]:
    """`limit` of `total` indices, evenly spread; all of them with None."""
    if limit is None or limit >= total:
        return range(total)
    return np.linspace(0, total - 1, limit).round().astype(int).tolist()


def measure_density(
    name: str,
    images: Sequence[Crowd],
    *,
    stride: int,
    adaptive: bool,
    sample: int = 3,
    clock: str = "wall",
    seed: int = 0,
) -> dict[str, Any]:
    """Times `density_map` against the filter that CSRNet's script runs for each point, image by image.

    Args:
        name: of the images.
        images: with their points.
        stride: of the toolkit's maps; the filter's are of the full size.
        adaptive: geometry-adaptive widths, instead of 8 pixels.
        sample: points of each image that the filter runs for, drawn at random; the time of all follows from theirs.
        clock: a name of `CLOCKS`.
        seed: of drawing and resampling.

    Returns:
        A row with `name`, `mode`, `stride`, `images`, `heads`, `ms_per_image`, `against`, `against_ms_per_image`,
        `sample`, `speedup` (median over images), `speedup_ci95`, `speedup_total` (total time by total time),
        `mass_error` (greatest |sum - points|), `clock`.

    Raises:
        UserInputError: no images, or a number below 1.
    """
    if sample < 1 or not images:
        raise UserInputError(f"--sample {sample} on {len(images)} images with points: expected 1 or more of both")
    rng, read = np.random.default_rng(seed), CLOCKS[clock]
    own, other, errors = np.zeros(len(images)), np.zeros(len(images)), []
    for place, crowd in enumerate(images):
        sigma = crowd.sigma if adaptive else np.full(len(crowd.points), SIGMA)
        density = density_map(crowd.points, crowd.shape, stride, sigma)
        errors.append(abs(density.sum(dtype=np.float64) - len(crowd.points)))
        own[place] = _own_seconds(crowd, stride, sigma, read)
        other[place] = _filter_seconds(crowd, sigma, rng.permutation(len(crowd.points))[:sample], read)
    ratios = other / own
    return {
        "name": name,
        "mode": "adaptive widths" if adaptive else f"width {SIGMA:g}",
        "stride": stride,
        "images": len(images),
        "heads": sum(len(crowd.points) for crowd in images),
        "ms_per_image": 1000 * float(own.mean()),
        "against": AGAINST,
        "against_ms_per_image": 1000 * float(other.mean()),
        "sample": sample,
        "speedup": float(np.median(ratios)),
        "speedup_ci95": list(bootstrap_median(ratios, seed)),
        "speedup_total": float(other.sum() / own.sum()),
        "mass_error": float(max(errors)),
        "clock": clock,
    }


def _own_seconds(crowd: Crowd, stride: int, sigma: np.ndarray, read: Any) -> float:
    times, started = 0, read()
    while times == 0 or read() - started < SHORTEST:
        density_map(crowd.points, crowd.shape, stride, sigma)
        times += 1
    return (read() - started) / times


def _filter_seconds(crowd: Crowd, sigma: np.ndarray, picked: np.ndarray, read: Any) -> float:
    """Seconds of all points, from those of the picked ones."""
    total = np.zeros(crowd.shape)
    started = read()
    for point in picked:
        one = np.zeros(crowd.shape)
        x, y = crowd.points[point].astype(int)
        one[y, x] = 1
        total += gaussian_filter(one, sigma[point], mode="constant", truncate=4.0)
    return (read() - started) * len(crowd.points) / len(picked)


def measure_density_memory(counts: Sequence[int], *, stride: int = 8, seed: int = 0) -> list[dict[str, Any]]:
    """Greatest memory that `density_map` holds at a time, by the number of points in an image of 1024 x 768.

    Returns:
        Rows with `name`, `mode`, `stride`, `heads`, `peak_memory_mb` (what numpy allocates, the points not counted).
    """
    rng = np.random.default_rng(seed)
    return [
        {
            "name": "1024 x 768, random heads",
            "mode": "memory",
            "stride": stride,
            "heads": count,
            "peak_memory_mb": _peak(rng.random((count, 2)) * MEMORY_SHAPE[::-1], stride) / 1e6,
        }
        for count in counts
    ]


def _peak(points: np.ndarray, stride: int) -> int:
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        density_map(points, MEMORY_SHAPE, stride, SIGMA)
        return tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()

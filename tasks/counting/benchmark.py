"""Speed, mass and memory of density targets, beside a full-size Gaussian filter for each head."""

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
"""Seconds that a timed stretch lasts at least: the toolkit's maps of one picture are repeated for so long."""

MEMORY_SHAPE = (768, 1024)


@dataclass(frozen=True)
class Heads:
    """Heads (N, 2) of a picture of (height, width), with their geometry-adaptive widths (N,)."""

    points: np.ndarray
    shape: tuple[int, int]
    sigma: np.ndarray


def part_a(split: str = "test", limit: int | None = None) -> list[Heads]:
    """The pictures of ShanghaiTech A that have heads, or as many of them as `limit` says, evenly spread."""
    data = CrowdDataset(PART_A, split)
    samples = [data.sample(i) for i in spread(len(data), limit)]
    return [Heads(one.points, one.shape, one.sigma) for one in samples if len(one.points)]


def generated(count: int, seed: int = 0) -> list[Heads]:
    """Heads of generated scenes, see `tasks.counting.scenes`."""
    scenes = (make_scene(seed, number) for number in range(count))
    return [
        Heads(points, picture.shape[:2], adaptive_sigma(points, picture.shape[:2]).astype(np.float32))
        for picture, points in scenes
        if len(points)
    ]


def spread(total: int, limit: int | None) -> Iterable[int]:
    """`limit` of `total` indices, evenly spread; all of them with None."""
    if limit is None or limit >= total:
        return range(total)
    return np.linspace(0, total - 1, limit).round().astype(int).tolist()


def measure_density(
    name: str,
    pictures: Sequence[Heads],
    *,
    stride: int,
    adaptive: bool,
    sample: int = 3,
    clock: str = "wall",
    seed: int = 0,
) -> dict[str, Any]:
    """Times `density_map` against the filter that CSRNet's script runs for each head, picture by picture.

    Args:
        name: of the pictures.
        pictures: with their heads.
        stride: of the toolkit's maps; the filter's are of the full size.
        adaptive: geometry-adaptive widths, instead of 8 pixels.
        sample: heads a picture that the filter runs for, drawn at random; the time of all follows from theirs.
        clock: a name of `CLOCKS`.
        seed: of drawing and resampling.

    Returns:
        A row with `name`, `mode`, `stride`, `images`, `heads`, `ms_per_image`, `against`, `against_ms_per_image`,
        `sample`, `speedup` (median over pictures), `speedup_ci95`, `speedup_total` (total time by total time),
        `mass_error` (greatest |sum - heads|), `clock`.

    Raises:
        UserInputError: no pictures, or a number below 1.
    """
    if sample < 1 or not pictures:
        raise UserInputError(f"--sample {sample} on {len(pictures)} pictures with heads: expected 1 or more of both")
    rng, read = np.random.default_rng(seed), CLOCKS[clock]
    own, other, errors = np.zeros(len(pictures)), np.zeros(len(pictures)), []
    for place, heads in enumerate(pictures):
        sigma = heads.sigma if adaptive else np.full(len(heads.points), SIGMA)
        density = density_map(heads.points, heads.shape, stride, sigma)
        errors.append(abs(density.sum(dtype=np.float64) - len(heads.points)))
        own[place] = _own_seconds(heads, stride, sigma, read)
        other[place] = _filter_seconds(heads, sigma, rng.permutation(len(heads.points))[:sample], read)
    ratios = other / own
    return {
        "name": name,
        "mode": "adaptive widths" if adaptive else f"width {SIGMA:g}",
        "stride": stride,
        "images": len(pictures),
        "heads": sum(len(heads.points) for heads in pictures),
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


def _own_seconds(heads: Heads, stride: int, sigma: np.ndarray, read: Any) -> float:
    times, started = 0, read()
    while times == 0 or read() - started < SHORTEST:
        density_map(heads.points, heads.shape, stride, sigma)
        times += 1
    return (read() - started) / times


def _filter_seconds(heads: Heads, sigma: np.ndarray, picked: np.ndarray, read: Any) -> float:
    """Seconds of all heads, from those of the picked ones."""
    total = np.zeros(heads.shape)
    started = read()
    for head in picked:
        one = np.zeros(heads.shape)
        x, y = heads.points[head].astype(int)
        one[y, x] = 1
        total += gaussian_filter(one, sigma[head], mode="constant", truncate=4.0)
    return (read() - started) * len(heads.points) / len(picked)


def measure_density_memory(counts: Sequence[int], *, stride: int = 8, seed: int = 0) -> list[dict[str, Any]]:
    """Greatest memory that `density_map` holds at a time, by the number of heads in a picture of 1024 x 768.

    Returns:
        Rows with `name`, `mode`, `stride`, `heads`, `peak_memory_mb` (what numpy allocates, the heads not counted).
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

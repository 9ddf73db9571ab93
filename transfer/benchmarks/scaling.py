"""How cost grows with the work: times over a range of sizes, and the slope on logarithmic scales."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from transfer.benchmarks.search_speed import draw_schemes, noise, supernet
from transfer.engine.figure import COLOURS, new_figure
from transfer.measure.timed_models import Settings
from transfer.search.supernet.evaluator import TrieEvaluator

if TYPE_CHECKING:
    from matplotlib.axes import Axes

NETWORK = "resnet38_full_share_se.cifar100"
SIDE = 16
"""Pixels of the images that schemes are evaluated on: a quarter of CIFAR's, so that 10,000 take seconds."""


@dataclass(frozen=True)
class Series:
    """Work that can be had in several sizes.

    Attributes:
        name: what is done.
        unit: of the sizes.
        work: gives, for a size, the function to time.
        sizes: ascending.
    """

    name: str
    unit: str
    work: Callable[[float], Callable[[], object]]
    sizes: Sequence[float]


def measure_scaling(series: Sequence[Series], settings: Settings) -> list[dict[str, Any]]:
    """Times every series; the sizes of one take turns.

    Returns:
        Rows with `name`, `mode`, `unit`, `n` (the size), `seconds` (median), `slope` (fitted to the whole series: 1 is
        linear), `last_slope` (between the two greatest sizes, None for a single one), `rounds`, `clock`, `threads`.
    """
    settings.set_threads()
    rows = []
    for one in series:
        works = [one.work(size) for size in one.sizes]
        works[0]()  # warms up
        seconds = np.median(settings.seconds(works, device=settings.device), axis=0)
        for size, taken in zip(one.sizes, seconds, strict=True):
            rows.append(
                {
                    "name": one.name,
                    "mode": "scaling",
                    "unit": one.unit,
                    "n": size,
                    "seconds": float(taken),
                    "slope": slope(one.sizes, seconds),
                    "last_slope": slope(one.sizes[-2:], seconds[-2:]),
                    **settings.as_row(),
                }
            )
    return rows


def slope(sizes: Sequence[float], seconds: Sequence[float] | np.ndarray) -> float | None:
    """The exponent k of `seconds ~ sizes ** k`, by least squares on logarithms; None for fewer than two sizes.

    >>> round(slope([1, 10, 100], [2.0, 200.0, 20_000.0]), 6)
    2.0
    """
    if len(sizes) < 2:
        return None
    return float(np.polyfit(np.log(sizes), np.log(seconds), 1)[0])


def search_series(schemes: Sequence[int], images: Sequence[int], settings: Settings) -> list[Series]:
    """Evaluation by the trie against the number of schemes (one batch) and of images (4 schemes).

    Args:
        schemes: numbers of random schemes, each set holding the one before.
        images: numbers of images, in batches of `settings.batch`.
        settings: batch, device and seed.
    """
    net = supernet(NETWORK, noise(max(2, settings.batch), SIDE, settings)[0], settings.seed)
    drawn = draw_schemes(net.arch.depths, max((*schemes, 4)), settings.seed)
    one = TrieEvaluator(net, [noise(settings.batch, SIDE, settings)], channels_last=True)

    def of_images(count: float) -> Callable[[], object]:
        full, rest = divmod(int(count), settings.batch)
        sizes = [settings.batch] * full + ([rest] if rest else [])
        batch = noise(settings.batch, SIDE, settings)
        evaluator = TrieEvaluator(net, [(batch[0][:n], batch[1][:n]) for n in sizes], channels_last=True)
        return lambda: evaluator.evaluate(drawn[:4])

    return [
        Series("trie evaluation", "schemes", lambda count: lambda: one.evaluate(drawn[: int(count)]), schemes),
        Series("trie evaluation, 4 schemes", "images", of_images, images),
    ]


def draw_scaling(rows: Sequence[dict[str, Any]], path: str | Path) -> None:
    """Seconds against size on logarithmic scales, a panel for each unit, fitted slopes in the legends; a PNG."""
    units = list(dict.fromkeys(row["unit"] for row in rows))
    with new_figure(path, (3.4 * len(units), 3.4)) as figure:
        for axes, unit in zip(figure.subplots(1, len(units), squeeze=False)[0], units, strict=True):
            names = dict.fromkeys(row["name"] for row in rows if row["unit"] == unit)
            for name, colour in zip(names, itertools.cycle(COLOURS), strict=False):
                _plot(axes, name, [row for row in rows if (row["unit"], row["name"]) == (unit, name)], colour)
            axes.set(xlabel=unit, ylabel="seconds")
            axes.grid(alpha=0.3)
            axes.legend(fontsize=7)


def _plot(axes: Axes, name: str, rows: Sequence[dict[str, Any]], colour: str) -> None:
    """The times of one series, and the line of its slope."""
    sizes, seconds = (np.array([row[key] for row in rows]) for key in ("n", "seconds"))
    exponent = rows[0]["slope"]
    axes.loglog(sizes, seconds, "o", color=colour, label=name if exponent is None else f"{name}: slope {exponent:.2f}")
    if exponent is not None:
        level = np.exp(np.mean(np.log(seconds)) - exponent * np.mean(np.log(sizes)))
        axes.loglog(sizes, level * sizes**exponent, "-", color=colour, linewidth=0.8)

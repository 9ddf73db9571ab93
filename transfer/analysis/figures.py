"""The figures of a search's report."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, cast

import numpy as np

from transfer.analysis.tickets import CONVERGED, Convergence, RatioGroup, ScoreSet
from transfer.engine.figure import BLACK, BLUE, GREEN, GREY, ORANGE, PURPLE, SKY, YELLOW, new_figure
from transfer.search.objective import FrontPoint

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.collections import Collection

STYLES = (
    (BLUE, "o", "-"),
    (ORANGE, "s", "--"),
    (GREEN, "^", ":"),
    (BLACK, "D", "-."),
    (PURPLE, "v", "-"),
    (YELLOW, "P", "--"),
    (SKY, "X", "-."),
    (GREY, "*", "-"),
)
OVER = 10
"""Steps over which p-bar is averaged, as a step of one scheme says little."""
LEAST_FOR_VIOLIN = 5
"""Fewer points are only drawn as points: a density would be invented."""


class Accuracies(NamedTuple):
    """Of a scheme in percent, by the supernet and stand-alone."""

    name: str
    supernet: float
    alone: float


@contextmanager
def panels(
    path: str | Path, size: tuple[float, float], columns: int = 1, legend: str = "best"
) -> Iterator[tuple[Axes, ...]]:
    """Axes beside each other to draw on; the PNG is written at the end.

    Args:
        path: the PNG.
        size: of all, in inches, of 120 pixels each.
        columns: number of axes.
        legend: its place in each of them that has labels; `"outside"`: one for all, of the first one's labels.
    """
    with new_figure(path, size) as figure:
        row = tuple(figure.subplots(1, columns, squeeze=False)[0])
        for axes in row:
            axes.grid(alpha=0.3)
            axes.set_axisbelow(True)
        yield row
        if legend == "outside":
            columns = int(size[0] // 3.5)  # inches that a label takes
            shown = row[0].get_legend_handles_labels()
            figure.legend(*shown, loc="outside lower center", ncols=columns, frameon=False, fontsize="small")
        else:
            for axes in row:
                if axes.get_legend_handles_labels()[0]:
                    axes.legend(framealpha=0.85, edgecolor="none", fontsize="small", loc=legend)


@contextmanager
def panel(path: str | Path, size: tuple[float, float] = (7.0, 4.2), legend: str = "best") -> Iterator[Axes]:
    """One pair of axes to draw on, as `panels` has them."""
    with panels(path, size, legend=legend) as (axes,):
        yield axes


def draw_progress(path: str | Path, accuracies: Sequence[float], best: int | None = None) -> None:
    """Accuracy of each evaluated scheme, and the best so far.

    Args:
        path: the PNG.
        accuracies: percent, in the order in which the search asked for them.
        best: place of the scheme that the search returned, 0-based.
    """
    at = np.arange(1, len(accuracies) + 1)
    with panel(path) as axes:
        axes.plot(at, accuracies, ".", color=GREY, markersize=4, label="evaluated scheme")
        axes.step(at, list(accumulate(accuracies, max)), where="post", color=BLUE, label="best accuracy so far")
        if best is not None:
            axes.plot(best + 1, accuracies[best], "*", color=ORANGE, markersize=13, label="returned as best")
        axes.set(xlabel="distinct schemes evaluated", ylabel="accuracy by the supernet (%)")


def draw_scores(path: str | Path, sets: Sequence[ScoreSet], depths: Sequence[int]) -> None:
    """Connection scores of sets of schemes with their regression lines (LTH4SA, Fig. 3); lines between stages."""
    with panel(path, legend="outside") as axes:
        for (colour, marker, line), group in zip(STYLES, sets, strict=False):
            blocks = np.arange(1, len(group.scores) + 1)
            label = f"{group.name} (N={group.count}), slope {group.trend.slope:+.4f}"
            axes.plot(blocks, group.scores, marker, color=colour, markersize=5, label=label)
            axes.plot(blocks, group.trend.intercept + group.trend.slope * blocks, line, color=colour, linewidth=1.2)
        for end in list(accumulate(depths))[:-1]:
            axes.axvline(end + 0.5, color=BLACK, linewidth=0.6, alpha=0.5)
        axes.set(xlabel="block", ylabel="connection score (Eq. 5)", ylim=(-0.03, 1.03))


def draw_violins(
    path: str | Path, groups: Sequence[RatioGroup], full: float | None = None, plain: float | None = None
) -> None:
    """Distribution of accuracy over connection ratios (LTH4SA, Fig. 2).

    Args:
        path: the PNG.
        groups: schemes of like ratio; bars are maximum, mean and minimum.
        full: accuracy with every block connected, dotted.
        plain: accuracy with none, dashed.
    """
    with panel(path, (max(7.0, 0.55 * len(groups) + 1.5), 4.2)) as axes:
        for place, group in enumerate(groups):
            violin(axes, place, group.accuracies)
        if full is not None:
            axes.axhline(full, color=BLACK, linestyle=":", label=f"every block connected ({full:.2f} %)")
        if plain is not None:
            axes.axhline(plain, color=ORANGE, linestyle="--", label=f"no block connected ({plain:.2f} %)")
        by_count = all(group.label.isdigit() for group in groups)
        axes.set_xticks(range(len(groups)), [f"{group.label}\nn={len(group.accuracies)}" for group in groups])
        axes.tick_params(axis="x", labelsize="small")
        what = "connected blocks" if by_count else "connection ratio"
        axes.set(xlabel=f"{what} (n schemes)", ylabel="accuracy by the supernet (%)", xlim=(-0.7, len(groups) - 0.3))


def violin(axes: Axes, place: int, accuracies: np.ndarray) -> None:
    """The distribution of values (n,) at a place of the horizontal axis; few or equal ones as points."""
    if len(accuracies) >= LEAST_FOR_VIOLIN and np.ptp(accuracies) > 0:
        parts = axes.violinplot(accuracies, [place], widths=0.8, showextrema=False)
        # matplotlib's stub says that each part is one collection; the bodies are a list of them.
        for body in cast("list[Collection]", parts["bodies"]):
            body.set(facecolor=BLUE, alpha=0.35, edgecolor=BLUE)
        axes.vlines(place, accuracies.min(), accuracies.max(), color=BLUE, linewidth=1)
        bars = (accuracies.min(), accuracies.mean(), accuracies.max())
        axes.hlines(bars, place - 0.18, place + 0.18, color=BLUE, linewidth=1.5)
    else:
        axes.plot(np.full(len(accuracies), place), accuracies, "o", color=BLUE, markersize=4)


def draw_p_bar(path: str | Path, searches: Mapping[str, Convergence]) -> None:
    """p-bar over the steps of one or several searches (LTH4SA, Fig. 5), by their names."""
    with panel(path, legend="lower right") as axes:
        plot_p_bar(axes, searches)


def plot_p_bar(axes: Axes, searches: Mapping[str, Convergence]) -> None:
    """p-bar over steps, a line for each search: the mean over the last steps, and behind it each step, faint."""
    for (colour, marker, line), (name, search) in zip(itertools.cycle(STYLES), searches.items(), strict=False):
        steps = [snapshot.step for snapshot in search.snapshots]
        p_bar = [snapshot.p_bar for snapshot in search.snapshots]
        means = [float(np.mean(p_bar[max(0, at - OVER + 1) : at + 1])) for at in range(len(p_bar))]
        every = max(1, len(steps) // 15)
        axes.plot(steps, p_bar, "-", color=colour, linewidth=0.6, alpha=0.25)
        axes.plot(steps, means, line, color=colour, marker=marker, markersize=4, markevery=every, label=name)
    axes.axhline(CONVERGED, color=GREY, linestyle=":", linewidth=1)
    axes.set(xlabel="step of the search", ylabel=f"p-bar, mean over {OVER} steps", ylim=(0.4, 1.03))


def draw_front(path: str | Path, found: Sequence[FrontPoint], front: Sequence[FrontPoint]) -> None:
    """Accuracy against cost: all evaluated schemes whose cost is known, and the front."""
    with panel(path) as axes:
        if found:
            costs, accuracies = [p.cost for p in found], [p.accuracy for p in found]
            axes.plot(costs, accuracies, ".", color=GREY, markersize=4, label="evaluated scheme")
        points = sorted(front, key=lambda p: p.cost)
        costs, accuracies = [p.cost for p in points], [p.accuracy for p in points]
        axes.step(costs, accuracies, where="post", color=BLUE, marker="o", label="front")
        axes.set(xlabel="cost", ylabel="accuracy by the supernet (%)")


def draw_correlation(path: str | Path, schemes: Sequence[Accuracies], metric: str) -> None:
    """Stand-alone accuracy over the supernet's, a named point for each scheme."""
    with panel(path) as axes:
        middle = sum(one.supernet for one in schemes) / len(schemes)
        for name, supernet, alone in schemes:
            side = {"xytext": (-6, 4), "ha": "right"} if supernet > middle else {"xytext": (6, 4)}
            axes.plot(supernet, alone, "o", color=BLUE)
            axes.annotate(name, (supernet, alone), textcoords="offset points", fontsize="small", **side)
        axes.set(xlabel="accuracy by the supernet (%)", ylabel=f"stand-alone {metric} accuracy (%)")
        axes.margins(0.12)

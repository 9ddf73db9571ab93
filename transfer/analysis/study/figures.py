"""The figures of a study of a supernet."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from transfer.analysis import figures
from transfer.analysis.figures import STYLES, plot_p_bar
from transfer.analysis.tickets import Convergence, RatioGroup
from transfer.engine.figure import BLACK, BLUE, GREY, ORANGE

if TYPE_CHECKING:
    from matplotlib.axes import Axes


class Scatter(NamedTuple):
    """One pair of axes: two values of the same schemes, and some of these by name.

    Attributes:
        x: (n,).
        y: (n,).
        xlabel: what `x` is.
        ylabel: what `y` is.
        marked: place in the values, by name.
    """

    x: NDArray[np.float64]
    y: NDArray[np.float64]
    xlabel: str
    ylabel: str
    marked: Mapping[str, int]


def draw_rankings(path: str | Path, panels: Sequence[Scatter]) -> None:
    """All schemes of a supernet, evaluated in two ways."""
    with figures.panels(path, (4.6 * len(panels), 4.2), len(panels)) as row:
        for axes, panel in zip(row, panels, strict=True):
            axes.plot(panel.x, panel.y, ".", color=BLUE, markersize=2, alpha=0.35, rasterized=True)
            for (name, place), marker in zip(panel.marked.items(), "s^Dv", strict=False):
                colour = ORANGE if marker == "s" else BLACK
                axes.plot(panel.x[place], panel.y[place], marker, color=colour, markersize=7, label=name)
            axes.set(xlabel=panel.xlabel, ylabel=panel.ylabel)


def draw_ratios(path: str | Path, panels: Mapping[str, Sequence[RatioGroup]]) -> None:
    """Distributions over connection ratios (LTH4SA, Fig. 2), a pair of axes for each quantity, by its name."""
    with figures.panels(path, (5.5 * len(panels), 4.2), len(panels)) as row:
        for axes, (quantity, groups) in zip(row, panels.items(), strict=True):
            for place, group in enumerate(groups):
                figures.violin(axes, place, group.accuracies)
            axes.set_xticks(range(len(groups)), [group.label for group in groups])
            axes.tick_params(axis="x", labelsize="small")
            what = "connected blocks" if all(group.label.isdigit() for group in groups) else "connection ratio"
            axes.set(xlabel=what, ylabel=quantity, xlim=(-0.7, len(groups) - 0.3))


class Predicted(NamedTuple):
    """One pair of axes: schemes from scratch over a ranking.

    Attributes:
        title: of the axes.
        xlabel: what the ranking goes by.
        counted: (supernet's value, stand-alone accuracy) of the sample.
        shown: the same of networks that are shown only.
    """

    title: str
    xlabel: str
    counted: Sequence[tuple[float, float]]
    shown: Sequence[tuple[float, float]]


def draw_predictions(path: str | Path, panels: Sequence[Predicted]) -> None:
    """Stand-alone test accuracy over the supernet's value, a pair of axes for each ranking."""
    with figures.panels(path, (3.9 * len(panels), 3.9), len(panels)) as row:
        for axes, panel in zip(row, panels, strict=True):
            axes.plot(*zip(*panel.counted, strict=True), "o", color=BLUE, label="sample")
            if panel.shown:
                axes.plot(
                    *zip(*panel.shown, strict=True),
                    "s",
                    color=ORANGE,
                    markerfacecolor="none",
                    label="found by a search",
                )
            axes.set(xlabel=panel.xlabel, ylabel="stand-alone test accuracy (%)")
            axes.set_title(panel.title, fontsize="medium")
            axes.locator_params(axis="x", nbins=4)


def draw_groups(path: str | Path, groups: Mapping[str, Sequence[float]]) -> None:
    """Accuracies of several groups of schemes from scratch (EAN, Fig. 4): a point each, and the means."""
    with figures.panels(path, (max(5.0, 1.8 * len(groups) + 1.5), 4.2)) as (axes,):
        for place, (accuracies, (colour, marker, _)) in enumerate(
            zip(groups.values(), itertools.cycle(STYLES), strict=False)
        ):
            # Beside each other, so that equal accuracies can be told from one.
            aside = np.linspace(-0.15, 0.15, len(accuracies)) if len(accuracies) > 1 else np.zeros(1)
            axes.plot(place + aside, sorted(accuracies), marker, color=colour, markersize=5)
            axes.hlines(np.mean(accuracies), place - 0.3, place + 0.3, color=colour, linewidth=2)
        axes.set_xticks(range(len(groups)), [f"{name}\nn={len(values)}" for name, values in groups.items()])
        axes.set(ylabel="stand-alone test accuracy (%)", xlim=(-0.6, len(groups) - 0.4))


class Exploration(NamedTuple):
    """What a controller did.

    Attributes:
        convergence: p-bar over its steps.
        steps: (k,).
        distinct: (k,), different schemes drawn up to and including each step.
    """

    convergence: Convergence
    steps: Sequence[int]
    distinct: Sequence[int]


def draw_exploration(path: str | Path, searches: Mapping[str, Exploration]) -> None:
    """p-bar (LTH4SA, Fig. 5) and the number of distinct schemes drawn so far, over the steps of several searches."""
    with figures.panels(path, (10.5, 5.0), 2, legend="outside") as (left, right):
        plot_p_bar(left, {name: search.convergence for name, search in searches.items()})
        for (colour, marker, line), (name, search) in zip(itertools.cycle(STYLES), searches.items(), strict=False):
            _plot_distinct(right, search, name, colour, marker, line)
        right.set(xlabel="step of the search", ylabel="distinct schemes drawn so far")
        right.axhline(0, color=GREY, linewidth=0.5)


def _plot_distinct(axes: Axes, search: Exploration, name: str, colour: str, marker: str, line: str) -> None:
    every = max(1, len(search.steps) // 15)
    axes.plot(
        search.steps, search.distinct, line, color=colour, marker=marker, markersize=4, markevery=every, label=name
    )

"""What tables of all schemes say of each other: modes of batch normalisation, and D_val against test images."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from backbones.scheme import ConnectionScheme
from transfer.analysis.statistics import SHARES, Agreement, agreement
from transfer.analysis.study.figures import Scatter, draw_rankings
from transfer.analysis.study.inputs import Inputs, SchemeTable
from transfer.measure.markdown import table


class Pair(NamedTuple):
    """Two tables of a supernet that differ in one thing."""

    first: SchemeTable
    second: SchemeTable

    @property
    def name(self) -> str:
        """What differs, and what does not."""
        a, b = self
        if a.bn == b.bn:
            return f"{a.split} against {b.split}, {a.bn}"
        return f"{a.bn} against {b.bn}, {a.split}"


def pairs(tables: tuple[SchemeTable, ...]) -> Iterator[Pair]:
    """Tables of one supernet that differ in the mode or in the images."""
    for first, second in itertools.combinations(tables, 2):
        if first.supernet == second.supernet and (first.bn == second.bn) != (first.split == second.split):
            yield Pair(first, second)


def tables_section(inputs: Inputs, folder: Path) -> list[str]:
    """What was tabulated: images, range, and the two networks at the ends."""
    if not inputs.tables:
        return []
    head = ("supernet", "evaluation", "schemes", "images", "least", "median", "greatest", "s.d.", "none connected",
            "all connected", "loss, least", "loss, greatest")  # fmt: skip
    rows = []
    for one in inputs.tables:
        ends = ends_of(one)
        values = (one.accuracy.min(), np.median(one.accuracy), one.accuracy.max(), one.accuracy.std(),
                  *(one.accuracy[place] for place in ends.values()))  # fmt: skip
        losses = (f"{one.loss.min():.4f}", f"{one.loss.max():.4f}")
        rows.append((one.network, one.name, f"{len(one.schemes):,}", f"{one.images:,}",
                     *(f"{value:.2f}" for value in values), *losses))  # fmt: skip
    noise = max(float(100 * np.sqrt(a * (1 - a) / t.images)) for t in inputs.tables for a in [t.accuracy.mean() / 100])
    return [
        "All schemes of each supernet; accuracies in percent. `running` evaluates with the supernet's running "
        "statistics of batch normalisation, `recalibrated` with those of each scheme itself.",
        table(head, rows),
        f"One accuracy has a standard error of up to {noise:.2f} percent for its images alone (binomial). Schemes are "
        "evaluated on the same images, so differences between them have a smaller one.",
    ]


def ends_of(one: SchemeTable) -> dict[str, int]:
    """Places of the networks with no and with all blocks connected."""
    place = one.place
    return {
        "no block connected": place[ConnectionScheme.empty(one.depths)],
        "all blocks connected": place[ConnectionScheme.full(one.depths)],
    }


def rankings_section(inputs: Inputs, folder: Path) -> list[str]:
    """Agreement of each pair of tables, in accuracy and in loss."""
    found = list(pairs(inputs.tables))
    if not found:
        return []
    rows, shown = [], []
    for number, pair in enumerate(found, 1):
        for quantity, agrees in zip(("accuracy", "loss"), agreements(pair), strict=True):
            rows.append((pair.first.network, pair.name, quantity, *_cells(agrees)))
        name = f"ranking_{number}.png"
        draw_rankings(folder / name, _panels(pair))
        shown += [f"{pair.first.network}, {pair.name}:", f"![{pair.name}]({name})"]
    shares = [f"best {100 * share:.0f} %" for share in SHARES]
    return [
        "How far two evaluations of the same schemes rank them alike. `best 5 %` is the share of the best 5 % by the "
        "first that are among the best 5 % by the second: 5 % by chance. Equal accuracies are ranked by loss there.",
        table(("supernet", "pair", "by", "Spearman", "Kendall", "Pearson", *shares), rows),
        *shown,
    ]


def agreements(pair: Pair) -> tuple[Agreement, Agreement]:
    """Of the accuracies, and of the losses."""
    first, second = pair
    return (
        agreement(first.accuracy, second.accuracy, (-first.loss, -second.loss)),
        agreement(-first.loss, -second.loss),
    )


def _cells(agrees: Agreement) -> tuple[str, ...]:
    coefficients = (agrees.spearman, agrees.kendall, agrees.pearson)
    return (*(f"{value:.2f}" for value in coefficients), *(f"{100 * share:.0f} %" for share in agrees.overlaps))


def _panels(pair: Pair) -> list[Scatter]:
    a, b = pair
    ends = ends_of(a)
    return [
        Scatter(a.accuracy, b.accuracy, f"accuracy (%), {a.name}", f"accuracy (%), {b.name}", ends),
        Scatter(a.loss, b.loss, f"loss, {a.name}", f"loss, {b.name}", ends),
    ]

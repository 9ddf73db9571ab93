"""Trainings from scratch: which ranking of a supernet predicts them, and random against searched schemes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from backbones.scheme import ConnectionScheme
from transfer.analysis.published import FIG4, FIG4_P
from transfer.analysis.statistics import Comparison, Predictions, difference
from transfer.analysis.study.figures import Predicted, draw_groups, draw_predictions
from transfer.analysis.study.inputs import SHARING, Alone, Inputs, SchemeTable, describe_schedule
from transfer.analysis.tickets import LEAST_PAIRS
from transfer.measure.markdown import interval, table

SPLITS = {"val": "D_val", "test": "the test images"}


class TrainedScheme(NamedTuple):
    """A scheme from scratch, with means over its trainings.

    Attributes:
        scheme: the scheme.
        val: top-1 on D_val, percent.
        test: the same of the test images.
        counted: whether it was picked without looking for a good one; else a search found it.
    """

    scheme: ConnectionScheme
    val: float
    test: float
    counted: bool


def trained_schemes(alone: Sequence[Alone], sharing: str) -> list[TrainedScheme]:
    """A point for each scheme, of the networks that are part of a supernet which shares modules in that way."""
    by_scheme: dict[ConnectionScheme, list[Alone]] = {}
    for one in alone:
        if one.run.sharing == sharing or one.run.scheme.connected == 0:
            by_scheme.setdefault(one.run.scheme, []).append(one)
    return [
        TrainedScheme(
            scheme,
            float(np.mean([one.run.val["top1"] for one in runs])),
            float(np.mean([one.run.test["top1"] for one in runs])),
            any(not one.found for one in runs),
        )
        for scheme, runs in by_scheme.items()
    ]


# ---- which ranking predicts


def prediction_section(inputs: Inputs, folder: Path) -> list[str]:
    """Rankings by the supernets against accuracies from scratch, and which mode predicts better."""
    if not (inputs.tables and inputs.alone):
        return []
    said = [_sample(inputs)]
    supernets = dict.fromkeys(one.supernet for one in inputs.tables)
    for number, supernet in enumerate(supernets, 1):
        tables = [one for one in inputs.tables if one.supernet == supernet and one.split == "val"]
        if tables:
            said += _supernet(tables, inputs.alone, folder / f"prediction_{number}.png")
    return said


def _sample(inputs: Inputs) -> str:
    picked = Counter(one.picked for one in inputs.alone if one.picked)
    text = f"Trained from scratch with {describe_schedule(inputs.alone)}; the papers' trainings are longer."
    if picked:
        text += f" Picked: {', '.join(f'{count} {how}' for how, count in picked.items())}."
    if inputs.others:
        text += f" {len(inputs.others)} trainings with another schedule are left out."
    return (
        f"{text} Schemes that a search found are shown but not counted: it looked for them by one of the rankings. "
        "Intervals are percentiles of 10,000 bootstrap resamples of the schemes, P is by permutation (all of them for "
        "up to eight schemes). Losses are counted negative, so that a greater coefficient is the better one."
    )


def _supernet(tables: Sequence[SchemeTable], alone: Sequence[Alone], figure: Path) -> list[str]:
    first = tables[0]
    points = trained_schemes(alone, first.sharing)
    counted = [point for point in points if point.counted]
    title = f"### {first.network}"
    if len(counted) < LEAST_PAIRS:
        return [title, f"{len(counted)} schemes of a sample are trained, a correlation needs {LEAST_PAIRS}."]
    rankings = {f"{kind}, {one.bn}": values for one in tables for kind, values in _values(one, counted).items()}
    rows, verdicts = [], []
    for split, name in SPLITS.items():
        found = Predictions(rankings, [getattr(point, split) for point in counted])
        rows += [(ranking, name, len(counted), *_prediction(found, ranking)) for ranking in rankings]
        verdicts += list(_verdicts(found, {one.bn for one in tables}, name))
    head = ("ranking by", "from scratch on", "schemes", "Pearson", "95 % interval", "Spearman", "95 % interval", "P")
    draw_predictions(figure, _panels(tables, points))
    return [title, _spread(counted), table(head, rows), *verdicts, f"![Rankings and accuracies]({figure.name})"]


def _values(one: SchemeTable, points: Sequence[TrainedScheme]) -> dict[str, np.ndarray]:
    at = [one.place[point.scheme] for point in points]
    return {"accuracy": one.accuracy[at], "loss": -one.loss[at]}


def _prediction(found: Predictions, ranking: str) -> tuple[str, ...]:
    p = found[ranking]
    return (f"{p.pearson:.2f}", interval(p.pearson_ci, ".2f"), f"{p.spearman:.2f}", interval(p.spearman_ci, ".2f"),
            f"{p.p:.3f}")  # fmt: skip


def _verdicts(found: Predictions, modes: set[str], target: str) -> Iterator[str]:
    """Which mode predicts better, by accuracy and by loss; nothing for one mode alone."""
    if modes != {"running", "recalibrated"}:
        return
    for kind in ("accuracy", "loss"):
        compared = found.compare(f"{kind}, running", f"{kind}, recalibrated")
        yield f"Which mode's {kind} predicts the accuracy on {target} better: {describe_comparison(compared)}"


def describe_comparison(compared: Comparison) -> str:
    """The verdict in words."""
    paired = (
        f"{compared.reason}; paired difference of the coefficients, recalibrated less running, "
        f"{compared.difference:+.2f} (95 % interval {interval(compared.difference_ci, '+.2f')})"
    )
    if compared.verdict != "undecided":
        return f"**{compared.verdict.split(', ')[-1]}**: {paired}."
    return f"**undecided**: {paired}."


def _spread(points: Sequence[TrainedScheme]) -> str:
    test, val = (np.array([getattr(point, split) for point in points]) for split in ("test", "val"))
    same = Predictions({"val": val}, test)["val"]
    return (
        f"From scratch, the {len(points)} schemes reach {test.min():.2f} to {test.max():.2f} % of the test images "
        f"(s.d. {test.std(ddof=1):.2f}). Their accuracies on D_val and on the test images have a Spearman coefficient "
        f"of {same.spearman:.2f} ({interval(same.spearman_ci, '.2f')}): so far two sets of images agree on the very "
        "same trained networks."
    )


def _panels(tables: Sequence[SchemeTable], points: Sequence[TrainedScheme]) -> list[Predicted]:
    panels = []
    for one in tables:
        for kind, sign, unit in (("accuracy", 1, " (%)"), ("loss", -1, "")):
            values = {p: float(sign * v) for p, v in zip(points, _values(one, points)[kind], strict=True)}
            pairs = {flag: [(values[p], p.test) for p in points if p.counted is flag] for flag in (True, False)}
            panels.append(Predicted(one.name, f"{kind} by the supernet{unit}", pairs[True], pairs[False]))
    return panels


# ---- EAN, Fig. 4


def distribution_section(inputs: Inputs, folder: Path) -> list[str]:
    """Random against searched schemes from scratch."""
    groups = _groups(inputs.alone)
    sampled = [name for name in groups if name.startswith("sample")]
    if not groups or len(groups) == len(sampled):
        return []
    tests = {name: [point.test for point in points] for name, points in groups.items()}
    draw_groups(folder / "distribution.png", tests)
    head = ("schemes", "number", "test top-1, mean (%)", "s.d.", "D_val top-1, mean (%)")
    rows = [(name, len(points), f"{np.mean(tests[name]):.2f}", _sd(tests[name]),
             f"{np.mean([point.val for point in points]):.2f}") for name, points in groups.items()]  # fmt: skip
    said = [f"Trained with {describe_schedule(inputs.alone)}.", table(head, rows)]
    said += [_compared(tests, sample, name) for sample in sampled for name in groups if _alike(sample, name)]
    printed = [(one.name, one.count, f"{one.mean:.2f}", f"{one.sd:.2f}") for one in FIG4]
    return [
        *said,
        f"Published (EAN, Fig. 4; CIFAR-100, ResNet-164, SE, accuracy on D_val; P = {FIG4_P:g} by a t-test):",
        table(("schemes", "number", "top-1, mean (%)", "s.d."), printed),
        "![Random and searched schemes](distribution.png)",
    ]


def _groups(alone: Sequence[Alone]) -> Mapping[str, list[TrainedScheme]]:
    """Points of samples and of what each method found, apart by how modules are shared."""
    runs: dict[str, list[Alone]] = {}
    for one in alone:
        if one.picked or one.found:
            name = f"{one.found or 'sample'}, {SHARING[one.run.sharing]}"
            runs.setdefault(name, []).append(one)
    groups = {name: trained_schemes(some, some[0].run.sharing) for name, some in runs.items()}
    return dict(sorted(groups.items(), key=lambda item: not item[0].startswith("sample")))


def _alike(sample: str, other: str) -> bool:
    return other != sample and other.split(", ")[-1] == sample.split(", ")[-1]


def _sd(values: Sequence[float]) -> str:
    return f"{np.std(values, ddof=1):.2f}" if len(values) > 1 else "-"


def _compared(tests: Mapping[str, Sequence[float]], sample: str, other: str) -> str:
    found = difference(tests[sample], tests[other])
    if found is None:
        return f"{other} less {sample}: too few trainings for an interval."
    verdict = "undecided" if found.ci95[0] <= 0 <= found.ci95[1] else "greater" if found.value > 0 else "less"
    return (
        f"{other} less {sample}: {found.value:+.2f} (Welch's 95 % interval {interval(found.ci95, '+.2f')}, "
        f"P = {found.p:.2g}): **{verdict}**."
    )

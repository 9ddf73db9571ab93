"""What stand-alone trainings say of a search: their table, the correlation with the supernet, the ticket."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from backbones.arch import family_of
from backbones.errors import UserInputError
from backbones.scheme import ConnectionScheme
from transfer.analysis import figures
from transfer.analysis.figures import Accuracies
from transfer.analysis.finished import SearchOutcome
from transfer.analysis.statistics import fisher_interval
from transfer.analysis.tickets import (
    LEAST_PAIRS,
    PUBLISHED_PEARSON,
    PUBLISHED_SAMPLES,
    Certificate,
    TimeRatio,
    certify,
    correlate,
)
from transfer.measure.markdown import code, number, table
from transfer.pipeline.artefacts import INCREMENT, STANDALONE, Run

SPLITS = {"val": "validation", "test": "test"}


def standalone_section(outcome: SearchOutcome, folder: Path) -> list[str]:
    """Table of the trainings that have ended, and the correlation."""
    if not outcome.runs:
        return [f"No stand-alone training has ended ({STANDALONE} is missing or empty)."]
    head = ("run", "scheme", "connected", "parameters", "seed", "iterations", "val top-1 (%)", "test top-1 (%)",
            "by the supernet (%)", "seconds")  # fmt: skip
    said = [table(head, [_row(outcome, run) for run in outcome.runs])]
    if outcome.best_alone is None:
        said += ["No candidate has been chosen yet."]
    else:
        said += [f"Chosen by validation accuracy: `{outcome.best_alone}`. Test figures decide nothing."]
    if len({run.max_iters for run in outcome.runs}) > 1:
        said += ["Not all runs have the same number of iterations: compare only those that do."]
    return said + _correlations(outcome, folder)


def _row(outcome: SearchOutcome, run: Run) -> tuple[object, ...]:
    return (
        run.name,
        code(run.scheme),
        run.scheme.connected,
        f"{count_parameters(outcome, run.scheme, run.attention, run.sharing):,}",
        number(run.seed, "d"),
        f"{run.max_iters:,}",
        number(run.val.get("top1")),
        number(run.test.get("top1")),
        number(outcome.supernet_accuracy(run)),
        number(run.seconds, ",.0f"),
    )


def count_parameters(outcome: SearchOutcome, scheme: ConnectionScheme, attention: str | None, sharing: str) -> int:
    """Parameters of a stand-alone classifier of the search's architecture."""
    import torch

    search = outcome.search
    network: Any = family_of(search.arch).network()
    with torch.device("meta"):
        net = network(
            search.arch,
            attention=attention,
            attention_args=search.attention_args if attention else None,
            sharing=sharing,
            scheme=scheme if attention else None,
            num_classes=search.num_classes,
            in_channels=search.in_channels,
        )
    return sum(parameter.numel() for parameter in net.parameters())


# ---- correlation


def _correlations(outcome: SearchOutcome, folder: Path) -> list[str]:
    """Supernet against stand-alone accuracy, for the runs of the greatest number of iterations."""
    said, shown = [], ""
    for split, name in SPLITS.items():
        points = correlation_points(outcome, split)
        if len(points) < LEAST_PAIRS:
            said.append(f"- {name}: {len(points)} schemes have both figures, a correlation needs {LEAST_PAIRS}.")
            continue
        try:
            found = correlate([p.supernet for p in points], [p.alone for p in points])
        except UserInputError as error:
            said.append(f"- {name}: {error}.")
            continue
        said.append(f"- {name}: {found.n} schemes, Pearson {found.pearson}, Spearman {found.spearman}.")
        shown = split
    low, high = fisher_interval(PUBLISHED_PEARSON, PUBLISHED_SAMPLES) or (0.0, 0.0)
    published = (
        f"Published: Pearson {PUBLISHED_PEARSON} over {PUBLISHED_SAMPLES} schemes, without an interval "
        f"(Fisher's is {low:.2f} to {high:.2f})."
    )
    blocks = ["Supernet against stand-alone accuracy:", "\n".join(said), published]
    if shown:
        figures.draw_correlation(folder / "correlation.png", correlation_points(outcome, shown), SPLITS[shown])
        blocks.append("![Supernet against stand-alone accuracy](correlation.png)")
    return blocks


def correlation_points(outcome: SearchOutcome, split: str) -> list[Accuracies]:
    """A point for each scheme, with the mean over its seeds, called by its first run.

    Only runs of the greatest number of iterations count, and only networks that are part of the supernet.

    Args:
        outcome: the search.
        split: `"val"` or `"test"`, of the stand-alone accuracy; the supernet's is always that of the search.
    """
    longest = max((run.max_iters for run in outcome.runs), default=0)
    by_scheme: dict[ConnectionScheme, list[Run]] = {}
    for run in outcome.runs:
        same = run.max_iters == longest and outcome.supernet_accuracy(run) is not None
        if same and "top1" in getattr(run, split):
            by_scheme.setdefault(run.scheme, []).append(run)
    return [
        Accuracies(
            runs[0].name, outcome.known[scheme].accuracy, sum(getattr(run, split)["top1"] for run in runs) / len(runs)
        )
        for scheme, runs in by_scheme.items()
    ]


# ---- ticket


def ticket_section(outcome: SearchOutcome, folder: Path) -> list[str]:
    """The certificate, and how to get the figures that it lacks."""
    certificate = ticket_of(outcome)
    said = ["The three conditions of the lottery ticket hypothesis (LTH4SA, Section I).", f"```\n{certificate}\n```"]
    accuracy = certificate.conditions[2]
    if accuracy.numbers and accuracy.numbers["ci95"] is None:
        rule = "holds" if accuracy.numbers["difference"] >= 0 else "fails"
        said.append(f"By the papers' rule, which compares single runs, condition 3 {rule}.")
    if certificate.missing:
        said.append(f"No figures yet for: {', '.join(certificate.missing)}. {_how_to_get(certificate)}")
    return said


def _how_to_get(certificate: Certificate) -> str:
    ways = {
        "time": f"Time: measure the paired ratio with tools/benchmark.py and keep its output as {INCREMENT} in the "
        "work directory, in a row whose `name` is the scheme and whose `against` is the reference's run.",
        "accuracy": "Accuracy: train the scheme and the reference stand-alone, with the same number of iterations.",
    }
    return " ".join(text for name, text in ways.items() if name in certificate.missing)


def ticket_of(outcome: SearchOutcome) -> Certificate:
    """The certificate of a search's chosen scheme, as far as its figures are known.

    The reference is Full-SA; for DIA, which has no such form (LTH4SA, Table II), it is Full-Share. Accuracies are the
    test set's, of runs with as many iterations as the scheme's longest.
    """
    attention, (reference, sharing) = outcome.search.attention, outcome.search.reference
    ours = [run for run in outcome.runs if run.scheme == outcome.chosen and outcome.in_supernet(run)]
    longest = max((run.max_iters for run in ours), default=0)
    theirs = [run for run in outcome.runs if run.name == reference]
    return certify(
        outcome.chosen,
        time_ratio=_time_ratio(outcome, {str(outcome.chosen), *(run.name for run in ours)}, reference),
        parameters=(
            count_parameters(outcome, outcome.chosen, attention, outcome.search.sharing),
            count_parameters(outcome, ConnectionScheme.full(outcome.depths), attention, sharing),
        ),
        accuracies=_test_accuracies(ours, longest),
        full_accuracies=_test_accuracies(theirs, longest),
        against={"full_sa": "Full-SA", "full_share": "Full-Share"}[reference],
    )


def _test_accuracies(runs: Iterable[Run], max_iters: int) -> list[float]:
    return [run.test["top1"] for run in runs if run.max_iters == max_iters and "top1" in run.test]


def _time_ratio(outcome: SearchOutcome, names: set[str], reference: str) -> TimeRatio | None:
    """Of the first row for the pair; rows that were measured eagerly come first."""
    rows: Sequence = [row for row in outcome.increments if row.get("name") in names and row.get("against") == reference]
    return TimeRatio.from_benchmark(min(rows, key=lambda row: row.get("mode") != "eager")) if rows else None

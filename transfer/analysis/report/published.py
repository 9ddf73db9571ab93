"""The rows of LTH4SA's Tables I and II beside what was measured, each in columns of their own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from transfer.analysis.finished import SearchOutcome
from transfer.analysis.published import METHODS, NETWORKS, SCHEDULES, TABLE1, Row
from transfer.analysis.report.standalone import count_parameters, ticket_of
from transfer.analysis.tickets import Certificate
from transfer.measure.markdown import code, interval, number, table
from transfer.pipeline.artefacts import INCREMENT, Run

BESIDE = {"plain": "Original", "full_sa": "Full-SA", "full_share": "Full-Share"}
"""Runs beside the candidates, and what the papers call these networks."""

PUBLISHED = ("accuracy (%)", "parameters (M)", "time increment (%)", "ticket")
MEASURED = ("test top-1 (%)", "D_val top-1 (%)", "iterations", "parameters", "time increment (%)", "95 % interval",
            "ticket")  # fmt: skip


class Line(NamedTuple):
    """A row of the page's table: a network that was printed, trained here, or both."""

    name: str
    printed: Row | None
    run: Run | None


def published_section(outcome: SearchOutcome, folder: Path) -> list[str]:
    """Published and measured figures of the search's networks; nothing before one of them has been trained."""
    if not outcome.runs:
        return []
    found = lines_of(outcome)
    printed = any(line.printed for line in found)
    head = ["network", "scheme"]
    if printed:
        head += [f"published: {name}" for name in PUBLISHED]
    head += [f"measured: {name}" if printed else name for name in MEASURED]
    verdict = describe_verdict(ticket_of(outcome))
    rows = []
    for line in found:
        scheme = code(line.run.scheme) if line.run else "-"
        figures = [*(_printed(line.printed) if printed else []), *_measured(outcome, line.run, verdict)]
        rows.append([line.name, scheme, *figures])
    return [_schedules(outcome, printed), table(head, rows), *_notes(outcome, found)]


def lines_of(outcome: SearchOutcome) -> list[Line]:
    """The networks, those beside the candidates first, and last the papers' rows of the method that have no run."""
    runs = sorted(outcome.runs, key=lambda run: run.is_candidate)
    lines = [_line(outcome, run) for run in runs]
    taken = [line.printed for line in lines]
    method = METHODS.get(outcome.search.method, "EAN")
    rest = [row for row in printed_rows(outcome) if row.network == method and row not in taken]
    return lines + [Line(f"{row.network}, beta {row.beta} ({row.source}, {_sharing(row)})", row, None) for row in rest]


def printed_rows(outcome: SearchOutcome) -> list[Row]:
    """What was printed of this architecture, data set and attention: SE on CIFAR-100 or nothing."""
    if (outcome.search.attention, outcome.search.data) != ("se", "cifar100"):
        return []
    return [row for row in (*NETWORKS, *TABLE1) if row.arch == outcome.search.arch]


def _line(outcome: SearchOutcome, run: Run) -> Line:
    rows = printed_rows(outcome)
    if not run.is_candidate:
        name = BESIDE.get(run.name, run.name)
        return Line(run.name, next((row for row in rows if row.network == name), None), run)
    search, chosen = outcome.search, run.scheme == outcome.chosen
    name = f"{search.method}, {run.name}" + (" (chosen)" if chosen else "")
    wanted = (METHODS.get(search.method), search.sharing, search.supernet.beta)
    found = next((row for row in rows if chosen and (row.network, row.sharing, row.beta) == wanted), None)
    return Line(name, found, run)


def _sharing(row: Row) -> str:
    return f"one module per {row.sharing}"


def _printed(row: Row | None) -> list[str]:
    if row is None:
        return ["-"] * len(PUBLISHED)
    ticket = {None: "-", True: "yes", False: "no"}[row.ticket]
    return [f"{row.accuracy:.2f}", f"{row.parameters:g}", f"{row.increment:.2f}", ticket]


def _measured(outcome: SearchOutcome, run: Run | None, verdict: str) -> list[str]:
    if run is None:
        return ["-"] * len(MEASURED)
    increment = increment_of(outcome, run) or {}
    return [
        number(run.test.get("top1")),
        number(run.val.get("top1")),
        f"{run.max_iters:,}",
        f"{count_parameters(outcome, run.scheme, run.attention, run.sharing):,}",
        number(increment.get("increment_percent")),
        interval(increment.get("ci95")),
        verdict if run.is_candidate and run.scheme == outcome.chosen else "-",
    ]


def increment_of(outcome: SearchOutcome, run: Run) -> Mapping[str, Any] | None:
    """The time increment over the plain network (LTH4SA, Eq. 7) in `increment.json`, measured eagerly if possible."""
    names = {run.name, str(run.scheme)} if outcome.in_supernet(run) else {run.name}
    measured = [row for row in outcome.increments if row.get("increment_percent") is not None]  # the plain one has none
    rows = [row for row in measured if row.get("name") in names and row.get("against") in (None, "plain")]
    return min(rows, key=lambda row: row.get("mode") != "eager", default=None)


def describe_verdict(certificate: Certificate) -> str:
    """Whether the chosen scheme is a ticket, and, where that is undecided, what single figures without intervals say.

    The papers judge by single figures.
    """
    verdict = {"holds": "yes", "fails": "no", "undecided": "undecided"}[certificate.verdict]
    if certificate.verdict != "undecided" or certificate.missing:
        return verdict
    time, parameters, accuracy = (condition.numbers for condition in certificate.conditions)
    holds = time["ratio"] < 1 and parameters["parameters"] < parameters["reference"] and accuracy["difference"] >= 0
    return f"{verdict} (by single figures: {'yes' if holds else 'no'})"


def _schedules(outcome: SearchOutcome, printed: bool) -> str:
    """How the networks of both columns were trained."""
    seen = dict.fromkeys((run.max_iters, Path(run.config).name, run.amp) for run in outcome.runs)
    ours = "; ".join(
        f"{iters:,} iterations of `{config}`{', mixed precision' if amp else ''}" for iters, config, amp in seen
    )
    text = f"Measured networks are trained on D_train for {ours}."
    if not printed:
        return text
    return (
        f"{text} Published ones (LTH4SA, Tables I and II) are trained for {SCHEDULES[outcome.search.arch]}: another "
        "schedule, so that rows are to be compared within a column, not across."
    )


def _notes(outcome: SearchOutcome, found: list[Line]) -> list[str]:
    said = []
    inferred = next((line for line in found if line.printed and "inference" in line.printed.source), None)
    if inferred is not None and inferred.printed is not None:
        said.append(f"Published figures of {inferred.name}: {inferred.printed.source}.")
    if printed_rows(outcome) and not any(line.printed and line.run and line.run.is_candidate for line in found):
        said.append(
            f"No figures were published for {outcome.search.method} on {outcome.search.arch} with one module per "
            f"{outcome.search.sharing} and this beta; the papers' nearest rows stand last."
        )
    if not outcome.increments:
        said.append(f"Time increments have not been measured ({INCREMENT} is missing).")
    return said

"""One page on a finished search: `report.md` with tables and figures, from its work directory.

`write_report` reads what `transfer.analysis.finished` describes. torch is imported only to count parameters.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from backbones.scheme import ConnectionScheme
from transfer.analysis import figures
from transfer.analysis.finished import SearchOutcome
from transfer.analysis.page import refuse_other_files, write_sections
from transfer.analysis.report.published import published_section
from transfer.analysis.report.standalone import standalone_section, ticket_section
from transfer.analysis.tickets import (
    CONVERGED,
    Convergence,
    Found,
    ScoreSet,
    by_connection_ratio,
    extreme_sets,
    ticket_and_bad_sets,
)
from transfer.measure.markdown import code, interval, number, one_line, table, with_args
from transfer.search.objective import FrontPoint, connection_ratio, hypervolume

PAGE = "report.md"
FIGURES = ("progress.png", "scores.png", "ratios.png", "p_bar.png", "front.png", "correlation.png")
LEAST_FOR_SETS = 16
"""Evaluated schemes below which connection scores of a part of them say nothing."""

Section = Callable[[SearchOutcome, Path], list[str]]


def write_report(work_dir: str | Path, out: str | Path | None = None) -> Path:
    """Writes the report of the search in `work_dir` and returns the path of its page.

    The folder appears whole or not at all; a report that is there already is replaced.

    Args:
        work_dir: of a finished search.
        out: the report's folder; default `work_dir/report`.

    Raises:
        UserInputError: `work_dir` holds no finished search, or `out` something else than a report.
    """
    target = Path(out) if out is not None else Path(work_dir) / "report"
    refuse_other_files(target, (PAGE, *FIGURES))
    outcome = SearchOutcome.read(work_dir)
    return write_sections(target, PAGE, f"Search in `{Path(work_dir).resolve().name}`", SECTIONS, outcome)


# ---- sections: each draws its figures into the folder and returns its paragraphs; none where it has nothing to say


def _searched(outcome: SearchOutcome, folder: Path) -> list[str]:
    search, blocks = outcome.search, sum(outcome.depths)
    supernet, settings = (search.values.get(key) or {} for key in ("supernet", "settings"))
    rows = {
        "method": with_args(search.method, search.method_args),
        "objective": one_line(search.objective),
        "budget": f"{number(search.budget, 'd')} distinct schemes of 2^{blocks}",
        "seed": search.seed,
        "network": f"{search.arch}, {blocks} blocks ({'.'.join(map(str, outcome.depths))})",
        "attention": f"{with_args(search.attention, search.attention_args)}, one module per {search.sharing}",
        "data": search.data,
        "batch normalisation": search.bn,
        "evaluation": one_line({key: settings[key] for key in settings if key != "supernet_sha256"}),
        "supernet": one_line({key: supernet[key] for key in supernet if key != "sha256"}),
        "supernet's sha256": code(search.supernet.sha256),
        "log's sha256": code(search.log_sha256),
    }
    return [table(("", ""), [(name, value) for name, value in rows.items() if value not in (None, "")])]


def _best(outcome: SearchOutcome, folder: Path) -> list[str]:
    rows = [
        (
            "best" if entry.scheme == outcome.search.best.scheme else "",
            code(entry.scheme),
            f"{entry.scheme.connected} of {entry.scheme.total}",
            f"{entry.evaluation.accuracy:.2f}",
            f"{entry.evaluation.loss:.4f}",
            f"{entry.value:.3f}",
        )
        for entry in (outcome.search.candidates or (outcome.search.best,))
    ]
    head = ("candidates", "scheme", "connected", "accuracy (%)", "loss", "value")
    said = [table(head, rows), f"By the supernet, on {outcome.search.best.evaluation.n:,} images. {_cost(outcome)}"]
    return said + _rank(outcome)


def _cost(outcome: SearchOutcome) -> str:
    """The log's size, and the search's time beside trainings (LTH4SA, Table VI)."""
    images, seconds = (outcome.search.values.get(key) for key in ("images", "seconds"))
    text = f"The search asked for {len(outcome.evaluations):,} distinct schemes"
    if outcome.others:
        text += f" (the log holds {len(outcome.others):,} more)"
    if images:
        text += f" and showed {images:,} images to the supernet itself"
    if seconds is None:
        return f"{text}."
    text += f" in {seconds:,.0f} s"
    trainings = [run for run in outcome.runs if run.seconds]
    if trainings:
        share = 100 * seconds * len(trainings) / sum(run.seconds or 0 for run in trainings)
        iters = " or ".join(f"{iters:,}" for iters in sorted({run.max_iters for run in trainings}))
        text += (
            f", {share:.1f} % of the mean stand-alone training of {iters} iterations (published, for their schedules: "
            "25.4 % ResNet-38, 21.3 % ResNet-164)"
        )
    return f"{text}."


def _rank(outcome: SearchOutcome) -> list[str]:
    """The place of the chosen scheme where the log is a table of all schemes (LTH4SA, Table I, `Top5%?`)."""
    known = outcome.known
    if len(known) < 2 ** sum(outcome.depths) or outcome.chosen not in known:
        return []
    own = known[outcome.chosen].accuracy
    rank = 1 + sum(evaluation.accuracy > own for evaluation in known.values())
    top = "yes" if rank <= 0.05 * len(known) else "no"
    return [
        f"All {len(known):,} schemes are in the log. By the supernet's accuracy `{outcome.chosen}` has place {rank:,}; "
        f"among the top 5 %: {top}."
    ]


def _progress(outcome: SearchOutcome, folder: Path) -> list[str]:
    schemes = list(outcome.evaluations)
    best = schemes.index(outcome.search.best.scheme) if outcome.search.best.scheme in outcome.evaluations else None
    accuracies = [evaluation.accuracy for evaluation in outcome.evaluations.values()]
    figures.draw_progress(folder / "progress.png", accuracies, best)
    first = max(range(len(accuracies)), key=accuracies.__getitem__)
    return [
        f"Greatest accuracy {accuracies[first]:.2f} %, reached at evaluation {first + 1:,} of {len(accuracies):,}.",
        "![Accuracy over evaluations](progress.png)",
    ]


def _found(outcome: SearchOutcome) -> Found:
    return [(scheme, evaluation.accuracy) for scheme, evaluation in outcome.known.items()]


def _ends(outcome: SearchOutcome) -> tuple[float | None, float | None]:
    """The supernet's accuracy with every block connected and with none, where they were evaluated."""
    known = outcome.known
    ends = (ConnectionScheme.full(outcome.depths), ConnectionScheme.empty(outcome.depths))
    full, plain = (known[scheme].accuracy if scheme in known else None for scheme in ends)
    return full, plain


def _scores(outcome: SearchOutcome, folder: Path) -> list[str]:
    found, (full, plain) = _found(outcome), _ends(outcome)
    if len(found) < LEAST_FOR_SETS:
        return [f"Only {len(found)} schemes were evaluated, too few for sets."]
    sets: tuple[ScoreSet, ...] = ()
    if full is not None and plain is not None:
        sets = ticket_and_bad_sets(found, full, plain)
        how = "Sets as in Fig. 3, by the supernet's accuracy with all and with no blocks connected."
        if full < plain:
            how += " Here that with none is the greater one, so that a scheme can be in both."
    if not sets:
        sets = extreme_sets(found)
        why = "the log lacks one of these two schemes" if None in (full, plain) else "no scheme lies beyond these two"
        how = f"Sets by rank (ours), not by the accuracy with all and with no blocks connected as in Fig. 3: {why}."
    figures.draw_scores(folder / "scores.png", sets, outcome.depths)
    head = ("set", "schemes", "slope a block", "95 % interval", "least score", "greatest score")
    rows = [
        (s.name, s.count, f"{s.trend.slope:+.4f}", interval(s.trend.ci95, ".4f"), f"{s.scores.min():.2f}",
         f"{s.scores.max():.2f}")
        for s in sets
    ]  # fmt: skip
    return [
        f"{how} A score is the share of a set's schemes that connect the block (LTH4SA, Eq. 5). {_sample(outcome)}",
        table(head, rows),
        "![Connection scores](scores.png)",
    ]


def _ratios(outcome: SearchOutcome, folder: Path) -> list[str]:
    groups, (full, plain) = by_connection_ratio(_found(outcome)), _ends(outcome)
    figures.draw_violins(folder / "ratios.png", groups, full, plain)
    head = ["connected" if groups[0].label.isdigit() else "ratio", "schemes", "least", "mean", "greatest"]
    rows = []
    for group in groups:
        a = group.accuracies
        rows.append([group.label, str(len(a)), *(f"{value:.2f}" for value in (a.min(), a.mean(), a.max()))])
        if full is not None:
            rows[-1].append(f"{100 * (a >= full).mean():.0f} %")
    if full is not None:
        head.append("at least as good as all connected")
    return [_sample(outcome), table(head, rows), "![Accuracy over connection ratios](ratios.png)"]


def _sample(outcome: SearchOutcome) -> str:
    if len(outcome.known) == 2 ** sum(outcome.depths):
        return "All schemes are in the log."
    return "The log is the search's own choice of schemes, no even sample: figures over it say what it looked at."


def _controller(outcome: SearchOutcome, folder: Path) -> list[str]:
    convergence = outcome.convergence
    if convergence is None:
        return []
    figures.draw_p_bar(folder / "p_bar.png", {outcome.search.method: convergence})
    said = [_convergence_line(convergence), "![p-bar](p_bar.png)"]
    shown = convergence.rows()
    if shown:
        rows = [
            (s.step, code(s.scheme), f"{s.scheme.sparsity:.2f}", f"{s.p_bar:.2f}")
            for s in shown
            if s.scheme is not None
        ]
        said += [table(("step", "scheme", "sparsity", "p-bar"), rows)]
    return said


def _convergence_line(convergence: Convergence) -> str:
    first, last = convergence.snapshots[0], convergence.snapshots[-1]
    at = convergence.converged_at()
    settled = f"from step {at} on it stays at {CONVERGED} or above" if at is not None else f"it ends below {CONVERGED}"
    text = f"p-bar (LTH4SA, Fig. 5) goes from {first.p_bar:.2f} to {last.p_bar:.2f}; {settled}."
    if convergence.drawn:
        text += f" {convergence.distinct:,} of the {convergence.drawn:,} schemes drawn are different ones."
    return text


def _front(outcome: SearchOutcome, folder: Path) -> list[str]:
    front = outcome.search.front
    if not front:
        return []
    cost, name = _cost_of(outcome)
    found = [FrontPoint(s, accuracy, cost(s)) for s, accuracy in _found(outcome)] if cost else []
    figures.draw_front(folder / "front.png", found, front)
    rows = [(code(p.scheme), p.scheme.connected, f"{p.cost:.4g}", f"{p.accuracy:.2f}") for p in front]
    return [
        f"Cost is {name}. {_volume(outcome)}",
        table(("scheme", "connected", "cost", "accuracy (%)"), rows),
        "![Front](front.png)",
    ]


def _cost_of(outcome: SearchOutcome) -> tuple[Callable[[ConnectionScheme], float] | None, str]:
    """The cost of the front, as far as it can be calculated for any scheme, and its name."""
    if outcome.latency is not None and str(outcome.search.hypervolume.get("of", "")).startswith("time increment"):
        return outcome.latency.expected, "the sum of the blocks' measured time increments, in percent"
    if all(abs(point.cost - connection_ratio(point.scheme)) < 1e-9 for point in outcome.search.front):
        return connection_ratio, "the connection ratio"
    return None, "what the search was given"


def _volume(outcome: SearchOutcome) -> str:
    """The front's hypervolume: the search's own, else up to the least accuracy and the front's greatest cost."""
    if recorded := outcome.search.hypervolume:
        return (
            f"Hypervolume up to accuracy {recorded['accuracy']:.2f} (the least evaluated) and cost "
            f"{recorded['cost']:.4g} (every block connected): {recorded['value']:.4g}."
        )
    worst = min(evaluation.accuracy for evaluation in outcome.evaluations.values())
    most = max(point.cost for point in outcome.search.front)
    return (
        f"Hypervolume up to accuracy {worst:.2f} (the least evaluated) and cost {most:.4g} (the front's greatest): "
        f"{hypervolume(outcome.search.front, worst, most):.4g}."
    )


def _latency(outcome: SearchOutcome, folder: Path) -> list[str]:
    """Time increments of single blocks, and how far whole schemes are from their sums."""
    latency = outcome.latency
    if latency is None:
        return []
    blocks = [
        (place, f"{block.percent:+.2f}", interval(block.ci95, "+.2f")) for place, block in enumerate(latency.blocks, 1)
    ]
    schemes = [
        (code(scheme), scheme.connected, f"{found.percent:+.2f}", interval(found.ci95, "+.2f"),
         f"{latency.expected(scheme):+.2f}", f"{latency.error(scheme):+.2f}")
        for scheme, found in latency.schemes.items()
    ]  # fmt: skip
    timing = latency.timing
    return [
        f"Each block connected alone, against the plain network ({latency.ms_per_image:.3f} ms an image; batches of "
        f"{timing.batch}, {timing.rounds} rounds, {timing.clock} clock): {latency}.",
        table(("block", "time increment (%)", "95 % interval"), blocks),
        table(("scheme", "connected", "measured (%)", "95 % interval", "sum of blocks (%)", "error (points)"), schemes),
    ]


SECTIONS: Mapping[str, Section] = {
    "What was searched": _searched,
    "Best schemes": _best,
    "Accuracy over evaluations": _progress,
    "Connection scores": _scores,
    "Accuracy over connection ratios": _ratios,
    "Convergence of the controller": _controller,
    "Latency of blocks": _latency,
    "Front": _front,
    "Stand-alone trainings": standalone_section,
    "Published and measured": published_section,
    "Ticket": ticket_section,
}

"""What finished searches say of themselves: exploration, schemes over steps, time, and the place of what they found."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from transfer.analysis.finished import SearchOutcome
from transfer.analysis.published import RESNET38_ITERATIONS, TABLE1, TABLE5, TABLE6
from transfer.analysis.study.figures import Exploration, draw_exploration
from transfer.analysis.study.inputs import SHARING, Inputs
from transfer.analysis.tickets import CONVERGED, Snapshot
from transfer.measure.markdown import code, number, table, with_args

TOP = 0.05
"""Of the schemes: the papers' column `Top5%?`."""


def named(searches: Sequence[SearchOutcome]) -> dict[str, SearchOutcome]:
    """The searches by their methods and the arguments of these, and by their folders too where both repeat."""
    methods = Counter(map(_method, searches))
    names: dict[str, SearchOutcome] = {}
    for outcome in searches:
        name = _method(outcome)
        if methods[name] > 1:
            name = f"{name} [{outcome.work_dir.resolve().name}]"
        while name in names:
            name += "'"
        names[name] = outcome
    return names


def _method(outcome: SearchOutcome) -> str:
    return with_args(outcome.search.method, outcome.search.method_args)


# ---- LTH4SA, Table I, `Top5%?`


def top_section(inputs: Inputs, folder: Path) -> list[str]:
    """Which share of all schemes is better than what each search found."""
    rows = []
    for name, outcome in named(inputs.searches).items():
        for one in inputs.tables:
            if one.supernet != outcome.search.supernet.sha256:
                continue
            own = one.accuracy[one.place[outcome.chosen]]
            share = float((one.accuracy > own).mean())
            rows.append((name, code(outcome.chosen), one.network, one.name, number(own), f"{100 * share:.2f} %",
                         "yes" if share <= TOP else "no"))  # fmt: skip
    if not rows:
        return []
    head = ("search", "scheme", "supernet", "evaluation", "accuracy (%)", "schemes with a greater one", "top 5 %")
    printed = [(row.network, row.beta, "yes" if row.top5 else "no") for row in TABLE1 if row.top5 is not None]
    return [
        "The scheme is the best by training from scratch where that is known, else by the supernet.",
        table(head, rows),
        "Published (LTH4SA, Table I, column `Top5%?`; CIFAR-100, ResNet-38, SE, Full-SA):",
        table(("method", "beta", "top 5 %"), printed),
    ]


# ---- LTH4SA, Fig. 5 and Table V


def exploration(outcome: SearchOutcome) -> Exploration | None:
    """p-bar and the number of distinct schemes over a search's steps; None where it has no controller."""
    if outcome.convergence is None:
        return None
    seen: set[str] = set()
    steps, distinct = [], []
    for place, entry in enumerate(outcome.search.trace):
        seen |= {text.replace(".", "") for text in _schemes(entry)}
        steps.append(int(entry.get("step", place)))
        distinct.append(len(seen))
    return Exploration(outcome.convergence, steps, distinct)


def _schemes(entry: Mapping[str, Any]) -> Sequence[str]:
    return entry.get("schemes") or ([entry["scheme"]] if entry.get("scheme") else [])


def exploration_section(inputs: Inputs, folder: Path) -> list[str]:
    """How long each controller goes on trying something new."""
    searches = named(inputs.searches)
    found = {name: exploration(outcome) for name, outcome in searches.items()}
    shown = {name: search for name, search in found.items() if search is not None}
    if not shown:
        return []
    draw_exploration(folder / "exploration.png", shown)
    rows = []
    for name, search in shown.items():
        convergence, record = search.convergence, searches[name].search
        at = convergence.converged_at()
        rows.append((name, SHARING[record.sharing], record.bn, len(search.steps), convergence.drawn,
                     convergence.distinct, *(_distinct_until(search, step) for step in (20, 100)),
                     number(convergence.snapshots[-1].p_bar), "never" if at is None else at))  # fmt: skip
    head = ("search", "supernet", "statistics", "steps", "schemes drawn", "distinct", "distinct in 20 steps",
            "distinct in 100 steps", "last p-bar", f"p-bar stays at {CONVERGED} from step")  # fmt: skip
    return [
        "p-bar is the mean probability of the decisions that a controller takes: at 1 it always draws the same scheme. "
        "A step draws as many schemes as `schemes drawn` over `steps` says, which differs between searches: compare "
        "the numbers of distinct ones with that in mind.",
        table(head, rows),
        "Published (LTH4SA, Fig. 5): p-bar of ENAS rises within 20 iterations and is close to 1 within 100; "
        "EAN's curve is a picture only.",
        "![Exploration of the controllers](exploration.png)",
    ]


def _distinct_until(search: Exploration, steps: int) -> int:
    """Distinct schemes in the first steps."""
    return search.distinct[min(steps, len(search.distinct)) - 1]


def schemes_section(inputs: Inputs, folder: Path) -> list[str]:
    """Table V: a scheme every few steps, of every search with a controller."""
    said: list[str] = []
    for name, outcome in named(inputs.searches).items():
        if outcome.convergence is None:
            continue
        shown = _at_steps(outcome.convergence.snapshots)
        rows = [
            (s.step, code(s.scheme), f"{s.scheme.sparsity:.2f}", f"{s.p_bar:.2f}")
            for s in shown
            if s.scheme is not None
        ]
        if rows:
            said += [f"{name}:", table(("step", "scheme", "sparsity", "p-bar"), rows)]
    if not said:
        return []
    printed = [(step, f"{sparsity:.2f}", f"{p_bar:.2f}") for step, sparsity, p_bar in TABLE5]
    return [
        "The first scheme that each controller drew at the steps of LTH4SA's Table V, and at its last.",
        *said,
        "Published (LTH4SA, Table V; ENAS, CIFAR-100, ResNet-164, SE):",
        table(("iteration", "sparsity", "p-bar"), printed),
    ]


def _at_steps(snapshots: Sequence[Snapshot]) -> list[Snapshot]:
    """Those of Table V's steps, and the last."""
    wanted = {step for step, _, _ in TABLE5} | {snapshots[-1].step}
    return [snapshot for snapshot in snapshots if snapshot.step in wanted]


# ---- LTH4SA, Table VI


def time_section(inputs: Inputs, folder: Path) -> list[str]:
    """Search time as a share of a training's."""
    rows, resumed = [], []
    for name, outcome in named(inputs.searches).items():
        search, values = outcome.search, outcome.search.values
        seconds = values.get("seconds")
        if seconds is None:
            continue
        if values.get("fresh", search.evaluations) != search.evaluations:
            resumed.append(name)
        each = _seconds_an_iteration(outcome)
        training = None if each is None else each * max(run.max_iters for run in outcome.runs)
        papers = each * RESNET38_ITERATIONS if each is not None and search.arch == "resnet38" else None
        rows.append((name, f"{search.best.n:,}", f"{len(outcome.evaluations):,}", number(seconds, ",.0f"),
                     number(training, ",.0f"), _share(seconds, training),
                     number(papers, ",.0f"), _share(seconds, papers),
                     number(values["supernet"].get("seconds"), ",.0f")))  # fmt: skip
    if not rows:
        return []
    head = ("search", "images a scheme", "distinct schemes", "search (s)", "a training (s)", "search / training",
            "a training of the papers' length (s)", "search / that", "supernet's training (s)")  # fmt: skip
    printed = [
        (arch, f"{train:.2f}", f"{search:.2f}", f"{share:.1f} %") for arch, (train, search, share) in TABLE6.items()
    ]
    said = [
        "Measured seconds. A training is a stand-alone one of the same search, the mean over its networks; that of the "
        f"papers' length is {RESNET38_ITERATIONS:,} iterations (100 epochs) at the same seconds an iteration, "
        "calculated, not run. As in the paper, the supernet's own training is no part of the search's time.",
        table(head, rows),
    ]
    if resumed:
        said.append(f"{', '.join(resumed)}: went on from a log, so that a part of the search is not in the seconds.")
    return [
        *said,
        "Published (LTH4SA, Table VI, one GTX 1080 Ti):",
        table(("network", "a training (h)", "search (h)", "search / training"), printed),
    ]


def _seconds_an_iteration(outcome: SearchOutcome) -> float | None:
    """Mean over the stand-alone trainings whose time is known."""
    found = [run.seconds / run.max_iters for run in outcome.runs if run.seconds]
    return float(np.mean(found)) if found else None


def _share(search: float, training: float | None) -> str:
    return "-" if training is None else f"{100 * search / training:.1f} %"

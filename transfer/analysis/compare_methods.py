"""Search methods against each other on problems whose optimum is known: `tools/benchmark.py search`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from backbones.errors import UserInputError
from transfer.analysis.regret import BUDGETS, SEEDS, bootstrap, compare
from transfer.pipeline.artefacts import TABLE
from transfer.search.known_problems import PlantedLandscape, TableProblem
from transfer.search.log import LOG_NAME
from transfer.search.methods import DEFAULT_METHOD, SearchMethod, get_method, list_methods
from transfer.search.objective import Objective, Reward
from transfer.search.problem import settings_of

PLANTED = "planted"


def known_problem(name: str | Path) -> Any:
    """The problem that a name stands for.

    Args:
        name: `planted`, the landscape of 54 blocks; a table (`table.json.gz`), or the folder of an exhaustive search.

    Raises:
        UserInputError: no such file, or a folder without all schemes.
    """
    if name == PLANTED:
        return PlantedLandscape()
    path = Path(name)
    if not path.is_dir():
        return TableProblem.load(path)
    if (path / TABLE).is_file():
        return TableProblem.load(path / TABLE)
    if not (path / LOG_NAME).is_file():
        raise UserInputError(f"{path}: has no {TABLE} and no {LOG_NAME}, expected the folder of an exhaustive search")
    table = TableProblem.from_log(path)
    if len(table.table) < 2 ** sum(table.depths):
        raise UserInputError(
            f"{path}: {len(table.table)} of {2 ** sum(table.depths)} schemes are evaluated; finish the exhaustive "
            "search with tools/search.py --resume"
        )
    return table


def contestants(names: Sequence[str] | None = None, objective: Objective | None = None) -> dict[str, SearchMethod]:
    """Methods that ask for evaluations, each with its default settings; `ean` also in its two other variants.

    Args:
        names: of them, such as `ean` or `ean:paper`; None: all. `random` always takes part.
        objective: of all; default `Reward()`.
    """
    objective = objective or Reward()
    every = [name for name in list_methods() if not get_method(name).needs_supernet and name != "exhaustive"]
    every += ["ean:paper", "ean:authors"]
    found: dict[str, SearchMethod] = {}
    for name in sorted({*(names or every), "random"}):
        method, _, variant = name.partition(":")
        kind = get_method(method)
        if kind.needs_supernet:
            raise UserInputError(f"method {method!r} does not ask for evaluations; see --supernet for its regret")
        found[name] = kind(objective=objective, variant=variant) if variant else kind(objective=objective)
    return found


def contest(
    name: str,
    problem: Any,
    methods: dict[str, SearchMethod],
    *,
    budgets: Sequence[int] = BUDGETS,
    seeds: int = SEEDS,
    progress: Callable[[str], None] = lambda line: None,
) -> list[dict[str, Any]]:
    """Regret of each method on one problem: a row a method and budget (see `transfer.analysis.regret.Regret`)."""
    largest = 2 ** sum(problem.depths)
    budgets = [n for n in budgets if n <= largest] or [largest]
    rows = compare(problem, methods, budgets=budgets, seeds=seeds, progress=progress)
    settings = settings_of(problem)
    return [{"name": row.method, "problem": str(name), **row.as_dict(), "settings": settings} for row in rows]


def as_markdown(rows: Sequence[dict[str, Any]], budget: int = 128) -> str:
    """One table: a line a method, best first; regret and interval at each budget, and in relation to random search."""
    budgets = sorted({row["n"] for row in rows})
    budget = budget if budget in budgets else budgets[-1]
    by = {(row["method"], row["n"]): row for row in rows}
    names = sorted({row["method"] for row in rows}, key=lambda name: by[name, budget]["regret"])
    head = ["method", *(f"n = {n}" for n in budgets), f"of random's at {budget}", "s a search"]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for name in names:
        cells = [f"**{name}**" if name == DEFAULT_METHOD else name]
        for n in budgets:
            low, high = by[name, n]["ci95"]
            cells.append(f"{by[name, n]['regret']:.2f} ({low:.2f} to {high:.2f})")
        ratio = by[name, budget]["against_random"]
        interval = by[name, budget]["against_random_ci95"]
        cells.append("-" if ratio is None else f"{ratio:.2f} ({interval[0]:.2f} to {interval[1]:.2f})")
        cells.append(f"{by[name, budget]['seconds']:.1f}")
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


@dataclass(frozen=True)
class Cost:
    """What a method that trains or inspects the supernet found, and what that took.

    Attributes:
        method: its name.
        regret: mean over seeds of the optimum minus the value of the scheme that it returns, by the table.
        ci95: its bootstrap interval.
        passes: images that the supernet saw, as a multiple of those of D_val. Most are seen forward and backward, which
            takes about three times as long as the evaluation of a scheme does.
        seeds: number of searches.
        seconds: mean duration.
        schemes: the schemes that were returned.
    """

    method: str
    regret: float
    ci95: tuple[float, float]
    passes: float
    seeds: int
    seconds: float
    schemes: tuple[str, ...]


def supernet_methods() -> list[str]:
    """Names of the methods that train or inspect the supernet."""
    return [name for name in list_methods() if get_method(name).needs_supernet]


def regret_of_returned(
    problem: Any,
    table: TableProblem,
    *,
    seeds: int = SEEDS,
    objective: Objective | None = None,
    progress: Callable[[str], None] = lambda line: None,
) -> list[dict[str, Any]]:
    """Second table: regret, by a table of the same supernet, of the schemes that supernet methods return.

    Methods that are undefined for the supernet (those that rank modules, where modules are shared) are left out, with
    a line to `progress`.

    Raises:
        UserInputError: a table of another supernet.
    """
    theirs, ours = table.settings.get("supernet_sha256"), settings_of(problem).get("supernet_sha256")
    if theirs != ours:
        raise UserInputError(f"the table belongs to another supernet ({theirs}) than the checkpoint ({ours})")
    objective = objective or Reward()
    optimum, images = table.optimum(objective)[1], next(iter(table.table.values())).n
    rows = []
    for name in supernet_methods():
        try:
            results = [
                get_method(name)(objective=objective).search(problem, 1, torch.Generator().manual_seed(seed))
                for seed in range(seeds)
            ]
        except UserInputError as error:
            progress(f"{name}: {error}")
            continue
        regrets = np.array([optimum - table.truth(result.best.scheme, objective) for result in results])
        cost = Cost(
            method=name,
            regret=float(regrets.mean()),
            ci95=bootstrap(regrets),
            passes=float(np.mean([result.images for result in results])) / images,
            seeds=seeds,
            seconds=float(np.mean([result.seconds for result in results])),
            schemes=tuple(str(result.best.scheme) for result in results),
        )
        rows.append({"name": name, **asdict(cost)})
        progress(f"{name}: {seeds} searches of {cost.seconds:.1f} s")
    return rows


def costs_as_markdown(rows: Sequence[dict[str, Any]]) -> str:
    """A line a method, cheapest first."""
    lines = ["| method | regret | supernet passes | s a search |", "|---|---|---|---|"]
    for row in sorted(rows, key=lambda row: row["passes"]):
        low, high = row["ci95"]
        lines.append(
            f"| {row['name']} | {row['regret']:.2f} ({low:.2f} to {high:.2f}) | {row['passes']:.1f} "
            f"| {row['seconds']:.1f} |"
        )
    return "\n".join(lines)

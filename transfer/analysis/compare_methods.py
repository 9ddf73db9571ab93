"""Search methods against each other on problems whose optimum is known: `tools/benchmark.py search`.

Regret is how far a method stays behind the optimum, at equal numbers of distinct evaluations, over many seeds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch

from backbones.errors import UserInputError
from backbones.scheme import ConnectionScheme
from transfer.measure import markdown
from transfer.measure.statistics import Values, percentile_interval, resampled
from transfer.pipeline.artefacts import TABLE
from transfer.search.known_problems import PlantedLandscape, TableProblem
from transfer.search.log import LOG_NAME
from transfer.search.methods import DEFAULT_METHOD, SearchMethod, get_method, list_methods
from transfer.search.objective import Objective, Reward
from transfer.search.problem import SearchProblem, settings_of
from transfer.search.session import SearchResult

PLANTED = "planted"
BUDGETS = (32, 64, 128, 256)
SEEDS = 20
RESAMPLES = 2000


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


def pick_methods(names: Sequence[str] | None = None, objective: Objective | None = None) -> dict[str, SearchMethod]:
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
        options: dict[str, Any] = {"variant": variant} if variant else {}
        found[name] = kind(objective=objective, **options)
    return found


class KnownProblem(SearchProblem, Protocol):
    """A search problem whose optimum is known (see `transfer.search.known_problems`)."""

    def truth(self, scheme: ConnectionScheme, objective: Objective) -> float:
        """What a scheme is worth, free of noise."""
        ...

    def optimum(self, objective: Objective) -> tuple[ConnectionScheme, float]:
        """The best scheme and its value, free of noise."""
        ...


@dataclass(frozen=True)
class Regret:
    """Mean regret of a method after `n` distinct evaluations, in units of the objective.

    Attributes:
        method: its name.
        n: distinct evaluations.
        regret: mean over seeds.
        ci95: bootstrap interval of the mean over seeds.
        against_random: the mean divided by that of random search, None where random search was not run.
        against_random_ci95: its bootstrap interval; seeds are drawn for both methods separately.
        seeds: number of searches.
        seconds: mean duration of a whole search.
    """

    method: str
    n: int
    regret: float
    ci95: tuple[float, float]
    against_random: float | None
    against_random_ci95: tuple[float, float] | None
    seeds: int
    seconds: float


def regret_curve(
    result: SearchResult, problem: KnownProblem, objective: Objective, budgets: Sequence[int] = BUDGETS
) -> list[float]:
    """Regret after each number of evaluations: the optimum minus the truth of the scheme that looks best by then.

    A search that ended early keeps what it had.
    """
    optimum, curve = problem.optimum(objective)[1], []
    for n in budgets:
        best = max(result.log[:n], key=lambda record: record.value)
        curve.append(optimum - problem.truth(best.scheme, objective))
    return curve


def compare(
    problem: KnownProblem,
    methods: Mapping[str, SearchMethod],
    *,
    budgets: Sequence[int] = BUDGETS,
    seeds: int = SEEDS,
    progress: Callable[[str], None] = lambda line: None,
) -> list[Regret]:
    """Runs each method once for each seed, for the greatest budget, and gives its regrets at all budgets.

    Args:
        problem: with a known optimum.
        methods: by the name to show; with one called `"random"`, the others are also put in relation to it.
        budgets: ascending numbers of distinct evaluations.
        seeds: searches of each method, with generators seeded 0, 1, ...
        progress: is told of each method that is done.

    Returns:
        One for each method and budget, in that order.
    """
    curves, seconds = {}, {}
    for name, method in methods.items():
        results = [method.search(problem, max(budgets), torch.Generator().manual_seed(seed)) for seed in range(seeds)]
        curves[name] = np.array([regret_curve(result, problem, method.objective, budgets) for result in results])
        seconds[name] = float(np.mean([result.seconds for result in results]))
        progress(f"{name}: {seeds} searches of {seconds[name]:.1f} s")
    return [
        _regret(name, n, curves[name][:, i], curves["random"][:, i] if "random" in curves else None, seconds[name])
        for name in methods
        for i, n in enumerate(budgets)
    ]


def _regret(name: str, n: int, regrets: np.ndarray, random: np.ndarray | None, seconds: float) -> Regret:
    ratio = None if random is None or not random.mean() else float(regrets.mean() / random.mean())
    return Regret(
        method=name,
        n=n,
        regret=float(regrets.mean()),
        ci95=_interval(np.mean, regrets),
        against_random=ratio,
        against_random_ci95=None if ratio is None or random is None else _interval(_ratio_of_means, regrets, random),
        seeds=len(regrets),
        seconds=seconds,
    )


def _ratio_of_means(values: Values, divisor: Values, axis: int) -> Values:
    return values.mean(axis) / np.maximum(divisor.mean(axis), 1e-12)


def _interval(statistic: Callable[..., Values], *samples: Values) -> tuple[float, float]:
    return percentile_interval(resampled(statistic, *samples, resamples=RESAMPLES))


def regret_rows(
    name: str,
    problem: Any,
    methods: dict[str, SearchMethod],
    *,
    budgets: Sequence[int] = BUDGETS,
    seeds: int = SEEDS,
    progress: Callable[[str], None] = lambda line: None,
) -> list[dict[str, Any]]:
    """Regret of each method on one problem: a row for each method and budget, with the keys of `Regret`."""
    largest = 2 ** sum(problem.depths)
    budgets = [n for n in budgets if n <= largest] or [largest]
    rows = compare(problem, methods, budgets=budgets, seeds=seeds, progress=progress)
    settings = settings_of(problem)
    return [{"name": row.method, "problem": str(name), **asdict(row), "settings": settings} for row in rows]


def as_markdown(rows: Sequence[dict[str, Any]], budget: int = 128) -> str:
    """One line for each method, best first; regret and interval at each budget, and in relation to random search."""
    budgets = sorted({row["n"] for row in rows})
    budget = budget if budget in budgets else budgets[-1]
    by = {(row["method"], row["n"]): row for row in rows}
    names = {row["method"] for row in rows}
    ranked = sorted(names, key=lambda name: [*(by[name, n]["regret"] for n in (budget, *budgets)), name])
    head = ["method", *(f"n = {n}" for n in budgets), f"of random's at {budget}", "s a search"]
    lines = [
        [
            f"**{name}**" if name == DEFAULT_METHOD else name,
            *(_with_interval(by[name, n]["regret"], by[name, n]["ci95"]) for n in budgets),
            _with_interval(by[name, budget]["against_random"], by[name, budget]["against_random_ci95"]),
            f"{by[name, budget]['seconds']:.1f}",
        ]
        for name in ranked
    ]
    return markdown.table(head, lines)


def _with_interval(value: float | None, ends: tuple[float, float] | None) -> str:
    return "-" if value is None or ends is None else f"{value:.2f} ({markdown.interval(ends, '.2f')})"


# ---- what supernet methods return


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
            ci95=_interval(np.mean, regrets),
            passes=float(np.mean([result.images for result in results])) / images,
            seeds=seeds,
            seconds=float(np.mean([result.seconds for result in results])),
            schemes=tuple(str(result.best.scheme) for result in results),
        )
        rows.append({"name": name, **asdict(cost)})
        progress(f"{name}: {seeds} searches of {cost.seconds:.1f} s")
    return rows


def costs_as_markdown(rows: Sequence[dict[str, Any]]) -> str:
    """One line for each method, cheapest first."""
    lines = [
        [row["name"], _with_interval(row["regret"], row["ci95"]), f"{row['passes']:.1f}", f"{row['seconds']:.1f}"]
        for row in sorted(rows, key=lambda row: row["passes"])
    ]
    return markdown.table(("method", "regret", "supernet passes", "s a search"), lines)

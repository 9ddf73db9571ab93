"""How far a method stays behind the optimum, at equal numbers of distinct evaluations, over many seeds."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import numpy as np
import torch

from backbones.scheme import ConnectionScheme
from transfer.search.methods.base import SearchMethod
from transfer.search.objective import Objective
from transfer.search.problem import SearchProblem
from transfer.search.session import SearchResult

BUDGETS = (32, 64, 128, 256)
SEEDS = 20
RESAMPLES = 2000


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

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self)


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
    """Runs each method once a seed, for the greatest budget, and gives its regrets at all budgets.

    Args:
        problem: with a known optimum.
        methods: by the name to show; with one called `"random"`, the others are also put in relation to it.
        budgets: ascending numbers of distinct evaluations.
        seeds: searches a method, with generators seeded 0, 1, ...
        progress: is told of each method that is done.

    Returns:
        One entry a method and budget, in that order.
    """
    curves, seconds = {}, {}
    for name, method in methods.items():
        results = [method.search(problem, max(budgets), torch.Generator().manual_seed(seed)) for seed in range(seeds)]
        curves[name] = np.array([regret_curve(result, problem, method.objective, budgets) for result in results])
        seconds[name] = float(np.mean([result.seconds for result in results]))
        progress(f"{name}: {seeds} searches of {seconds[name]:.1f} s")
    return [
        _entry(name, n, curves[name][:, i], curves["random"][:, i] if "random" in curves else None, seconds[name])
        for name in methods
        for i, n in enumerate(budgets)
    ]


def _entry(name: str, n: int, regrets: np.ndarray, random: np.ndarray | None, seconds: float) -> Regret:
    ratio = None if random is None or not random.mean() else float(regrets.mean() / random.mean())
    return Regret(
        method=name,
        n=n,
        regret=float(regrets.mean()),
        ci95=bootstrap(regrets),
        against_random=ratio,
        against_random_ci95=None if ratio is None or random is None else bootstrap(regrets, random),
        seeds=len(regrets),
        seconds=seconds,
    )


def bootstrap(values: np.ndarray, divisor: np.ndarray | None = None, *, seed: int = 0) -> tuple[float, float]:
    """95 % percentile interval of a mean over resampled values, or of the ratio of two means."""
    draw = np.random.default_rng(seed)
    means = _resampled_means(values, draw)
    if divisor is not None:
        means = means / np.maximum(_resampled_means(divisor, draw), 1e-12)
    low, high = np.quantile(means, (0.025, 0.975))
    return float(low), float(high)


def _resampled_means(values: np.ndarray, draw: np.random.Generator) -> np.ndarray:
    return values[draw.integers(0, len(values), (RESAMPLES, len(values)))].mean(1)

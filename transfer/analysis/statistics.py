"""How far rankings agree, and how well they predict: coefficients with intervals, and a plain verdict."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from transfer.measure.statistics import Values, percentile_interval, resampled

MOST_PERMUTATIONS = 50_000
"""Up to so many, which is eight pairs, all permutations are gone through; beyond, so many are drawn."""

LEAST_TO_DECIDE = 8
"""Pairs below which no verdict is given: resamples of a few pairs hardly differ from each other. Ours."""

SHARES = (0.01, 0.05, 0.10)
"""Of the schemes, for which `Agreement` counts how many of the best are the same."""


@dataclass(frozen=True)
class Agreement:
    """Of two values of the same schemes; coefficients are nan where one of them is constant.

    Attributes:
        overlaps: for each of `SHARES`, which share of the best by the first is among as many best by the second; by
            chance that is the share itself.
    """

    pearson: float
    spearman: float
    kendall: float
    overlaps: tuple[float, ...]


def agreement(first: ArrayLike, second: ArrayLike, ties: tuple[ArrayLike, ArrayLike] | None = None) -> Agreement:
    """Agreement of two lists of numbers, greater ones being better.

    Args:
        first: (n,).
        second: (n,), of the same schemes.
        ties: (n,) each, by which equal values are ranked when the best are counted, greater ones being better.
    """
    from scipy import stats

    a, b = np.asarray(first, float), np.asarray(second, float)
    first_ties, second_ties = ties or (a, b)
    constant = np.ptp(a) == 0 or np.ptp(b) == 0
    pearson, spearman, kendall = (
        math.nan if constant else float(test(a, b).statistic)
        for test in (stats.pearsonr, stats.spearmanr, stats.kendalltau)
    )
    best = [np.lexsort((np.asarray(tie, float), value))[::-1] for value, tie in ((a, first_ties), (b, second_ties))]
    counts = [max(1, round(share * len(a))) for share in SHARES]
    overlaps = tuple(len(np.intersect1d(best[0][:k], best[1][:k])) / k for k in counts)
    return Agreement(pearson, spearman, kendall, overlaps)


@dataclass(frozen=True)
class Prediction:
    """How well a value predicts another.

    Attributes:
        pearson: the coefficient, with its 95 % bootstrap interval `pearson_ci`.
        spearman: the coefficient of ranks, with `spearman_ci`.
        p: of independence, two-sided, by permutations of the pairs for `spearman`.
    """

    pearson: float
    pearson_ci: tuple[float, float]
    spearman: float
    spearman_ci: tuple[float, float]
    p: float


@dataclass(frozen=True)
class Comparison:
    """Which of two values predicts better.

    Attributes:
        verdict: the name of the better one, or `"undecided"`.
        reason: why, in words.
        difference: of the rank coefficients, the second's less the first's.
        difference_ci: 95 % interval, both being calculated on the same resamples.
    """

    verdict: str
    reason: str
    difference: float
    difference_ci: tuple[float, float]


class Predictions:
    """Several values of the same schemes, each as a prediction of one target.

    All are resampled alike, 10,000 times with a fixed seed, so that they can be compared pair by pair. Intervals are
    percentiles of the resamples.

    Args:
        values: (n,) by name, greater ones being better; n at least three.
        target: (n,).
    """

    def __init__(self, values: Mapping[str, ArrayLike], target: ArrayLike) -> None:
        self._target = np.asarray(target, float)
        self._values = {name: np.asarray(value, float) for name, value in values.items()}
        self._known: dict[str, Prediction] = {}
        self._ranks = {name: self._resampled(_spearman, name) for name in values}

    def __getitem__(self, name: str) -> Prediction:
        if name not in self._known:
            self._known[name] = self._prediction(name)
        return self._known[name]

    def _prediction(self, name: str) -> Prediction:
        value, target = self._values[name], self._target
        return Prediction(
            float(_pearson(value, target)),
            percentile_interval(self._resampled(_pearson, name)),
            float(_spearman(value, target)),
            percentile_interval(self._ranks[name]),
            permutation_p(value, target),
        )

    def compare(self, first: str, second: str) -> Comparison:
        """Which of the two predicts the target better.

        One does where the intervals of the rank coefficients do not overlap, its own coefficient differs from 0 by
        permutations at 5 %, and there are eight pairs at least.
        """
        a, b = self[first], self[second]
        verdict, reason = self._verdict((first, a), (second, b))
        paired = percentile_interval(self._ranks[second] - self._ranks[first])
        return Comparison(verdict, reason, b.spearman - a.spearman, paired)

    def _verdict(self, *named: tuple[str, Prediction]) -> tuple[str, str]:
        n = len(self._target)
        if n < LEAST_TO_DECIDE:
            return "undecided", f"{n} schemes are too few, at least {LEAST_TO_DECIDE} are needed"
        (worse, low), (better, high) = sorted(named, key=lambda item: item[1].spearman)
        if not high.spearman_ci[0] > low.spearman_ci[1]:
            return "undecided", "the intervals of Spearman's coefficients overlap"
        if not high.p < 0.05:
            return "undecided", f"the better coefficient may be chance (P = {high.p:.3f})"
        return better, f"its interval lies above that of {worse}"

    def _resampled(self, coefficient: Callable[..., Values], name: str) -> Values:
        """The coefficient of each resample; nan where it holds one value only."""
        return resampled(coefficient, self._values[name], self._target, paired=True)


def permutation_p(first: ArrayLike, second: ArrayLike) -> float:
    """P of so strong a Spearman coefficient, of either sign, if the pairs were made by chance.

    Exact for up to eight pairs, else by 50,000 drawn permutations; nan where one list holds a single value only.
    """
    from scipy import stats

    a, b = (stats.rankdata(np.asarray(values, float)) for values in (first, second))
    if np.ptp(a) == 0 or np.ptp(b) == 0:
        return math.nan
    test = stats.permutation_test(
        (a,), lambda some, axis: np.abs(_pearson(some, b)), permutation_type="pairings", alternative="greater",
        n_resamples=MOST_PERMUTATIONS, random_state=np.random.default_rng(0),
    )  # fmt: skip
    return float(test.pvalue)


def _pearson(first: Values, second: Values, axis: int = -1) -> Values:
    """Pearson's coefficient along the last axis, nan where one side is constant."""
    a = first - first.mean(-1, keepdims=True)
    b = second - second.mean(-1, keepdims=True)
    flat = (np.ptp(first, -1) == 0) | (np.ptp(second, -1) == 0)  # where rounding may have left some spread in a and b
    scale = np.sqrt((a * a).sum(-1) * (b * b).sum(-1))
    return np.where(flat, np.nan, (a * b).sum(-1) / np.where(flat, 1.0, scale))


def _spearman(first: Values, second: Values, axis: int = -1) -> Values:
    from scipy import stats

    return _pearson(stats.rankdata(first, axis=-1), stats.rankdata(second, axis=-1))


def fisher_interval(value: float, n: int, variance: float = 1.0) -> tuple[float, float] | None:
    """95 % interval of a correlation coefficient: tanh(atanh(value) +- 1.96 sqrt(variance / (n - 3))).

    Args:
        value: the coefficient.
        n: number of pairs; None is returned for fewer than four.
        variance: of Fisher's transform, times n - 3; 1 for Pearson.
    """
    if n < 4:
        return None
    if abs(value) >= 1:
        return value, value
    reach = 1.959963984540054 * math.sqrt(variance / (n - 3))
    return math.tanh(math.atanh(value) - reach), math.tanh(math.atanh(value) + reach)


@dataclass(frozen=True)
class Difference:
    """Of the means of two lists, the second's less the first's: Welch's 95 % interval and two-sided P."""

    value: float
    ci95: tuple[float, float]
    p: float


def difference(first: Sequence[float], second: Sequence[float]) -> Difference | None:
    """Welch's test; None where one list has fewer than two numbers, or neither has any spread."""
    from scipy import stats

    if min(len(first), len(second)) < 2 or np.ptp(first) == np.ptp(second) == 0:
        return None
    test = stats.ttest_ind(second, first, equal_var=False)
    low, high = test.confidence_interval()
    return Difference(float(np.mean(second) - np.mean(first)), (float(low), float(high)), float(test.pvalue))

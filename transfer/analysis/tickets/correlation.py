"""Does the supernet's accuracy say what a scheme is worth by itself? Pearson and Spearman with intervals."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from backbones.errors import UserInputError
from transfer.analysis.statistics import fisher_interval

PUBLISHED_PEARSON, PUBLISHED_SAMPLES = 0.71, 42
"""LTH4SA, appendix on the controller: supernet against stand-alone accuracy, CIFAR-100, ResNet, SE; no interval."""

LEAST_PAIRS = 3
"""Pairs below which a coefficient says nothing."""


@dataclass(frozen=True)
class Coefficient:
    """A correlation coefficient.

    Attributes:
        value: -1 to 1.
        ci95: Fisher's interval, None for three pairs, where it is not defined.
    """

    value: float
    ci95: tuple[float, float] | None

    def __str__(self) -> str:
        if self.ci95 is None:
            return f"{self.value:.2f} (no interval)"
        return f"{self.value:.2f} (95 % interval {self.ci95[0]:.2f} to {self.ci95[1]:.2f})"


@dataclass(frozen=True)
class Correlation:
    """Both coefficients of the same pairs.

    Attributes:
        n: number of pairs.
        pearson: of the values, interval by Fisher's transformation.
        spearman: of their ranks, interval by Fisher's transformation with Bonett and Wright's variance (2000).
    """

    n: int
    pearson: Coefficient
    spearman: Coefficient


def correlate(first: Sequence[float], second: Sequence[float]) -> Correlation:
    """Pearson and Spearman coefficients of two lists of numbers.

    Raises:
        UserInputError: different lengths, fewer than three pairs, or one of the lists has no spread.
    """
    from scipy import stats

    if len(first) != len(second):
        raise UserInputError(f"correlation of {len(first)} values with {len(second)}: expected as many")
    n = len(first)
    if n < LEAST_PAIRS:
        raise UserInputError(f"correlation of {n} pairs: expected at least {LEAST_PAIRS}")
    if not all(map(math.isfinite, (*first, *second))):
        raise UserInputError("correlation: expected finite numbers")
    if len(set(first)) == 1 or len(set(second)) == 1:
        raise UserInputError("correlation is not defined: one of the lists holds a single value only")
    pearson = float(stats.pearsonr(first, second).statistic)
    spearman = float(stats.spearmanr(first, second).statistic)
    return Correlation(
        n,
        Coefficient(pearson, fisher_interval(pearson, n)),
        Coefficient(spearman, fisher_interval(spearman, n, 1 + spearman**2 / 2)),
    )

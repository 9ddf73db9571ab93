"""Bootstrap intervals, over `scipy.stats.bootstrap`: the one place that resamples. Imports no torch."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 10_000

Values = NDArray[np.float64]


def resampled(
    statistic: Callable[..., Values], *samples: Values, paired: bool = False, resamples: int = RESAMPLES, seed: int = 0
) -> Values:
    """The statistic of samples drawn again with replacement: (resamples,).

    Args:
        statistic: of arrays (..., n), along their `axis`.
        samples: (n,) each; drawn each by itself, or, if `paired`, the same places of all.
        paired: whether values of the same place belong together.
        resamples: how often.
        seed: of the drawing. The same seed draws the same places.
    """
    from scipy import stats

    if min(map(len, samples)) < 2:  # of which there is one resample only
        return np.full(resamples, statistic(*samples, axis=-1))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", stats.DegenerateDataWarning)  # of scipy's own interval, not used here
        drawn = stats.bootstrap(
            samples, statistic, paired=paired, vectorized=True, n_resamples=resamples, method="percentile",
            random_state=np.random.default_rng(seed),
        )  # fmt: skip
    return drawn.bootstrap_distribution


def percentile_interval(values: Values) -> tuple[float, float]:
    """The middle 95 % of what was resampled; nan where all of it is."""
    if np.isnan(values).all():
        return math.nan, math.nan
    low, high = np.nanpercentile(values, (2.5, 97.5))
    return float(low), float(high)


def bootstrap_median(values: Values, seed: int = 0) -> tuple[float, float]:
    """The 95 % interval of the median of `values` (n,)."""
    return percentile_interval(resampled(np.median, values, seed=seed))

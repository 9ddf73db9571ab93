"""Bootstrap intervals: against formulas, by hand, and that the same seed draws the same."""

import numpy as np
import pytest

from transfer.measure.statistics import bootstrap_median, percentile_interval, resampled


def test_the_interval_holds_the_median_and_narrows():
    rng = np.random.default_rng(0)
    few, many = rng.normal(1.01, 0.05, 20), rng.normal(1.01, 0.05, 500)
    (low, high), (inner_low, inner_high) = map(bootstrap_median, (few, many))
    assert low <= np.median(few) <= high and inner_high - inner_low < (high - low) / 2
    assert inner_low < 1.01 < inner_high and bootstrap_median(few) == (low, high)


def test_the_interval_of_a_mean_is_about_two_standard_errors_wide():
    values = np.random.default_rng(0).standard_normal(400) + 3
    reach = 1.96 * values.std() / 20
    ends = percentile_interval(resampled(np.mean, values))
    assert ends == pytest.approx((values.mean() - reach, values.mean() + reach), abs=0.02)


def test_samples_are_drawn_each_by_itself_unless_they_are_paired():
    first = np.arange(10.0)

    def gap(a, b, axis):
        return np.abs(a - b).max(axis)

    assert (resampled(gap, first, first, paired=True) == 0).all()
    assert (resampled(gap, first, first) > 0).mean() > 0.9


def test_of_one_value_there_is_one_resample():
    assert bootstrap_median(np.array([2.5])) == (2.5, 2.5)


def test_what_is_undefined_in_some_resamples_has_an_interval_of_the_others():
    assert percentile_interval(np.array([np.nan, 1.0, 1.0])) == (1.0, 1.0)
    assert np.isnan(percentile_interval(np.full(3, np.nan))).all()

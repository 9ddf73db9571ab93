"""Agreement of rankings and their predictions, against scipy's own."""

import itertools

import numpy as np
import pytest
from scipy import stats

from transfer.analysis.statistics import LEAST_TO_DECIDE, Predictions, agreement, difference, permutation_p


def noisy(n, noise, seed=0):
    generator = np.random.default_rng(seed)
    target = generator.normal(size=n)
    return target + noise * generator.normal(size=n), target


def test_coefficients_are_scipy_s_and_the_best_are_counted():
    first, second = noisy(200, 1.0)
    found = agreement(first, second)
    assert found.pearson == pytest.approx(stats.pearsonr(first, second).statistic)
    assert found.spearman == pytest.approx(stats.spearmanr(first, second).statistic)
    assert found.kendall == pytest.approx(stats.kendalltau(first, second).statistic)
    for share, k in zip(found.overlaps, (2, 10, 20), strict=True):
        best = [set(np.argsort(-values)[:k]) for values in (first, second)]
        assert share == len(best[0] & best[1]) / k


def test_equal_values_are_ranked_by_something_else():
    flat, tie = np.zeros(100), np.arange(100.0)
    assert agreement(flat, tie, (tie, tie)).overlaps == (1.0, 1.0, 1.0)
    assert agreement(flat, tie, (-tie, tie)).overlaps == (0.0, 0.0, 0.0)
    assert np.isnan(agreement(flat, tie).spearman)


@pytest.mark.parametrize("n", [4, 6])
def test_p_by_all_permutations(n):
    first, second = noisy(n, 1.0, seed=3)
    coefficient = stats.spearmanr(first, second).statistic
    every = [stats.spearmanr(some, second).statistic for some in itertools.permutations(first)]
    assert permutation_p(first, second) == pytest.approx(np.mean(np.abs(every) >= abs(coefficient) - 1e-9))


def test_p_of_many_pairs_is_near_that_of_the_normal_approximation():
    first, second = noisy(60, 3.0, seed=5)
    assert permutation_p(first, second) == pytest.approx(stats.spearmanr(first, second).pvalue, abs=0.02)
    assert np.isnan(permutation_p(np.ones(5), np.arange(5)))


def test_intervals_are_those_of_scipy_s_bootstrap():
    first, second = noisy(40, 1.0)
    found = Predictions({"x": first}, second)["x"]
    for ours, test in ((found.spearman_ci, stats.spearmanr), (found.pearson_ci, stats.pearsonr)):
        theirs = stats.bootstrap(
            (first, second), lambda a, b, test=test: test(a, b).statistic, paired=True, vectorized=False,
            n_resamples=1000, method="percentile", random_state=1,
        ).confidence_interval  # fmt: skip
        assert ours == pytest.approx((theirs.low, theirs.high), abs=0.04)
    assert found.spearman == pytest.approx(stats.spearmanr(first, second).statistic)
    assert found.pearson == pytest.approx(stats.pearsonr(first, second).statistic)


def test_a_clear_winner_is_named_from_eight_pairs_on():
    target = np.arange(12.0)
    values = {"good": target + 0.1, "bad": target[[6, 1, 9, 4, 11, 0, 8, 3, 10, 5, 2, 7]], "opposite": -target}
    found = Predictions(values, target)
    assert found.compare("bad", "good").verdict == found.compare("good", "bad").verdict == "good"
    compared = found.compare("opposite", "good")
    assert compared.difference == pytest.approx(2.0) and compared.difference_ci == pytest.approx((2.0, 2.0))
    few = slice(LEAST_TO_DECIDE - 1)
    compared = Predictions({name: value[few] for name, value in values.items()}, target[few]).compare(
        "opposite", "good"
    )
    assert compared.verdict == "undecided" and "7 schemes are too few" in compared.reason


def test_intervals_that_overlap_decide_nothing():
    first, target = noisy(10, 1.0, seed=1)
    second, _ = noisy(10, 1.2, seed=1)
    compared = Predictions({"one": first, "other": second}, target).compare("one", "other")
    assert compared.verdict == "undecided" and "overlap" in compared.reason
    assert compared.difference_ci[0] <= compared.difference <= compared.difference_ci[1]


def test_the_better_of_two_bad_ones_decides_nothing():
    target = np.arange(8.0)
    values = {"nothing": target[[3, 6, 1, 4, 7, 0, 5, 2]], "opposite": -target}
    compared = Predictions(values, target).compare("nothing", "opposite")
    assert compared.verdict == "undecided"


def test_welch():
    first, second = [1.0, 2.0, 3.0, 4.0], [2.5, 3.5, 7.0]
    found, theirs = difference(first, second), stats.ttest_ind(second, first, equal_var=False)
    assert found.p == pytest.approx(theirs.pvalue)
    assert found.ci95 == pytest.approx(tuple(theirs.confidence_interval()))
    assert found.value == pytest.approx(np.mean(second) - 2.5)
    assert difference([1.0], second) is None

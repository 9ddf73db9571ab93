"""Tickets: the certificate's verdicts, connection scores, ratios, p-bar and correlations, against other means."""

import itertools
import json
import math
from collections import Counter

import numpy as np
import pytest
from scipy import stats

from backbones.errors import UserInputError
from backbones.scheme import ConnectionScheme
from transfer.analysis.statistics import fisher_interval
from transfer.analysis.tickets import (
    PUBLISHED_PEARSON,
    PUBLISHED_SAMPLES,
    TimeRatio,
    by_connection_ratio,
    certify,
    connection_scores,
    correlate,
    extreme_sets,
    fit_trend,
    read_trace,
    ticket_and_bad_sets,
)
from transfer.search.known_problems import PlantedLandscape
from transfer.search.methods import get_method

DEPTHS = (2, 2, 2)
SCHEME = ConnectionScheme.parse("10.01.00")
FASTER = TimeRatio(0.95, 0.93, 0.97)
TICKET = {
    "time_ratio": FASTER,
    "parameters": (440_208, 473_892),
    "accuracies": [66.9, 67.0, 67.1],
    "full_accuracies": [66.1, 66.2, 66.3],
}


def verdicts(**figures):
    return [condition.verdict for condition in certify(SCHEME, **{**TICKET, **figures}).conditions]


def every_scheme(depths=DEPTHS):
    return [ConnectionScheme.from_bits(bits, depths) for bits in itertools.product((0, 1), repeat=sum(depths))]


# ---- certificate


def test_all_three_conditions_make_a_ticket():
    certificate = certify(SCHEME, **TICKET)
    assert verdicts() == ["holds", "holds", "holds"]
    assert certificate.verdict == "holds"
    assert certificate.missing == ()


@pytest.mark.parametrize(
    ("ratio", "verdict"),
    [
        ((0.95, 0.93, 0.999), "holds"),
        ((0.95, 0.93, 1.0), "undecided"),
        ((1.01, 0.99, 1.02), "undecided"),
        ((1.01, 1.0, 1.02), "fails"),
        ((1.2, 1.1, 1.3), "fails"),
    ],
)
def test_time_holds_only_with_the_whole_interval_below_one(ratio, verdict):
    assert verdicts(time_ratio=TimeRatio(*ratio))[0] == verdict


@pytest.mark.parametrize(("ours", "verdict"), [(99, "holds"), (100, "fails"), (101, "fails")])
def test_parameters_have_to_be_fewer(ours, verdict):
    assert verdicts(parameters=(ours, 100))[1] == verdict


def welch_by_hand(first, second):
    """The interval from Welch and Satterthwaite's formulas."""
    a, b = np.var(first, ddof=1) / len(first), np.var(second, ddof=1) / len(second)
    dof = (a + b) ** 2 / (a**2 / (len(first) - 1) + b**2 / (len(second) - 1))
    middle, reach = np.mean(first) - np.mean(second), stats.t.ppf(0.975, dof) * math.sqrt(a + b)
    return middle - reach, middle + reach


@pytest.mark.parametrize(
    ("ours", "full", "verdict"),
    [
        ([70.0, 70.2, 70.1], [69.0, 69.1], "holds"),
        ([69.0, 69.1], [70.0, 70.2, 70.1], "fails"),
        ([70.0, 68.0, 71.5], [69.5, 69.0], "undecided"),
        ([70.0, 70.0], [70.0, 70.0], "holds"),  # no spread at all, and no less accurate
        ([69.9, 69.9], [70.0, 70.0], "fails"),
    ],
)
def test_accuracy_is_judged_by_the_interval_of_the_difference(ours, full, verdict):
    condition = certify(SCHEME, accuracies=ours, full_accuracies=full).conditions[2]
    assert condition.verdict == verdict
    assert condition.numbers["difference"] == pytest.approx(np.mean(ours) - np.mean(full))
    if np.ptp(ours) > 0:
        assert condition.numbers["ci95"] == pytest.approx(welch_by_hand(ours, full))


@pytest.mark.parametrize(("ours", "full"), [([80.0], [60.0]), ([80.0, 81.0], [60.0]), ([80.0], [60.0, 61.0])])
def test_one_seed_leaves_accuracy_undecided_and_says_so(ours, full):
    certificate = certify(SCHEME, **{**TICKET, "accuracies": ours, "full_accuracies": full})
    accuracy = certificate.conditions[2]
    assert accuracy.verdict == certificate.verdict == "undecided"
    assert "spread over seeds is unknown" in accuracy.text
    assert accuracy.numbers["ci95"] is None
    assert certificate.missing == ()


def test_what_is_not_known_is_undecided_and_named():
    certificate = certify(SCHEME, accuracies=[70.0, 71.0])
    assert certificate.verdict == "undecided"
    assert certificate.missing == ("time", "parameters", "accuracy")
    assert certificate.conditions[2].text == "no stand-alone accuracy of Full-SA"


def test_one_failed_condition_is_enough():
    assert certify(SCHEME, parameters=(100, 100)).verdict == "fails"


def test_a_certificate_is_readable_and_plain():
    certificate = certify(SCHEME, **TICKET, against="Full-Share")
    first, *rows = str(certificate).splitlines()
    assert first == "10.01.00 (2 of 6 blocks connected), against Full-Share: a ticket"
    assert [row.split()[1:3] for row in rows] == [["time", "holds"], ["parameters", "holds"], ["accuracy", "holds"]]
    assert "0.9500" in rows[0] and "440,208 against 473,892 (-7.11 %)" in rows[1] and "3 seeds" in rows[2]
    values = json.loads(json.dumps(certificate.as_dict()))
    assert values["verdict"] == "holds"
    assert values["conditions"][0]["numbers"] == {"ratio": 0.95, "low": 0.93, "high": 0.97}
    assert values["conditions"][2]["numbers"]["accuracies"] == [66.9, 67.0, 67.1]


def test_a_benchmark_row_becomes_a_ratio():
    row = {"name": "x", "increment_percent": -5.0, "ci95": [-7.0, -3.0]}
    found = TimeRatio.from_benchmark(row)
    assert (found.ratio, found.low, found.high) == pytest.approx((0.95, 0.93, 0.97))


@pytest.mark.parametrize(
    ("wrong", "match"),
    [
        (lambda: TimeRatio(0.9, 0.95, 0.97), "time ratio"),
        (lambda: TimeRatio(math.nan, 0.9, 1.0), "time ratio"),
        (lambda: TimeRatio(1.0, 0.9, math.inf), "time ratio"),
        (lambda: TimeRatio(0.5, -0.1, 1.0), "time ratio"),
        (lambda: TimeRatio.from_benchmark({"name": "x", "increment_percent": 3.0}), "benchmark row 'x'"),
        (lambda: TimeRatio.from_benchmark({"name": "x", "increment_percent": 3.0, "ci95": [1.0]}), "benchmark row 'x'"),
        (lambda: certify(SCHEME, parameters=(0, 5)), "parameters 0 and 5"),
        (lambda: certify(SCHEME, accuracies=[101.0]), "accuracy 101"),
        (lambda: certify(SCHEME, full_accuracies=[math.nan]), "accuracy nan"),
    ],
)
def test_figures_that_cannot_be_are_refused(wrong, match):
    with pytest.raises(UserInputError, match=match):
        wrong()


# ---- connection scores (Eq. 5) and trends


def test_connection_scores_by_hand():
    schemes = [ConnectionScheme.parse(text) for text in ("10.01.00", "11.00.00", "10.01.10", "00.01.10")]
    assert connection_scores(schemes).tolist() == [0.75, 0.25, 0, 0.75, 0.5, 0]


@pytest.mark.parametrize("seed", range(3))
def test_the_trend_is_the_least_squares_line(seed):
    scores = np.random.default_rng(seed).random(12)
    trend = fit_trend(scores)
    blocks = np.arange(1, 13)
    (slope, intercept), *_ = np.linalg.lstsq(np.stack([blocks, np.ones(12)], axis=1), scores, rcond=None)
    assert (trend.slope, trend.intercept) == pytest.approx((slope, intercept))
    residuals = scores - slope * blocks - intercept
    error = math.sqrt(residuals @ residuals / 10 / np.square(blocks - 6.5).sum())
    line = stats.linregress(blocks, scores)
    assert error == pytest.approx(line.stderr)
    assert trend.ci95 == pytest.approx((slope - 2.228139 * error, slope + 2.228139 * error), rel=1e-5)


def test_a_trend_by_hand():
    trend = fit_trend([0.2, 0.4, 0.6])
    assert (trend.slope, trend.intercept) == pytest.approx((0.2, 0.0))
    assert trend.ci95 == pytest.approx((0.2, 0.2))


def test_tickets_and_bad_schemes_are_split_at_full_and_plain():
    found = [(scheme, 60.0 + scheme.bits[0] - scheme.bits[1]) for scheme in every_scheme()]
    tickets, bad = ticket_and_bad_sets(found, full=61.0, plain=60.0)
    assert (tickets.count, bad.count) == (16, 16)
    assert tickets.scores.tolist() == [1, 0, 0.5, 0.5, 0.5, 0.5]
    assert bad.scores.tolist() == [0, 1, 0.5, 0.5, 0.5, 0.5]


def test_the_full_and_the_empty_scheme_are_in_neither_set_and_empty_sets_are_left_out():
    found = [(scheme, 60.0) for scheme in every_scheme()]
    (tickets,) = ticket_and_bad_sets(found, full=60.0, plain=60.0)
    assert tickets.count == 62


def test_extreme_sets_are_disjoint_and_found_by_rank():
    found = [(scheme, float(number)) for number, scheme in enumerate(every_scheme())]
    best, worst = extreme_sets(found, 0.25)
    assert (best.count, worst.count) == (16, 16)
    assert best.scores[:2].tolist() == [1, 1]  # bits count upwards: the last quarter begins with 11
    assert worst.scores[:2].tolist() == [0, 0]
    best, worst = extreme_sets(found[:3], 0.5)
    assert (best.count, worst.count) == (1, 1)


@pytest.mark.parametrize(
    ("wrong", "match"),
    [
        (lambda: connection_scores([]), "at least one scheme"),
        (lambda: connection_scores([SCHEME, ConnectionScheme.parse("1.0")]), "expected 3"),
        (lambda: fit_trend([0.1, 0.2]), "at least 3 blocks"),
        (lambda: extreme_sets([], 0.6), "share=0.6"),
    ],
)
def test_scores_of_nothing_are_refused(wrong, match):
    with pytest.raises(UserInputError, match=match):
        wrong()


# ---- accuracy over connection ratios


def test_small_networks_are_grouped_by_the_number_of_connections():
    found = [(scheme, float(number)) for number, scheme in enumerate(every_scheme())]
    groups = by_connection_ratio(found)
    assert [(group.label, len(group.accuracies)) for group in groups] == [(str(k), math.comb(6, k)) for k in range(7)]
    for group in groups:
        expected = sorted(accuracy for scheme, accuracy in found if scheme.connected == int(group.label))
        assert group.accuracies.tolist() == expected
        assert group.ratio == pytest.approx(int(group.label) / 6)


def test_deep_networks_are_grouped_by_tenths():
    depths, generator = (18, 18, 18), np.random.default_rng(0)
    schemes = [ConnectionScheme.from_bits(generator.integers(0, 2, 54), depths) for _ in range(200)]
    schemes += [ConnectionScheme.full(depths), ConnectionScheme.empty(depths)]
    groups = by_connection_ratio([(scheme, 50.0) for scheme in schemes])
    expected = Counter(min(math.floor(scheme.ratio * 10 + 1e-9), 9) for scheme in schemes)
    assert {group.label: len(group.accuracies) for group in groups} == {
        f"{key / 10:.1f}-{(key + 1) / 10:.1f}": count for key, count in expected.items()
    }
    assert groups[0].label == "0.0-0.1" and groups[-1].label == "0.9-1.0"


# ---- p-bar and schemes over steps


def trace_of(p_bars, schemes=None):
    return [{"step": 5 * n, "p_bar": p, **({"schemes": schemes[n]} if schemes else {})} for n, p in enumerate(p_bars)]


def test_convergence_is_the_last_time_that_p_bar_comes_over_the_line():
    convergence = read_trace(trace_of([0.5, 0.96, 0.9, 0.95, 0.99]), DEPTHS)
    assert convergence.converged_at() == 15
    assert convergence.converged_at(0.5) == 0
    assert read_trace(trace_of([0.5, 0.96, 0.9]), DEPTHS).converged_at() is None


def test_drawn_schemes_are_counted():
    convergence = read_trace(trace_of([0.5, 0.6], [["100100", "000000"], ["100100"]]), DEPTHS)
    assert (convergence.drawn, convergence.distinct) == (3, 2)
    assert [str(snapshot.scheme) for snapshot in convergence.rows()] == ["10.01.00", "10.01.00"]


def test_rows_are_thinned_and_keep_both_ends():
    convergence = read_trace(trace_of([0.5] * 100, [["100100"]] * 100), DEPTHS)
    steps = [snapshot.step for snapshot in convergence.rows(10)]
    assert len(steps) == 10 and steps[0] == 0 and steps[-1] == 495
    assert set(np.diff(steps)) == {55}


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ({"probabilities": [0.9, 0.2, 0.5, 0.5, 0.5, 0.5], "scheme": "110000"}, (0.9 + 0.2 + 4 * 0.5) / 6),
        ({"epoch": 3, "p": [0.9, 0.2, 0.5, 0.5, 0.5, 0.5], "scheme": "10.00.00"}, (0.9 + 0.8 + 4 * 0.5) / 6),
        ({"p": [0.9, 0.2, 0.5, 0.5, 0.5, 0.5]}, (0.9 + 0.8 + 4 * 0.5) / 6),
        ({"p_bar": 0.7, "probabilities": [0.1] * 6}, 0.7),
    ],
)
def test_p_bar_without_a_figure_follows_from_the_probabilities(entry, expected):
    (snapshot,) = read_trace([entry], DEPTHS).snapshots
    assert snapshot.p_bar == pytest.approx(expected)
    assert snapshot.step == entry.get("epoch", 0)


def test_a_real_controller_leaves_a_trace_that_can_be_read():
    import torch

    result = get_method("enas")().search(PlantedLandscape(DEPTHS, seed=0), 10, torch.Generator().manual_seed(0))
    convergence = read_trace(result.trace, DEPTHS)
    assert len(convergence.snapshots) == len(result.trace)
    assert convergence.snapshots[0].p_bar == pytest.approx(0.5, abs=0.05)
    assert convergence.distinct == len(result.log) or convergence.distinct == len(result.log) + 1  # one over budget


@pytest.mark.parametrize("trace", [[], [{"step": 0}], [{"generation": 3, "best": 1.0}]])
def test_a_trace_without_probabilities_tells_nothing(trace):
    assert read_trace(trace, DEPTHS) is None


@pytest.mark.parametrize(
    ("entry", "match"),
    [
        ({"p_bar": 1.5}, "from 0 to 1"),
        ({"p_bar": math.nan}, "from 0 to 1"),
        ({"p": [0.5, -0.2]}, "from 0 to 1"),
        ({"p": [0.5, 0.5], "scheme": "100000"}, "2 probabilities for 6 blocks"),
        ({"p_bar": 0.5, "schemes": ["10"]}, "2 bits"),
    ],
)
def test_a_wrong_trace_is_refused(entry, match):
    with pytest.raises(UserInputError, match=match):
        read_trace([entry], DEPTHS)


# ---- correlation


def test_coefficients_by_other_means():
    generator = np.random.default_rng(4)
    first = generator.normal(size=42)
    second = first + generator.normal(size=42)
    found = correlate(first, second)
    assert found.n == 42
    assert found.pearson.value == pytest.approx(np.corrcoef(first, second)[0, 1])
    ranks = [np.argsort(np.argsort(values)) for values in (first, second)]
    assert found.spearman.value == pytest.approx(np.corrcoef(*ranks)[0, 1])
    assert found.pearson.ci95 == pytest.approx(tuple(stats.pearsonr(first, second).confidence_interval(0.95)))


def test_the_intervals_contain_the_truth_as_often_as_they_say():
    generator, rho = np.random.default_rng(7), 0.71
    truth = {"pearson": rho, "spearman": 6 / math.pi * math.asin(rho / 2)}  # of a bivariate normal distribution
    hits = Counter()
    for _ in range(400):
        first, noise = generator.normal(size=(2, 42))
        found = correlate(first, rho * first + math.sqrt(1 - rho**2) * noise)
        for name, value in truth.items():
            low, high = getattr(found, name).ci95
            hits[name] += low <= value <= high
    assert all(370 <= hits[name] <= 394 for name in truth), hits


def test_the_published_coefficient_and_its_interval():
    assert (PUBLISHED_PEARSON, PUBLISHED_SAMPLES) == (0.71, 42)
    z, reach = 0.5 * math.log(1.71 / 0.29), 1.96 / math.sqrt(39)
    ends = [(math.exp(2 * t) - 1) / (math.exp(2 * t) + 1) for t in (z - reach, z + reach)]
    assert fisher_interval(0.71, 42) == pytest.approx(ends, abs=1e-4)


def test_three_pairs_have_coefficients_but_no_interval():
    found = correlate([1.0, 2.0, 3.0], [1.0, 3.0, 2.0])
    assert found.spearman.value == pytest.approx(0.5)
    assert found.pearson.ci95 is None
    assert str(found.pearson) == "0.50 (no interval)"


def test_a_perfect_line():
    found = correlate([1.0, 2.0, 3.0, 4.0], [2.0, 4.0, 6.0, 8.0])
    assert found.pearson.value == pytest.approx(1.0)
    assert found.pearson.ci95 == pytest.approx((1.0, 1.0))


@pytest.mark.parametrize(
    ("first", "second", "match"),
    [
        ([1.0, 2.0], [1.0, 2.0], "2 pairs"),
        ([1.0, 2.0, 3.0], [1.0, 2.0], "3 values with 2"),
        ([1.0, 1.0, 1.0], [1.0, 2.0, 3.0], "single value"),
        ([1.0, math.nan, 3.0], [1.0, 2.0, 3.0], "finite"),
    ],
)
def test_a_correlation_that_is_not_defined_is_refused(first, second, match):
    with pytest.raises(UserInputError, match=match):
        correlate(first, second)

"""Theorem 1: the event drawn and in closed form, the degrees of freedom, and the page that reports them."""

import math
import re
import sys
from pathlib import Path

import numpy as np
import pytest

from backbones.errors import UserInputError

FOLDER = Path(__file__).resolve().parents[2] / "docs/theorem1"
PAGE = FOLDER / "README.md"
sys.path.insert(0, str(FOLDER))
import theorem  # noqa: E402

pytestmark = pytest.mark.slow

SMALL = ((10, 2, 0.5), (100, 4, 0.5), (100, 8, 1.0), (30, 1, 0.05))


def test_two_degrees_of_freedom_by_hand():
    # chi2(2) is exponential: P{chi2(2) >= e^2} = exp(-e^2 / 2)
    assert theorem.log_survival(2, 0.7) == pytest.approx(-0.245)
    assert theorem.event_probability(10, 2, 0.7) == pytest.approx(1 - math.exp(-2.45))


def test_one_degree_of_freedom_is_the_normal_distribution():
    assert theorem.log_survival(1, 1.3) == pytest.approx(math.log(math.erfc(1.3 / math.sqrt(2))))
    assert theorem.log_survival(1, 4.0) == pytest.approx(math.log(math.erfc(4 / math.sqrt(2))))


def test_small_probabilities_are_not_rounded_away():
    # chi2(16) below 0.01: u^8 / 8! with u = 0.01 / 2, up to a factor within exp(-u)
    assert theorem.log_survival(16, 0.1) == pytest.approx(-(0.005**8) / math.factorial(8), rel=0.01)


@pytest.mark.parametrize("point", SMALL, ids=str)
def test_the_event_is_drawn_as_often_as_with_d_degrees_and_never_as_with_d_minus_1(point):
    (check,) = theorem.check_event([point], trials=1500, seed=1)
    assert check.drawn.agrees_with(check.with_d)
    assert not check.drawn.agrees_with(check.with_d_minus_1)


def test_the_draws_follow_from_the_seed():
    first, same, other = (theorem.event_frequency(20, 3, 0.5, 300, seed) for seed in (5, 5, 6))
    assert first == same != other


def test_draws_in_chunks_are_the_same_draws(monkeypatch):
    whole = theorem.event_frequency(20, 3, 0.5, 100, 5)
    monkeypatch.setattr(theorem, "_CHUNK", 700)
    assert theorem.event_frequency(20, 3, 0.5, 100, 5) == whole


@pytest.mark.parametrize(("d", "epsilon", "delta"), [*theorem.WIDTHS, *theorem.COUNTEREXAMPLES])
def test_the_width_is_the_least_that_makes_the_event_likely(d, epsilon, delta):
    m = theorem.least_width(d, epsilon, delta)
    assert theorem.event_probability(m, d, epsilon) >= 1 - delta
    if m > 1:
        assert theorem.event_probability(m - 1, d, epsilon) <= 1 - delta


@pytest.mark.parametrize(("d", "epsilon", "delta"), theorem.WIDTHS)
def test_the_printed_width_is_too_small_for_the_event(d, epsilon, delta):
    printed = theorem.least_width(d, epsilon, delta, dof=d - 1)
    assert 1 - theorem.event_probability(printed, d, epsilon) > delta


@pytest.mark.parametrize(("d", "epsilon", "delta"), theorem.COUNTEREXAMPLES)
def test_the_printed_theorem_fails_for_all_x_at_once_and_the_mended_one_holds(d, epsilon, delta):
    printed, mended = (theorem.least_width(d, epsilon, delta, dof) for dof in (d - 1, d))
    assert 1 - theorem.conclusion_probability(printed, d, epsilon) > delta
    assert 1 - theorem.conclusion_probability(mended, d, epsilon) < delta


def test_leaving_a_row_out_changes_the_output_by_at_most_its_norm_and_reaches_it():
    generator = np.random.default_rng(3)
    w1, w2 = generator.normal(0, 1 / math.sqrt(9), (9, 4)), generator.choice([-1.0, 1.0], 9)
    norms = np.linalg.norm(w1, axis=1)
    for row in range(9):
        assert theorem.removal_change(w1, w2, row, w1[row] / norms[row]) == pytest.approx(norms[row])
        for _ in range(20):
            x = generator.normal(size=4)
            change = theorem.removal_change(w1, w2, row, x / np.linalg.norm(x))
            assert change <= norms[row] + 1e-12
            assert change == pytest.approx(max(w1[row] @ x / np.linalg.norm(x), 0), abs=1e-12)


def test_the_conclusion_is_drawn_as_often_as_its_formula_says():
    generator, (m, d, epsilon) = np.random.default_rng(0), (9, 2, 0.1)
    norms = np.linalg.norm(generator.normal(0, 1 / math.sqrt(m), (4000, m, d)), axis=2)
    share = (norms.min(axis=1) < epsilon).mean()  # the worst x for a row makes the change its norm
    assert share == pytest.approx(theorem.conclusion_probability(m, d, epsilon), abs=0.03)


@pytest.mark.parametrize(
    ("wrong", "match"),
    [
        (lambda: theorem.log_survival(-1, 1.0), "dof=-1"),
        (lambda: theorem.log_survival(2, 0.0), "epsilon=0.0"),
        (lambda: theorem.log_survival(2, math.nan), "epsilon=nan"),
        (lambda: theorem.event_probability(0, 2, 1.0), "m=0"),
        (lambda: theorem.least_width(2, 1.0, 1.0), "delta=1.0"),
        (lambda: theorem.least_width(400, 1e-3, 0.1), "too small"),
        (lambda: theorem.event_frequency(2, 2, 1.0, trials=0), "trials=0"),
    ],
)
def test_what_makes_no_sense_is_refused(wrong, match):
    with pytest.raises(UserInputError, match=match):
        wrong()


def numbers(table):
    """A Markdown table's rows of numbers; a cell `a to b` is two."""
    rows = [line for line in table.splitlines() if re.match(r"\| \d", line)]
    return [[float(n) for n in re.findall(r"\d[\d,.]*", row.replace(",", ""))] for row in rows]


def test_the_page_says_what_the_command_prints(capsys):
    assert theorem.main(["--trials", "20"]) == 0
    line, drawn, widths, conclusions = capsys.readouterr().out.strip().split("\n\n")
    page = re.split(r"\n(?=\| m \||\| d \|)", PAGE.read_text(encoding="utf-8"))[1:]
    assert [len(numbers(part)) for part in page] == [len(numbers(part)) for part in (drawn, widths, conclusions)]
    for part, printed in zip(page[1:], (widths, conclusions), strict=True):
        np.testing.assert_allclose(numbers(part), numbers(printed), rtol=1e-6, atol=1.01e-4)
    for ours, printed in zip(numbers(page[0]), numbers(drawn), strict=True):
        m, d, epsilon, share, low, high, with_d, with_d_minus_1 = ours
        assert (m, d, epsilon, with_d, with_d_minus_1) == pytest.approx((*printed[:3], *printed[6:]))
        assert low <= share <= high and low <= with_d <= high
    assert line.startswith("20 draws each")

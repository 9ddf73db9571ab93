"""Theorem 1 of LTH4SA, checked by numbers: how often is there a hidden neuron that can be left out?

The theorem: W1 is (m, d) with entries N(0, 1/m), W2 (1, m) of signs, x in the unit ball. If the width m is greater than
`ln(delta) / ln(P)`, with probability above 1 - delta some row of W1 can be set to zero and `W2 relu(W1 x)` changes by
less than epsilon. Its proof looks at one event, that some row's norm is below epsilon / sqrt(m), and takes m times the
squared norm of a row for a chi-square variable of d - 1 degrees of freedom: P = P{chi2(d - 1) >= epsilon^2}.

The entries of a row are d independent variables that nothing ties together, so it is a chi-square variable of d
degrees. `python docs/theorem1/theorem.py` prints what that changes; README.md beside it explains it. Imports no torch.
"""

from __future__ import annotations

import argparse
import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from backbones.errors import UserInputError
from transfer.measure.markdown import interval, table

GRID = tuple(itertools.product((10, 100, 1000), (2, 4, 8, 16), (0.1, 0.5, 1.0, 2.0)))
"""(m, d, epsilon) of the first table."""

WIDTHS = tuple(itertools.product((2, 4, 8, 16), (0.5, 1.0, 2.0), (0.05,)))
"""(d, epsilon, delta) of the second table."""

COUNTEREXAMPLES = ((1, 1.0, 0.05), (2, 0.1, 0.5), (2, 0.01, 0.5), (3, 2.0, 0.2), (8, 3.0, 0.3))
"""(d, epsilon, delta) of the third table: there the theorem's own conclusion is missed, not only the proof's event."""

CONFIDENCE = 0.99
RIGHT = "--:"
_CHUNK = 4_000_000


def log_survival(dof: int, epsilon: float) -> float:
    """ln P{chi2(dof) >= epsilon^2}, the papers' ln P(dof, epsilon), also where that is close to 0.

    Raises:
        UserInputError: dof below 0 or epsilon not positive.
    """
    if dof < 0 or not 0 < epsilon < math.inf:
        raise UserInputError(f"dof={dof}, epsilon={epsilon}: expected dof at least 0 and a positive finite epsilon")
    if dof == 0:
        return -math.inf  # the sum of no squares is 0
    below = float(stats.chi2.cdf(epsilon**2, dof))
    return math.log1p(-below) if below < 0.5 else float(stats.chi2.logsf(epsilon**2, dof))


def event_probability(m: int, d: int, epsilon: float, dof: int | None = None) -> float:
    """Probability that some row of W1 has a norm below epsilon / sqrt(m): 1 - P(dof, epsilon)^m.

    Args:
        m: rows, the hidden neurons.
        d: columns, the inputs.
        epsilon: see the theorem.
        dof: degrees of freedom; default d, which is right. The papers write d - 1.
    """
    _check_size(m, d)
    return -math.expm1(m * log_survival(d if dof is None else dof, epsilon))


def least_width(d: int, epsilon: float, delta: float, dof: int | None = None) -> int:
    """The least m above `ln(delta) / ln(P(dof, epsilon))`, the theorem's condition; `dof` as above.

    Raises:
        UserInputError: delta outside (0, 1), or an epsilon so small that the width overflows.
    """
    _check_size(1, d)
    if not 0 < delta < 1:
        raise UserInputError(f"delta={delta}: expected above 0, below 1")
    log_p = log_survival(d if dof is None else dof, epsilon)
    if log_p == 0:
        raise UserInputError(f"epsilon={epsilon} with d={d}: too small, the width is beyond every number")
    return math.floor(math.log(delta) / log_p) + 1


def conclusion_probability(m: int, d: int, epsilon: float) -> float:
    """Probability that some row can be left out for all x of the unit ball at once, at a change below epsilon.

    Without row j the output changes by |W2_j| relu(W1_j x), which is greatest at x = W1_j / |W1_j|, where it is the
    row's norm: the theorem needs a norm below epsilon, not below epsilon / sqrt(m).
    """
    return event_probability(m, d, epsilon * math.sqrt(m))


@dataclass(frozen=True)
class Frequency:
    """How often an event was seen.

    Attributes:
        hits: trials in which it happened.
        trials: number of trials.
        low, high: Clopper and Pearson's 99 % interval of its probability.
    """

    hits: int
    trials: int
    low: float
    high: float

    @property
    def share(self) -> float:
        """hits / trials."""
        return self.hits / self.trials

    def agrees_with(self, probability: float) -> bool:
        """Whether the interval contains `probability`."""
        return self.low <= probability <= self.high


def event_frequency(m: int, d: int, epsilon: float, trials: int = 2000, seed: int | Sequence[int] = 0) -> Frequency:
    """Draws W1 and looks for a row whose norm is below epsilon / sqrt(m), `trials` times; numpy takes the seed."""
    _check_size(m, d)
    if trials < 1:
        raise UserInputError(f"trials={trials}: expected at least 1")
    generator, hits = np.random.default_rng(seed), 0
    each = max(1, _CHUNK // (m * d))
    for start in range(0, trials, each):
        w1 = generator.normal(0.0, 1 / math.sqrt(m), (min(each, trials - start), m, d))
        norms = np.sqrt(np.square(w1).sum(axis=2))
        hits += int((norms < epsilon / math.sqrt(m)).any(axis=1).sum())
    interval = stats.binomtest(hits, trials).proportion_ci(CONFIDENCE)
    return Frequency(hits, trials, float(interval.low), float(interval.high))


@dataclass(frozen=True)
class Check:
    """The proof's event at one (m, d, epsilon): drawn, and by both formulas."""

    m: int
    d: int
    epsilon: float
    drawn: Frequency
    with_d: float
    with_d_minus_1: float


def check_event(grid: Iterable[tuple[int, int, float]] = GRID, trials: int = 2000, seed: int = 0) -> tuple[Check, ...]:
    """Draws the event over (m, d, epsilon), each with a seed of its own, beside the two closed forms."""
    checks = []
    for number, (m, d, epsilon) in enumerate(grid):
        drawn = event_frequency(m, d, epsilon, trials, (seed, number))
        closed = [event_probability(m, d, epsilon, dof) for dof in (d, d - 1)]
        checks.append(Check(m, d, epsilon, drawn, *closed))
    return tuple(checks)


def removal_change(w1: np.ndarray, w2: np.ndarray, row: int, x: np.ndarray) -> float:
    """|W2 relu(W1 x) - W2 relu(B_row W1 x)|, the left side of the theorem, for W1 (m, d), W2 (m,), x (d,)."""
    without = w1.copy()
    without[row] = 0
    return float(abs(w2 @ np.maximum(w1 @ x, 0) - w2 @ np.maximum(without @ x, 0)))


# ---- tables


def event_table(checks: Sequence[Check]) -> str:
    """Markdown: the rows on which the two formulas differ by 0.02 or more."""
    rows = [
        (c.m, c.d, c.epsilon, f"{c.drawn.share:.4f}", interval((c.drawn.low, c.drawn.high), ".4f"),
         f"{c.with_d:.4f}", f"{c.with_d_minus_1:.4f}")
        for c in checks
        if abs(c.with_d - c.with_d_minus_1) >= 0.02
    ]  # fmt: skip
    return table(("m", "d", "eps", "drawn", "99 % interval", "d", "d - 1"), rows, RIGHT)


def verdict(checks: Sequence[Check]) -> str:
    """One line: how often the drawn frequency agrees with either formula."""
    apart = [c for c in checks if abs(c.with_d - c.with_d_minus_1) >= 0.02]
    right = sum(c.drawn.agrees_with(c.with_d) for c in checks)
    wrong = sum(c.drawn.agrees_with(c.with_d_minus_1) for c in apart)
    return (
        f"{checks[0].drawn.trials} draws each: the 99 % interval contains the value with d degrees of freedom at "
        f"{right} of {len(checks)} points; that with d - 1 at {wrong} of the {len(apart)} points where the two differ "
        "by 0.02 or more."
    )


def width_table(points: Iterable[tuple[int, float, float]] = WIDTHS) -> str:
    """Markdown: the width by either formula, and how often the event fails at the width with d - 1."""
    rows = []
    for d, epsilon, delta in points:
        printed, needed = (least_width(d, epsilon, delta, dof) for dof in (d - 1, d))
        failure = 1 - event_probability(printed, d, epsilon)
        rows.append((d, epsilon, delta, f"{printed:,}", f"{needed:,}", f"{needed / printed:.2f}", f"{failure:.4f}"))
    return table(("d", "eps", "delta", "m with d - 1", "m with d", "ratio", "event fails at m with d - 1"), rows, RIGHT)


def conclusion_table(points: Iterable[tuple[int, float, float]] = COUNTEREXAMPLES) -> str:
    """Markdown: how often no row can be left out for all x at once, at the width by either formula."""
    rows = []
    for d, epsilon, delta in points:
        widths = [least_width(d, epsilon, delta, dof) for dof in (d - 1, d)]
        failures = [1 - conclusion_probability(m, d, epsilon) for m in widths]
        pairs = zip(widths, failures, strict=True)
        rows.append((d, epsilon, delta, *(text for m, failure in pairs for text in (f"{m:,}", f"{failure:.4f}"))))
    return table(("d", "eps", "delta", "m with d - 1", "fails", "m with d", "fails"), rows, RIGHT)


def _check_size(m: int, d: int) -> None:
    if m < 1 or d < 1:
        raise UserInputError(f"m={m}, d={d}: expected both at least 1")


def main(argv: list[str] | None = None) -> int:
    """Prints the tables of the README.md beside it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--trials", type=int, default=2000, help="draws at each point (default 2000)")
    parser.add_argument("--seed", type=int, default=0, help="of the draws (default 0)")
    args = parser.parse_args(argv)
    checks = check_event(trials=args.trials, seed=args.seed)
    for part in (verdict(checks), event_table(checks), width_table(), conclusion_table()):
        print(part, end="\n\n")
    return 0


if __name__ == "__main__":
    from transfer.cli import run_command

    raise SystemExit(run_command(main))

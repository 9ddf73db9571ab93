"""Is a scheme a ticket? The three conditions of the hypothesis (LTH4SA, Section I), each with its figures.

The papers compare single runs. Here a condition holds or fails only where the figures leave no doubt, and is undecided
otherwise: a 95 % interval that contains the border, a spread over seeds that nobody knows, or no figure at all.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from backbones.errors import UserInputError
from backbones.scheme import ConnectionScheme
from transfer.analysis.statistics import difference

Verdict = Literal["holds", "fails", "undecided"]


@dataclass(frozen=True)
class TimeRatio:
    """Inference time of the scheme's network over the reference's, from pairs of measurements.

    Attributes:
        ratio: median of the paired ratios; below 1 the scheme's network is the faster one.
        low, high: its 95 % interval.

    Raises:
        UserInputError: not finite, not positive, or not in order.
    """

    ratio: float
    low: float
    high: float

    def __post_init__(self) -> None:
        if not 0 < self.low <= self.ratio <= self.high < math.inf:
            raise UserInputError(
                f"time ratio {self.ratio} with 95 % interval {self.low} to {self.high}: expected finite positive "
                "numbers, the ratio inside the interval"
            )

    @classmethod
    def from_benchmark(cls, row: Mapping[str, Any]) -> TimeRatio:
        """Reads `increment_percent` and `ci95` of a row that `tools/benchmark.py increment` wrote."""
        try:
            low, high = row["ci95"]
            ratios = [1 + float(percent) / 100 for percent in (row["increment_percent"], low, high)]
        except (KeyError, TypeError, ValueError) as error:
            raise UserInputError(
                f"benchmark row {row.get('name')!r}: expected increment_percent and ci95 [low, high], both in percent"
            ) from error
        return cls(*ratios)


@dataclass(frozen=True)
class Condition:
    """One of the three conditions.

    Attributes:
        name: `"time"`, `"parameters"` or `"accuracy"`.
        verdict: `"holds"`, `"fails"` or `"undecided"`.
        text: the figures in words, or what is missing.
        numbers: the figures; empty where there are none.
    """

    name: str
    verdict: Verdict
    text: str
    numbers: dict[str, Any]


@dataclass(frozen=True)
class Certificate:
    """The three conditions for one scheme; `str()` prints them.

    Attributes:
        scheme: the scheme.
        against: what it is compared with.
        conditions: time, parameters, accuracy.
    """

    scheme: ConnectionScheme
    against: str
    conditions: tuple[Condition, Condition, Condition]

    @property
    def verdict(self) -> Verdict:
        """A ticket if all three hold, none if one fails, else undecided."""
        verdicts = {condition.verdict for condition in self.conditions}
        if "fails" in verdicts:
            return "fails"
        return "undecided" if "undecided" in verdicts else "holds"

    @property
    def missing(self) -> tuple[str, ...]:
        """Names of the conditions for which there is no figure at all."""
        return tuple(condition.name for condition in self.conditions if not condition.numbers)

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {
            "scheme": str(self.scheme),
            "connected": self.scheme.connected,
            "blocks": self.scheme.total,
            "against": self.against,
            "verdict": self.verdict,
            "conditions": [asdict(condition) for condition in self.conditions],
        }

    def __str__(self) -> str:
        said = {"holds": "a ticket", "fails": "not a ticket", "undecided": "undecided"}[self.verdict]
        scheme = f"{self.scheme} ({self.scheme.connected} of {self.scheme.total} blocks connected)"
        rows = [f"  {n}. {c.name:11}{c.verdict:11}{c.text}" for n, c in enumerate(self.conditions, 1)]
        return "\n".join([f"{scheme}, against {self.against}: {said}", *rows])


def certify(
    scheme: ConnectionScheme,
    *,
    time_ratio: TimeRatio | None = None,
    parameters: tuple[int, int] | None = None,
    accuracies: Sequence[float] = (),
    full_accuracies: Sequence[float] = (),
    against: str = "Full-SA",
) -> Certificate:
    """Checks the three conditions, as far as figures are given.

    Args:
        scheme: the scheme.
        time_ratio: of the scheme's network over the reference's. Holds if its interval lies below 1.
        parameters: of the scheme's network and of the reference. Holds if the first is less.
        accuracies: stand-alone accuracies in percent, one a seed.
        full_accuracies: the same of the reference, trained in the same way. Holds if Welch's 95 % interval of the
            difference of means lies at or above 0; needs two seeds of each.
        against: the reference's name.

    Raises:
        UserInputError: a figure that cannot be one.
    """
    conditions = (
        _time(time_ratio, against),
        _parameters(parameters, against),
        _accuracy(_percentages(accuracies), _percentages(full_accuracies), against),
    )
    return Certificate(scheme, against, conditions)


def _time(ratio: TimeRatio | None, against: str) -> Condition:
    if ratio is None:
        return Condition("time", "undecided", f"not measured against {against}", {})
    verdict: Verdict = "holds" if ratio.high < 1 else "fails" if ratio.low >= 1 else "undecided"
    place = {"holds": "below 1", "fails": "not below 1", "undecided": "1 is inside"}[verdict]
    text = f"{ratio.ratio:.4f} of {against}'s, 95 % interval {ratio.low:.4f} to {ratio.high:.4f}: {place}"
    return Condition("time", verdict, text, asdict(ratio))


def _parameters(counts: tuple[int, int] | None, against: str) -> Condition:
    if counts is None:
        return Condition("parameters", "undecided", f"not counted against {against}", {})
    ours, full = counts
    if min(ours, full) < 1:
        raise UserInputError(f"parameters {ours} and {full}: expected two positive numbers")
    change = 100 * (ours - full) / full
    text = f"{ours:,} against {full:,} ({change:+.2f} %)"
    numbers = {"parameters": int(ours), "reference": int(full), "change_percent": change}
    return Condition("parameters", "holds" if ours < full else "fails", text, numbers)


def _accuracy(ours: list[float], full: list[float], against: str) -> Condition:
    absent = [name for name, values in (("the scheme", ours), (against, full)) if not values]
    if absent:
        return Condition("accuracy", "undecided", f"no stand-alone accuracy of {' and of '.join(absent)}", {})
    means = [math.fsum(values) / len(values) for values in (ours, full)]
    value = means[0] - means[1]
    numbers = {"accuracies": ours, "reference": full, "difference": value, "ci95": None}
    text = f"{means[0]:.2f} against {means[1]:.2f} ({value:+.2f})"
    if min(len(ours), len(full)) < 2:
        seeds = f"{_seeds(ours)} against {_seeds(full)}"
        return Condition("accuracy", "undecided", f"{text}, the spread over seeds is unknown: {seeds}", numbers)
    tested = difference(full, ours)
    low, high = (value, value) if tested is None else tested.ci95  # None: no spread at all
    verdict: Verdict = "holds" if low >= 0 else "fails" if high < 0 else "undecided"
    text += f", {_seeds(ours)} against {_seeds(full)}, 95 % interval of the difference {low:+.2f} to {high:+.2f}"
    return Condition("accuracy", verdict, text, {**numbers, "ci95": [low, high]})


def _seeds(values: Sequence[float]) -> str:
    return f"{len(values)} seed{'s' * (len(values) != 1)}"


def _percentages(values: Sequence[float]) -> list[float]:
    found = [float(value) for value in values]
    for value in found:
        if not 0 <= value <= 100:
            raise UserInputError(f"accuracy {value}: expected percent, 0 to 100")
    return found

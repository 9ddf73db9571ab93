"""Which blocks, and how many: connection scores (LTH4SA, Eq. 5, Fig. 3), accuracy over connection ratios (Fig. 2)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from backbones.errors import UserInputError
from backbones.scheme import ConnectionScheme

Found = Sequence[tuple[ConnectionScheme, float]]
"""Schemes with their accuracies in percent."""

MOST_GROUPS = 21
"""With more different numbers of connections than this, ratios are taken together by tenths."""


def connection_scores(schemes: Sequence[ConnectionScheme]) -> np.ndarray:
    """Share of the schemes that connect each block (LTH4SA, Eq. 5): (m,), 0 to 1.

    Raises:
        UserInputError: no schemes, or of different networks.
    """
    if not schemes:
        raise UserInputError("connection scores: expected at least one scheme")
    for scheme in schemes:
        scheme.check_depths(schemes[0].depths)
    return np.array([scheme.bits for scheme in schemes], dtype=np.float64).mean(axis=0)


@dataclass(frozen=True)
class Trend:
    """The straight line through scores over blocks 1 to m, by least squares (LTH4SA, Fig. 3).

    Attributes:
        slope: change of the score from one block to the next.
        intercept: the line at block 0.
        ci95: Student's interval of the slope.
    """

    slope: float
    intercept: float
    ci95: tuple[float, float]


def fit_trend(scores: Sequence[float] | np.ndarray) -> Trend:
    """Fits the line through scores (m,), m at least 3."""
    from scipy import stats

    if len(scores) < 3:
        raise UserInputError(f"trend of {len(scores)} connection scores: expected at least 3 blocks")
    line = stats.linregress(np.arange(1, len(scores) + 1), scores)
    reach = float(stats.t.ppf(0.975, len(scores) - 2) * line.stderr)
    slope = float(line.slope)
    return Trend(slope, float(line.intercept), (slope - reach, slope + reach))


@dataclass(frozen=True)
class ScoreSet:
    """A set of schemes in a few figures.

    Attributes:
        name: which schemes.
        count: how many, N.
        scores: (m,), Eq. 5.
        trend: the line through them.
    """

    name: str
    count: int
    scores: np.ndarray
    trend: Trend


def ticket_and_bad_sets(found: Found, full: float, plain: float) -> tuple[ScoreSet, ...]:
    """The sets of Fig. 3: at least as accurate as with all connections, and less accurate than with none.

    Accuracy alone decides here, as in Fig. 2: of the schemes but the full one, all have fewer connections. An empty set
    is left out.

    Args:
        found: schemes with accuracies. The full and the empty one belong to neither set.
        full: accuracy of the scheme that connects every block.
        plain: accuracy of the one that connects none.
    """
    inner = [(scheme, accuracy) for scheme, accuracy in found if 0 < scheme.connected < scheme.total]
    return _sets(
        [
            (f"tickets: at least {full:.2f} %", [s for s, accuracy in inner if accuracy >= full]),
            (f"bad: below {plain:.2f} %", [s for s, accuracy in inner if accuracy < plain]),
        ]
    )


def extreme_sets(found: Found, share: float = 0.25) -> tuple[ScoreSet, ...]:
    """The most and the least accurate schemes: our stand-in where the accuracies of full and plain are unknown.

    Args:
        found: schemes with accuracies.
        share: of the schemes in each set, rounded up, at most one half.
    """
    if not 0 < share <= 0.5:
        raise UserInputError(f"share={share} of the schemes: expected above 0, at most 0.5")
    ranked = [scheme for scheme, _ in sorted(found, key=lambda pair: -pair[1])]
    count = min(math.ceil(share * len(ranked)), len(ranked) // 2)
    sets = [(f"best {share:.0%}", ranked[:count]), (f"worst {share:.0%}", ranked[len(ranked) - count :])]
    return _sets(sets)


def _sets(named: Sequence[tuple[str, list[ConnectionScheme]]]) -> tuple[ScoreSet, ...]:
    found = []
    for name, schemes in named:
        if schemes:
            scores = connection_scores(schemes)
            found.append(ScoreSet(name, len(schemes), scores, fit_trend(scores)))
    return tuple(found)


@dataclass(frozen=True)
class RatioGroup:
    """Accuracies of schemes of like connection ratio (LTH4SA, Fig. 2).

    Attributes:
        label: the number of connections, or the range of ratios.
        ratio: mean connection ratio.
        accuracies: (n,), percent, sorted.
    """

    label: str
    ratio: float
    accuracies: np.ndarray


def by_connection_ratio(found: Found) -> tuple[RatioGroup, ...]:
    """Accuracies by number of connections, or by tenths of the ratio for networks of more than 20 blocks."""
    groups: dict[int, list[tuple[float, float]]] = {}
    for scheme, accuracy in found:
        key = scheme.connected if scheme.total < MOST_GROUPS else min(10 * scheme.connected // scheme.total, 9)
        groups.setdefault(key, []).append((scheme.ratio, accuracy))
    fine = all(scheme.total < MOST_GROUPS for scheme, _ in found)
    return tuple(
        RatioGroup(
            label=str(key) if fine else f"{key / 10:.1f}-{(key + 1) / 10:.1f}",
            ratio=float(np.mean([ratio for ratio, _ in groups[key]])),
            accuracies=np.sort(np.array([accuracy for _, accuracy in groups[key]], dtype=np.float64)),
        )
        for key in sorted(groups)
    )

"""How fast a controller makes up its mind: p-bar over steps (LTH4SA, Fig. 5) and its schemes (Table V)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from backbones.errors import UserInputError
from backbones.scheme import ConnectionScheme

CONVERGED = 0.95
"""p-bar from which a controller counts as converged. The papers name no figure: ours."""


@dataclass(frozen=True)
class Snapshot:
    """One step.

    Attributes:
        step: its number.
        p_bar: mean probability of the decisions that make its scheme (LTH4SA, Section V-D); 1 means that the
            controller always draws the same scheme.
        scheme: the first scheme that it drew, where the search noted it.
    """

    step: int
    p_bar: float
    scheme: ConnectionScheme | None


@dataclass(frozen=True)
class Convergence:
    """The steps of a search.

    Attributes:
        snapshots: in order, at least one.
        drawn: schemes that were drawn, repeats included.
        distinct: different ones among them.
    """

    snapshots: tuple[Snapshot, ...]
    drawn: int
    distinct: int

    def converged_at(self, p_bar: float = CONVERGED) -> int | None:
        """The step from which p-bar never falls below `p_bar` again, None if it ends below."""
        step = None
        for snapshot in reversed(self.snapshots):
            if snapshot.p_bar < p_bar:
                break
            step = snapshot.step
        return step

    def rows(self, most: int = 28) -> tuple[Snapshot, ...]:
        """Table V: the steps whose schemes are known, thinned evenly to at most `most`; first and last stay."""
        known = [snapshot for snapshot in self.snapshots if snapshot.scheme is not None]
        if len(known) <= most:
            return tuple(known)
        last = len(known) - 1
        return tuple(known[round(place * last / (most - 1))] for place in range(most))


def read_trace(trace: Sequence[Mapping[str, Any]], depths: Sequence[int]) -> Convergence | None:
    """Reads the trace of a search; None where no entry has anything to tell of probabilities.

    An entry holds `step` (or `epoch`), `p_bar`, and `schemes` or `scheme`. Without `p_bar` it is calculated from
    `probabilities` (or `p`) of connection (m,): of the scheme's decisions, or without a scheme of the likelier ones.

    Raises:
        UserInputError: a probability outside 0 to 1, or a scheme of another network.
    """
    snapshots: list[Snapshot] = []
    drawn: list[ConnectionScheme] = []
    for number, entry in enumerate(trace):
        texts = entry.get("schemes") or ([entry["scheme"]] if entry.get("scheme") else [])
        schemes = [ConnectionScheme.parse(text, depths) for text in texts]
        p_bar = _p_bar(entry, schemes[0] if schemes else None, number)
        if p_bar is not None:
            drawn += schemes
            step = int(entry.get("step", entry.get("epoch", number)))
            snapshots.append(Snapshot(step, p_bar, schemes[0] if schemes else None))
    return Convergence(tuple(snapshots), len(drawn), len(set(drawn))) if snapshots else None


def _p_bar(entry: Mapping[str, Any], scheme: ConnectionScheme | None, number: int) -> float | None:
    p = entry.get("probabilities", entry.get("p"))
    values = [entry["p_bar"]] if "p_bar" in entry else p
    if not values:
        return None
    if not all(isinstance(value, (int, float)) and -1e-6 <= value <= 1 + 1e-6 for value in values):
        raise UserInputError(f"trace, entry {number}: expected probabilities from 0 to 1, got {values}")
    if "p_bar" in entry:
        return float(entry["p_bar"])
    bits = scheme.bits if scheme else [value > 0.5 for value in p]
    if len(bits) != len(p):
        raise UserInputError(f"trace, entry {number}: {len(p)} probabilities for {len(bits)} blocks")
    return sum(value if bit else 1 - value for value, bit in zip(p, bits, strict=True)) / len(p)

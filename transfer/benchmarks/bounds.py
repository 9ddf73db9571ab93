"""Whether a measurement reaches what it should, in a line."""

from __future__ import annotations

from collections.abc import Sequence


def goal(
    what: str,
    value: float | None,
    bound: float,
    *,
    at_least: bool,
    ends: Sequence[float] | None = None,
    digits: int = 2,
) -> str:
    """A line of Markdown that says whether a value, with the unfavourable end of its interval, keeps to a bound.

    >>> goal("step", 1.02, 1.05, at_least=False, ends=[1.01, 1.06])
    '- step: 1.02 (1.01 to 1.06), at most 1.05: missed by the interval'

    Args:
        what: is measured.
        value: None where it was not.
        bound: that should be kept.
        at_least: from which side.
        ends: of the 95 % interval, if there is one.
        digits: after the point.
    """
    rule = f"at {'least' if at_least else 'most'} {bound:g}"
    if value is None:
        return f"- {what}: not measured, {rule}"
    worst = value if ends is None else min(ends) if at_least else max(ends)
    kept, surely = (v >= bound if at_least else v <= bound for v in (value, worst))
    verdict = "reached" if surely else "missed by the interval" if kept else "missed"
    interval = "" if ends is None else f" ({ends[0]:,.{digits}f} to {ends[1]:,.{digits}f})"
    return f"- {what}: {value:,.{digits}f}{interval}, {rule}: {verdict}"

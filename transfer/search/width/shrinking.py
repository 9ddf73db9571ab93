"""How strong a penalty must be to bring a gate from 1 to 0, learning rates over time, and whether gates moved."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from torch import Tensor

MOVED = 0.2
"""A gate has moved if it changed by this share of what it was."""

NOISE = 0.05
"""Where a smaller share of the gates has moved, their order is noise."""

Rate = Callable[[int], float]
"""The learning rate of a step, counted from 0."""


def rate_of(schedule: str, lr: float, steps: int) -> Rate:
    """Learning rates of a search.

    Args:
        schedule: `"constant"`; `"cosine"`, to 0; `"steps"`, a tenth after half and after three quarters (NetSlim).
        lr: the first.
        steps: of the whole search.
    """
    if schedule == "cosine":
        return lambda step: lr * 0.5 * (1 + math.cos(math.pi * step / steps))
    if schedule == "steps":
        return lambda step: lr * 0.1 ** ((2 * step >= steps) + (4 * step >= 3 * steps))
    return lambda step: lr


def gamma_of(shrink: float, rate: Rate, steps: int, momentum: float) -> float:
    """The penalty's strength by which it alone takes `shrink` off a gate in a search.

    `shrink = lr * gamma * steps / (1 - momentum)`, with the sum of the learning rates where they change. The thesis:
    0.1 * 1e-4 * 31,250 / 0.1 = 3.1.

    >>> round(gamma_of(3.125, lambda step: 0.1, 31_250, 0.9), 10)
    0.0001
    """
    return shrink * (1 - momentum) / sum(rate(step) for step in range(steps))


def shrink_of(gamma: float, rate: Rate, steps: int, momentum: float) -> float:
    """What a penalty takes off a gate: the opposite of `gamma_of`."""
    return gamma * sum(rate(step) for step in range(steps)) / (1 - momentum)


def moved_share(before: Sequence[Tensor], after: Sequence[Tensor]) -> float:
    """Share of the channels whose score has changed by `MOVED` of what it was, 0 to 1."""
    changes = [((b - a).abs() > MOVED * b.abs()) for b, a in zip(before, after, strict=True)]
    return sum(int(change.sum()) for change in changes) / max(sum(change.numel() for change in changes), 1)

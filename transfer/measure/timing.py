"""Timing of several pieces of work side by side: what is compared is the ratio within a round."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch

from transfer.measure.statistics import bootstrap_median

CLOCKS: dict[str, Callable[[], float]] = {"wall": time.perf_counter, "cpu": time.process_time}
"""Seconds as they pass, and seconds of computing by this process, all threads together.

`cpu` is of use with one thread on a machine that is busy otherwise: waiting for its turn does not count.
"""


class Ratio(NamedTuple):
    """A median ratio and the ends of its 95 % interval."""

    median: float
    low: float
    high: float

    @property
    def percent(self) -> Ratio:
        """What the ratio adds, in percent: 1.05 is 5."""
        return Ratio(*(100 * (value - 1) for value in self))


def interleaved(
    steps: Sequence[Callable[[], object]],
    rounds: int,
    warm_up: int = 0,
    *,
    synchronise: Callable[[], object] = lambda: None,
    clock: Callable[[], float] = time.perf_counter,
) -> np.ndarray:
    """Runs the steps in turn, the order reversed in every second round, so that other load falls on all alike.

    Args:
        steps: pieces of work.
        rounds: that are timed; each runs every step once.
        warm_up: rounds before them that are not.
        synchronise: waits for a device, before the clock is read; see `synchroniser`.
        clock: gives seconds, see `CLOCKS`.

    Returns:
        Seconds (rounds, len(steps)).
    """
    times = np.zeros((warm_up + rounds, len(steps)))
    for row in range(len(times)):
        order = range(len(steps)) if row % 2 == 0 else reversed(range(len(steps)))
        for column in order:
            synchronise()
            started = clock()
            steps[column]()
            synchronise()
            times[row, column] = clock() - started
    return times[warm_up:]


def synchroniser(device: str | torch.device) -> Callable[[], None]:
    """What waits until a device has done all that it was told to; nothing on a CPU."""
    device = torch.device(device)
    if device.type != "cuda":
        return lambda: None
    return lambda: torch.cuda.synchronize(device)


def paired_ratio(times: np.ndarray, against: np.ndarray, seed: int = 0) -> Ratio:
    """The median of `times / against` (rounds,), round by round, with its 95 % interval."""
    ratios = times / against
    return Ratio(float(np.median(ratios)), *bootstrap_median(ratios, seed))

"""Timing of several pieces of work side by side: what is compared is the ratio within a round. Imports no torch."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from backbones.errors import UserInputError
from transfer.measure.statistics import bootstrap_median

if TYPE_CHECKING:
    import torch

CLOCKS: dict[str, Callable[[], float]] = {"wall": time.perf_counter, "cpu": time.process_time}
"""Seconds as they pass, and seconds of computing by this process, all threads together.

`cpu` is of use with one thread on a machine that is busy otherwise: waiting for its turn does not count.
"""


@dataclass(frozen=True)
class Timing:
    """How pieces of work are timed side by side.

    Attributes:
        batch: images a forward; 50 in the papers.
        rounds: in which each runs once.
        clock: a name of `CLOCKS`.

    Raises:
        UserInputError: a number below 1, or an unknown clock.
    """

    batch: int = 50
    rounds: int = 20
    clock: str = "wall"

    def __post_init__(self) -> None:
        self._check("timing.{}={!r}", "batch", "rounds")

    def _check(self, said: str, *numbers: str) -> None:
        for name in numbers:
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise UserInputError(f"{said.format(name, value)}: expected a whole number of at least 1")
        if self.clock not in CLOCKS:
            raise UserInputError(f"{said.format('clock', self.clock)}: expected {' or '.join(map(repr, CLOCKS))}")

    @property
    def runs(self) -> int:
        """Of each piece of work, altogether."""
        return self.rounds

    def seconds(
        self, steps: Sequence[Callable[[], object]], *, warm_up: int = 0, device: str | torch.device = "cpu"
    ) -> np.ndarray:
        """Seconds (runs, len(steps)) of pieces of work that take turns, see `interleaved`."""
        waiting, clock = synchroniser(device), CLOCKS[self.clock]
        return interleaved(steps, self.runs, warm_up, synchronise=waiting, clock=clock)

    def as_row(self) -> dict[str, Any]:
        """What a row of figures says of how they were timed."""
        import torch

        return {"rounds": self.runs, "clock": self.clock, "threads": torch.get_num_threads()}


class Ratio(NamedTuple):
    """A median ratio and the ends of its 95 % interval."""

    median: float
    low: float
    high: float

    @property
    def percent(self) -> Ratio:
        """What the ratio adds, in percent: 1.05 is 5."""
        return Ratio(*(100 * (value - 1) for value in self))

    def as_row(self, name: str, interval: str | None = None) -> dict[str, Any]:
        """Keys of a row: the median by its name, the ends by that of the interval (default `NAME_ci95`)."""
        return {name: self.median, interval or f"{name}_ci95": [self.low, self.high]}


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
    import torch

    device = torch.device(device)
    if device.type != "cuda":
        return lambda: None
    return lambda: torch.cuda.synchronize(device)


def paired_ratio(times: np.ndarray, against: np.ndarray, seed: int = 0) -> Ratio:
    """The median of `times / against` (rounds,), round by round, with its 95 % interval."""
    ratios = times / against
    return Ratio(float(np.median(ratios)), *bootstrap_median(ratios, seed))

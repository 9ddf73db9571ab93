"""A clock that knows which part of the work is running."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from typing import Any

from transfer.measure.timing import CLOCKS, synchroniser

REST = "rest"
"""What no part claims."""


class PartTimer:
    """Seconds of each part; those of a part inside another belong to the inner one alone.

    >>> timer = PartTimer()
    >>> with timer.part("outer"), timer.part("inner"):
    ...     pass
    >>> sorted(timer.lap())
    ['inner', 'outer', 'rest']

    Args:
        clock: a name of `CLOCKS`.
        device: that is waited for whenever the clock is read.
    """

    def __init__(self, clock: str = "wall", device: str = "cpu") -> None:
        self._clock, self._synchronise = CLOCKS[clock], synchroniser(device)
        self._running = [REST]
        self._seconds: dict[str, float] = {}
        self._since = self._clock()

    def _credit(self) -> None:
        """Gives the time since the last reading to the part that was running."""
        self._synchronise()
        now = self._clock()
        part = self._running[-1]
        self._seconds[part] = self._seconds.get(part, 0.0) + now - self._since
        self._since = now

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """What runs inside is `name`, but for further parts in it."""
        self._credit()
        self._running.append(name)
        try:
            yield
        finally:
            self._credit()
            self._running.pop()

    def lap(self) -> dict[str, float]:
        """Seconds of each part since the last lap."""
        self._credit()
        seconds, self._seconds = self._seconds, {}
        return seconds

    def wrap(self, owner: Any, method: str, name: str) -> None:
        """From now on a call of this object's method is part `name`."""
        setattr(owner, method, self.timed(getattr(owner, method), name))

    def timed(self, function: Callable[..., Any], name: str) -> Callable[..., Any]:
        """The function, as part `name`."""

        @functools.wraps(function)
        def run(*args: Any, **kwargs: Any) -> Any:
            with self.part(name):
                return function(*args, **kwargs)

        return run


class TimedLoader:
    """A data loader whose reading is a part; in everything else it is the loader itself.

    Args:
        loader: with no workers, or reading happens where no clock sees it.
        timer: that is told.
        name: of the part.
        limit: batches to give; None for all.
    """

    def __init__(self, loader: Any, timer: PartTimer, name: str, limit: int | None = None) -> None:
        self._loader, self._timer, self._name, self._limit = loader, timer, name, limit

    def __iter__(self) -> Iterator[Any]:
        # Every batch by itself: between two of them other parts run.
        read = self._timer.timed(iter(self._loader).__next__, self._name)
        for _ in islice(iter(int, 1), self._limit):
            try:
                batch = read()
            except StopIteration:
                return
            yield batch

    def __len__(self) -> int:
        return len(self._loader) if self._limit is None else min(self._limit, len(self._loader))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)

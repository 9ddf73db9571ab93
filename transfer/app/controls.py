"""What a task lets people adjust in its tab, without a word of Gradio."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Slider:
    """A number between `low` and `high`; a whole one where `step` is.

    Attributes:
        name: by which the task's functions find its value in `options`.
        label: on the page.
        low: smallest value.
        high: largest value.
        value: at first.
        step: between two values.
    """

    name: str
    label: str
    low: float
    high: float
    value: float
    step: float

    def read(self, given: Any) -> float | int:
        """The value that a browser sent, brought into the range; what is no number is the first value."""
        number = given if isinstance(given, (int, float)) and math.isfinite(given) else self.value
        number = min(max(number, self.low), self.high)
        return round(number) if float(self.step).is_integer() else float(number)


@dataclass(frozen=True)
class Tick:
    """A box to tick; for the attributes, see `Slider`."""

    name: str
    label: str
    value: bool = False

    def read(self, given: Any) -> bool:
        """Whether it is ticked."""
        return given is True


Control = Slider | Tick

"""What a network is pruned to. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Literal

from backbones.errors import UserInputError

Rank = Literal["layer", "global"]


@dataclass(frozen=True)
class Keep:
    """How much of a network stays; one of these, and no other.

    Attributes:
        channels: share of the channels inside blocks, between 0 and 1; 0.6 is the thesis's 40 % PRC.
        macs: share of the multiply-accumulates, met within 1 %.
        parameters: share of the parameters, met within 1 %.
        threshold: all channels whose score is above it, however many they are; 0 keeps what is not exactly zero.

    Raises:
        UserInputError: none or several are given, or one is out of range.
    """

    channels: float | None = None
    macs: float | None = None
    parameters: float | None = None
    threshold: float | None = None

    def __post_init__(self) -> None:
        given = [part.name for part in fields(self) if getattr(self, part.name) is not None]
        if len(given) != 1:
            raise UserInputError(
                f"keep: {', '.join(given) or 'nothing'} is given, expected one of channels, macs, parameters, threshold"
            )
        if self.threshold is None and not 0 < self.share < 1:
            raise UserInputError(f"key '{self.kind}' is {self.share}, expected a share above 0 and below 1")
        if self.threshold is not None and self.threshold < 0:
            raise UserInputError(f"key 'threshold' is {self.threshold}, expected at least 0")

    @property
    def kind(self) -> str:
        """Which of them is given."""
        return next(part.name for part in fields(self) if getattr(self, part.name) is not None)

    @property
    def share(self) -> float:
        """The share that stays, or the threshold."""
        return float(getattr(self, self.kind))

    def __str__(self) -> str:
        return f"{self.kind}={self.share:g}"

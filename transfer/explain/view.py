"""What a task says to be explained: the image as its network sees it, and one number of what it answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from backbones.errors import UserInputError, did_you_mean

_SHOWN = 8


@dataclass(frozen=True, eq=False)
class Answer:
    """One number of a network's output.

    Attributes:
        score: scalar, with its graph: what is differentiated, such as a logit.
        said: what it is and how much, for people, such as `"bus, P = 0.93"`.
        target: name of the class; None where the task has one target only.
        facts: the same and more, as plain values for JSON.
    """

    score: Tensor
    said: str
    target: str | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class View:
    """One image in front of one network.

    Attributes:
        image_HW3: uint8 RGB, what is to lie under a map: the image, or the part of it that the network sees.
        padded: (height, width) of the network's input.
        content: (height, width) of its upper left part that `image_HW3` fills; the rest is padding.
        ask: runs the network once; gradients are recorded only where they are enabled.
    """

    image_HW3: NDArray[np.uint8]
    padded: tuple[int, int]
    content: tuple[int, int]
    ask: Callable[[], Answer]


def choose_class(wanted: str, names: Sequence[str]) -> int:
    """The class of that name, whatever its case, or of that number.

    Raises:
        UserInputError: the model has no such class (with close matches).
    """
    lower = [name.lower() for name in names]
    if wanted.lower() in lower:
        return lower.index(wanted.lower())
    if wanted.isdecimal() and int(wanted) < len(names):
        return int(wanted)
    shown = ", ".join(names[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "")
    raise UserInputError(
        f"--target {wanted}: the model has no such class, expected one of its {len(names)} ({shown}), or a number from "
        f"0 to {len(names) - 1}.{did_you_mean(wanted, names)}"
    )


def refuse_region(region: object) -> None:
    """For tasks whose target has no region; raises `UserInputError` where one is given."""
    if region is not None:
        raise UserInputError("--region: only a counter's count has one; leave it out")

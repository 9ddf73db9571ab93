"""Searches of a given number of steps, as the papers count them. Imports no torch."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable

from backbones.errors import UserInputError
from transfer.search.session import Session


def check_steps(steps: int | None) -> None:
    """Raises `UserInputError` unless `steps` is None or a whole number of at least 1."""
    if steps is not None and (isinstance(steps, bool) or not isinstance(steps, int) or steps < 1):
        raise UserInputError(f"steps={steps!r}: expected a whole number of at least 1, or None")


def counted_steps(steps: int | None, session: Session) -> Iterable[int]:
    """The steps of a controller (the papers' T of Algorithm 1).

    Args:
        steps: how many. Schemes that were drawn before count, and end nothing; the session's budget is a cap. None:
            until the budget is spent, or the controller draws nothing new any more.
        session: of the search.
    """
    if steps is None:
        return itertools.count()
    session.patience = math.inf
    return range(steps)

"""The protocol of a search method."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, ClassVar

from transfer.search.objective import Objective, Reward
from transfer.search.problem import SearchProblem
from transfer.search.session import SearchOver, SearchResult, Session

if TYPE_CHECKING:
    import torch


class SearchMethod:
    """Looks for the connection scheme of the greatest objective.

    A subclass lives in a file of its own in this package, named as the method is called, and implements `run`. All
    arguments of its constructor have defaults; `objective` is among them. Everything random comes from the generator,
    so that a search is a function of it and of the evaluations.

    Args:
        objective: what to maximise; default `Reward()`, `accuracy + 2 * sparsity`.
    """

    needs_supernet: ClassVar[bool] = False
    """Whether it trains or inspects the problem's supernet instead of asking for many evaluations."""

    def __init__(self, objective: Objective | None = None) -> None:
        self.objective: Objective = objective or Reward()

    def search(self, problem: SearchProblem, budget: int, generator: torch.Generator) -> SearchResult:
        """Searches until `budget` distinct schemes are evaluated, or the method has come to its end.

        Raises:
            UserInputError: no budget, or a problem that the method cannot search.
        """
        session = Session(problem, budget, self.objective)
        with suppress(SearchOver):
            self.run(session, generator)
        return session.result()

    def run(self, session: Session, generator: torch.Generator) -> None:
        """Asks `session` for evaluations; may go on for ever, because the session ends it."""
        raise NotImplementedError(f"{type(self).__name__} has to implement run")

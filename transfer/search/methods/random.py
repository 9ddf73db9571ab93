"""Random search: what every other method has to beat."""

from __future__ import annotations

import torch

from backbones.errors import UserInputError
from backbones.scheme import ConnectionScheme
from transfer.search.methods.base import SearchMethod
from transfer.search.objective import Objective
from transfer.search.session import Session

BATCH = 64


class RandomSearch(SearchMethod):
    """Independent Bernoulli(`beta`) bits, without repetition.

    Args:
        objective: see `SearchMethod`.
        beta: probability of a connection, inside (0, 1).
    """

    def __init__(self, objective: Objective | None = None, beta: float = 0.5) -> None:
        super().__init__(objective)
        if not 0 < beta < 1:
            raise UserInputError(f"method 'random': beta={beta}, expected a probability between 0 and 1")
        self.beta = beta

    def run(self, session: Session, generator: torch.Generator) -> None:
        """Many at a time, because schemes that are evaluated together share prefixes."""
        while session.left:
            drawn = [ConnectionScheme.random(session.depths, self.beta, generator) for _ in range(BATCH)]
            new = [scheme for scheme in dict.fromkeys(drawn) if scheme not in session.records]
            session.score(new[: session.left])

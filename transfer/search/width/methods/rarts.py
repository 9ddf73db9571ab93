"""RARTS (Xue, Qi and Xin; the thesis's Algorithm 3) on gates."""

from __future__ import annotations

from transfer.search.methods._relaxation import Rarts
from transfer.search.width.methods.base import GateMethod
from transfer.search.width.space import Space, l1, weights_of


class RartsWidths(GateMethod):
    """Two networks of the same gates, one on each half of the data, held together by a spring; the first is kept.

    The thesis does not state lambda and beta for networks.

    Args:
        lam: weight of the loss of the second network.
        beta: strength of the spring.
    """

    gradients = 4
    halves = True

    def __init__(self, lam: float = 1.0, beta: float = 1.0) -> None:
        self.lam, self.beta = lam, beta

    def begin(self, space: Space) -> Rarts:
        """The penalty is the gates' L1 norm."""
        kept, second = weights_of(space.net), weights_of(space.second)
        return Rarts(
            kept,
            second,
            space.gates,
            space.sgd(kept),
            space.sgd(second),
            space.sgd(space.gates, decay=False),
            lam=self.lam,
            beta=self.beta,
            gamma=space.gamma,
            penalty=lambda: l1(space.gates),
        )

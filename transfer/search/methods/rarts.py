"""RARTS (Xue, Qi and Xin) on binary connections."""

from __future__ import annotations

import copy

from transfer.search.methods._gradient import Relaxation, RelaxedSearch
from transfer.search.methods._relaxation import Rarts
from transfer.search.objective import Objective


class RartsSearch(RelaxedSearch):
    """Two networks, one a half of the data, held together by a spring; they share the architecture.

    The thesis does not state lambda and beta for networks. Both networks begin with the supernet's weights (in the
    thesis each with its own, because nothing is trained there), and each has batch normalisation of its own.

    Args:
        objective, epochs, weight_lr, alpha_lr, gamma: see `RelaxedSearch`.
        lam: weight of the training loss.
        beta: strength of the spring.
    """

    def __init__(
        self,
        objective: Objective | None = None,
        epochs: int = 10,
        weight_lr: float = 0.0025,
        alpha_lr: float = 3e-3,
        lam: float = 1.0,
        beta: float = 1.0,
        gamma: float = 0.0,
    ) -> None:
        super().__init__(objective, epochs, weight_lr, alpha_lr, gamma)
        self.lam, self.beta = lam, beta

    def begin(self, relaxation: Relaxation) -> Rarts:
        """The training half goes through a second network."""
        relaxation.train_net = copy.deepcopy(relaxation.net)
        return Rarts(
            list(relaxation.net.parameters()),
            list(relaxation.train_net.parameters()),
            [relaxation.alphas],
            self.weight_optimizer(relaxation.net),
            self.weight_optimizer(relaxation.train_net),
            self.alpha_optimizer(relaxation),
            lam=self.lam,
            beta=self.beta,
            gamma=self.gamma,
            penalty=self.penalty(relaxation),
        )

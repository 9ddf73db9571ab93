"""RARTS (Xue, Qi and Xin) on binary connections."""

from __future__ import annotations

import copy
from collections.abc import Iterable

from backbones.errors import UserInputError
from transfer.search.methods._gradient import Batch, Relaxation, RelaxedSearch
from transfer.search.methods._relaxation import Rarts
from transfer.search.objective import Objective
from transfer.search.problem import SearchProblem


class RartsSearch(RelaxedSearch):
    """Two networks, each on its own part of the data, held together by a spring; they share the architecture.

    In the thesis each part is a half of the training images. Here the primary network, the one to keep, sees D_val, the
    auxiliary one D_train, unless `halves` is given; then D_val is for the evaluation of what was found alone.

    The thesis does not state lambda and beta for networks. Both networks begin with the supernet's weights (in the
    thesis each with its own, because nothing is trained there), and each has batch normalisation of its own.

    Args:
        objective, epochs, weight_lr, alpha_lr, gamma: see `RelaxedSearch`.
        lam: weight of the training loss.
        beta: strength of the spring.
        halves: the primary network sees one half of D_train and the auxiliary one the other half.
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
        halves: bool = False,
    ) -> None:
        super().__init__(objective, epochs, weight_lr, alpha_lr, gamma)
        if not isinstance(halves, bool):
            raise UserInputError(f"method 'rarts': halves={halves!r}, expected True or False")
        self.lam, self.beta, self.halves = lam, beta, halves

    def loaders(self, problem: SearchProblem) -> tuple[Iterable[Batch], Iterable[Batch]]:
        """D_train for the auxiliary and D_val for the primary network, or a half of D_train each."""
        if not self.halves:
            return super().loaders(problem)
        found: tuple[Iterable[Batch], Iterable[Batch]] | None = getattr(problem, "halves", None)
        if found is None:
            raise UserInputError(
                f"method 'rarts': halves=True, but {type(problem).__name__} does not cut its D_train in halves; "
                "leave halves out"
            )
        return found

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

"""MiLeNAS (He et al., CVPR 2020), first order, on binary connections."""

from __future__ import annotations

from transfer.search.methods._gradient import Relaxation, RelaxedSearch
from transfer.search.methods._relaxation import MiLeNas
from transfer.search.objective import Objective


class MiLeNasSearch(RelaxedSearch):
    """The architecture follows `train + val_weight * validation`, the weights the training loss.

    Args:
        objective, epochs, weight_lr, alpha_lr, gamma: see `RelaxedSearch`.
        val_weight: lambda.
    """

    def __init__(
        self,
        objective: Objective | None = None,
        epochs: int = 10,
        weight_lr: float = 0.0025,
        alpha_lr: float = 3e-3,
        val_weight: float = 1.0,
        gamma: float = 0.0,
    ) -> None:
        super().__init__(objective, epochs, weight_lr, alpha_lr, gamma)
        self.val_weight = val_weight

    def begin(self, relaxation: Relaxation) -> MiLeNas:
        """Both halves through one network."""
        return MiLeNas(
            list(relaxation.net.parameters()),
            [relaxation.alphas],
            self.weight_optimizer(relaxation.net),
            self.alpha_optimizer(relaxation),
            val_weight=self.val_weight,
            gamma=self.gamma,
            penalty=self.penalty(relaxation),
        )

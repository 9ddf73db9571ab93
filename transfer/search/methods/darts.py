"""DARTS (Liu et al., ICLR 2019) on binary connections."""

from __future__ import annotations

from backbones.errors import UserInputError
from transfer.search.methods._gradient import Relaxation, RelaxedSearch
from transfer.search.methods._relaxation import Darts
from transfer.search.objective import Objective


class DartsSearch(RelaxedSearch):
    """The architecture follows the validation loss, the weights the training loss.

    Args:
        objective, epochs, weight_lr, alpha_lr, gamma: see `RelaxedSearch`.
        order: 1, or 2 to take the architecture's gradient through one step of the weights.
    """

    def __init__(
        self,
        objective: Objective | None = None,
        epochs: int = 10,
        weight_lr: float = 0.0025,
        alpha_lr: float = 3e-3,
        order: int = 1,
        gamma: float = 0.0,
    ) -> None:
        super().__init__(objective, epochs, weight_lr, alpha_lr, gamma)
        if order not in (1, 2):
            raise UserInputError(f"method 'darts': order={order!r}, expected 1 or 2")
        self.order = order

    def begin(self, relaxation: Relaxation) -> Darts:
        """Both halves through one network."""
        return Darts(
            list(relaxation.net.parameters()),
            [relaxation.alphas],
            self.weight_optimizer(relaxation.net),
            self.alpha_optimizer(relaxation),
            second_order=self.order == 2,
            gamma=self.gamma,
            penalty=self.penalty(relaxation),
        )

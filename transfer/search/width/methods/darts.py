"""DARTS (Liu et al., ICLR 2019) on gates."""

from __future__ import annotations

from backbones.errors import UserInputError
from transfer.search.methods._relaxation import Darts, Loss
from transfer.search.width.methods.base import GateMethod
from transfer.search.width.space import Space, l1, weights_of


class DartsWidths(GateMethod):
    """The gates follow the loss on one half of the data and the penalty, the weights the loss on the other half.

    Args:
        order: 1, or 2 to take the gates' gradient through one step of the weights.
    """

    halves = True

    def __init__(self, order: int = 1) -> None:
        if order not in (1, 2):
            raise UserInputError(f"method 'darts': order={order!r}, expected 1 or 2")
        self.order = order
        self.gradients = 2 if order == 1 else 5

    def begin(self, space: Space) -> _Penalised:
        """Both halves through one network."""
        weights = weights_of(space.net)
        stepper = Darts(
            weights,
            space.gates,
            space.sgd(weights),
            space.sgd(space.gates, decay=False),
            second_order=self.order == 2,
        )
        return _Penalised(stepper, space)


class _Penalised:
    """DARTS, its validation loss with the penalty."""

    def __init__(self, stepper: Darts, space: Space) -> None:
        self.stepper, self.space = stepper, space

    def step(self, train_loss: Loss, val_loss: Loss) -> None:
        space = self.space
        self.stepper.step(train_loss, lambda: val_loss() + space.gamma * l1(space.gates))

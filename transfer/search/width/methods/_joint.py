"""One loss for weights and gates together."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import Tensor

from transfer.search.methods._relaxation import Loss, apply, gradients
from transfer.search.width.space import Space, weights_of


class Joint:
    """A step of plain gradient descent in the weights, and in the gates if they train.

    Args:
        space: whose they are.
        penalty: added to the loss.
        gates: train the gates too.
    """

    def __init__(self, space: Space, penalty: Callable[[], Tensor | float], *, gates: bool = True) -> None:
        self.penalty = penalty
        self.weights: Sequence[Tensor] = weights_of(space.net)
        self.gates: Sequence[Tensor] = space.gates if gates else ()
        self.optimizers = [space.sgd(self.weights)]
        if gates:
            self.optimizers.append(space.sgd(space.gates, decay=False))

    def step(self, train_loss: Loss, val_loss: Loss) -> None:
        """Both at once, by the training loss."""
        found = gradients(train_loss() + self.penalty(), [*self.weights, *self.gates])
        count = len(self.weights)
        apply(self.optimizers[0], self.weights, found[:count])
        if self.gates:
            apply(self.optimizers[1], self.gates, found[count:])

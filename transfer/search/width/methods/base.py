"""The protocol of a width search's method."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Protocol

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from transfer.search.methods._relaxation import Loss
    from transfer.search.width.space import Space


class Stepper(Protocol):
    """What changes weights and gates: one of `transfer.search.methods._relaxation`, or a method's own."""

    def step(self, train_loss: Loss, val_loss: Loss) -> None:
        """One step."""
        ...


class WidthMethod:
    """Gives every channel a score: the least are cut out.

    A subclass lives in a file of its own in this package, named as the method is called. All arguments of its
    constructor have defaults.

    Attributes:
        gradients: batches that go forward and backward in one step; 0 trains nothing.
    """

    gradients: int = 0
    halves: ClassVar[bool] = False
    """Whether the training data are split in halves: for the training and for the validation loss."""
    comparable: ClassVar[bool] = False
    """Whether scores can be compared between sites as they are, whatever the ranking."""
    penalised: ClassVar[bool] = True
    """Whether `gamma` is part of it."""

    def begin(self, space: Space) -> Stepper:
        """Builds the optimiser of a search."""
        raise NotImplementedError(f"{type(self).__name__} trains nothing")

    def gates(self, space: Space) -> list[Tensor] | None:
        """What is multiplied into the weights that are kept; None where the method has no gates."""
        return None

    def scores(self, space: Space, generator: torch.Generator) -> list[Tensor]:
        """At least 0, (channels,) for each site.

        Args:
            space: as the search left it.
            generator: of everything random.
        """
        raise NotImplementedError(f"{type(self).__name__} has to implement scores")


class GateMethod(WidthMethod):
    """A method whose scores are its gates' absolute values."""

    def gates(self, space: Space) -> list[Tensor] | None:
        """All of them."""
        return [gate.detach() for gate in space.gates]

    def scores(self, space: Space, generator: torch.Generator) -> list[Tensor]:
        """As the class says."""
        return [gate.abs() for gate in self.gates(space) or ()]

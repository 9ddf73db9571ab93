"""What a search maximises: a number from an evaluation and its scheme. Imports no torch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from backbones.errors import UserInputError
from backbones.scheme import ConnectionScheme
from transfer.search.problem import Evaluation


class Objective(Protocol):
    """The reward of a scheme, curiosity apart; greater is better."""

    def __call__(self, evaluation: Evaluation, scheme: ConnectionScheme) -> float:
        """Returns the value of `scheme`, which got `evaluation`."""
        ...


@dataclass(frozen=True)
class Reward:
    """`lambda1 * sparsity + lambda2 * accuracy - loss_weight * loss` (EAN, Eq. 30, without the curiosity bonus).

    The papers give no weights; 2 and 1 are the released code's, accuracy being in percent.
    """

    lambda1: float = 2.0
    lambda2: float = 1.0
    loss_weight: float = 0.0

    def __call__(self, evaluation: Evaluation, scheme: ConnectionScheme) -> float:
        value = self.lambda1 * scheme.sparsity + self.lambda2 * evaluation.accuracy
        return value - self.loss_weight * evaluation.loss


@dataclass(frozen=True)
class BlockCost:
    """A cost that is a sum over connected blocks, such as the time increment in percent of each block's SAM.

    Raises:
        UserInputError: (on call) another number of blocks than the scheme has.
    """

    per_block: tuple[float, ...]

    def __call__(self, scheme: ConnectionScheme) -> float:
        if len(self.per_block) != scheme.total:
            raise UserInputError(f"cost of {len(self.per_block)} blocks, expected {scheme.total}, one a block")
        return sum(cost for cost, bit in zip(self.per_block, scheme.bits, strict=True) if bit)


@dataclass(frozen=True)
class TimeReward:
    """`lambda1 * saving + lambda2 * accuracy - loss_weight * loss`: measured time takes the place of sparsity.

    The saving is the share of the greatest increment, that of connecting every block, which a scheme does without: 1
    for the plain network, 0 with all blocks connected. Weights thus mean what they mean in `Reward`, and where all
    blocks cost the same, the two are equal.

    Args:
        per_block: inference-time increment of connecting each block, in percent of the plain network's time; the
            increment of a scheme is their sum (see `transfer.measure.latency` for how far that is true).
        lambda1: weight of the saving.
        lambda2: weight of the accuracy in percent.
        loss_weight: weight of the loss.

    Raises:
        UserInputError: the increments do not add up to more than 0.
    """

    per_block: tuple[float, ...]
    lambda1: float = 2.0
    lambda2: float = 1.0
    loss_weight: float = 0.0

    def __post_init__(self) -> None:
        if not sum(self.per_block) > 0:
            raise UserInputError(
                f"time increments of the blocks add up to {sum(self.per_block):g} %, expected more than 0: measure "
                "them again, with more rounds or on a quieter machine"
            )

    @property
    def cost(self) -> BlockCost:
        """The increment of a scheme, in percent."""
        return BlockCost(self.per_block)

    def __call__(self, evaluation: Evaluation, scheme: ConnectionScheme) -> float:
        saving = 1 - self.cost(scheme) / sum(self.per_block)
        value = self.lambda1 * saving + self.lambda2 * evaluation.accuracy
        return value - self.loss_weight * evaluation.loss


def connection_ratio(scheme: ConnectionScheme) -> float:
    """Share of connected blocks: the cost of a scheme where no time was measured."""
    return scheme.ratio


@dataclass(frozen=True)
class FrontPoint:
    """A scheme that no other beats in both accuracy and cost."""

    scheme: ConnectionScheme
    accuracy: float
    cost: float


def pareto_front(
    found: Iterable[tuple[ConnectionScheme, Evaluation]], cost: Callable[[ConnectionScheme], float] = connection_ratio
) -> list[FrontPoint]:
    """The schemes that no other beats in accuracy (greater) and cost (smaller), cheapest first; ties appear once."""
    points = [FrontPoint(scheme, evaluation.accuracy, cost(scheme)) for scheme, evaluation in found]
    front: list[FrontPoint] = []
    for point in sorted(points, key=lambda p: (p.cost, -p.accuracy, p.scheme.bits)):
        if not front or point.accuracy > front[-1].accuracy:
            front.append(point)
    return front


def hypervolume(front: Sequence[FrontPoint], accuracy: float, cost: float) -> float:
    """Area that a front dominates, up to the reference point of the least `accuracy` and the greatest `cost`."""
    area, reached = 0.0, accuracy
    for point in sorted(front, key=lambda p: (p.cost, -p.accuracy)):
        if point.cost < cost and point.accuracy > reached:
            area += (cost - point.cost) * (point.accuracy - reached)
            reached = point.accuracy
    return area


def cost_of(objective: Objective) -> tuple[Callable[[ConnectionScheme], float], str]:
    """What accuracy is held against on a front, and its name: the increment where time was measured, else the ratio."""
    if isinstance(objective, TimeReward):
        return objective.cost, "time increment (%)"
    return connection_ratio, "connection ratio"

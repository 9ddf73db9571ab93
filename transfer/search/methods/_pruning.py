"""What pruning methods share: scores of a supernet's modules, one a block; the adaptation to SAMs is ours."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from backbones.errors import UserInputError
from transfer.search.methods.base import SearchMethod
from transfer.search.objective import Objective
from transfer.search.problem import supernet_in
from transfer.search.session import Session


class PruningMethod(SearchMethod):
    """Keeps the modules of the greatest scores. It evaluates the one scheme that it returns.

    Undefined for a shared module, which has one set of weights for all blocks of a stage.

    Args:
        objective: only for the value of the returned scheme.
        ratio: share of connections that are kept.

    Raises:
        UserInputError: (on search) the supernet shares a module in each stage, or the problem has no supernet.
    """

    needs_supernet: ClassVar[bool] = True

    def __init__(self, objective: Objective | None = None, ratio: float = 0.5) -> None:
        super().__init__(objective)
        if not 0 <= ratio <= 1:
            raise UserInputError(f"ratio={ratio}: expected a share of connections from 0 to 1")
        self.ratio = ratio

    def keep(self, weights: list[list[Tensor]]) -> list[int]:
        """Returns the bits from each stage's modules, flattened: a vector a block."""
        raise NotImplementedError(f"{type(self).__name__} has to implement keep")

    def run(self, session: Session, generator: torch.Generator) -> None:
        """Nothing is random."""
        name = type(self).__module__.rsplit(".", 1)[-1]
        net = supernet_in(session.problem, name)
        if net.sharing != "block":
            raise UserInputError(
                f"method {name!r} compares the modules of single blocks, and is undefined for a module that a stage "
                "shares; search a supernet with sharing='block', or choose another method"
            )
        with torch.no_grad():
            stages = [[_flat(net.sam(s, b)) for b in range(depth)] for s, depth in enumerate(net.arch.depths)]
            session.score_bits([self.keep(stages)])


def top(scores: Tensor, ratio: float) -> list[int]:
    """Bits that mark the `ratio` of greatest scores (k,), the first among equals."""
    kept = torch.argsort(scores, descending=True, stable=True)[: round(ratio * len(scores))]
    return torch.zeros(len(scores), dtype=torch.long).index_fill(0, kept.cpu(), 1).tolist()


def _flat(module: nn.Module | None) -> Tensor:
    """All weights of a module, biases left out, as one vector."""
    assert module is not None, "a supernet holds the module of every block"
    return torch.cat([p.flatten() for name, p in module.named_parameters() if name.rsplit(".", 1)[-1] == "weight"])

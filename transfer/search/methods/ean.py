"""Efficient Attention Network's search (EAN, Algorithm 1; LTH4SA, Section IV)."""

from __future__ import annotations

import torch

from backbones.errors import UserInputError, did_you_mean
from transfer.search.methods._ean_variants import VARIANTS
from transfer.search.methods._steps import check_steps, counted_steps
from transfer.search.methods.base import SearchMethod
from transfer.search.objective import Objective
from transfer.search.session import Session


class EfficientAttentionNetwork(SearchMethod):
    """A controller trained by policy gradient on sparsity, validation accuracy and curiosity, with data reuse.

    Args:
        objective: sparsity and validation reward together; curiosity comes on top. See `SearchMethod`.
        variant: `"fixed"`; `"paper"`, as the papers say; `"authors"`, as the released code does, oddities included
            (see `transfer.search.methods._ean_variants`).
        steps: as in `counted_steps`; the papers' T is 1,000, of one scheme each with `variant="paper"`.
    """

    def __init__(self, objective: Objective | None = None, variant: str = "fixed", steps: int | None = None) -> None:
        super().__init__(objective)
        check_steps(steps)
        if variant not in VARIANTS:
            raise UserInputError(
                f"method 'ean': variant={variant!r}, expected one of {', '.join(map(repr, VARIANTS))}."
                f"{did_you_mean(variant, VARIANTS)}"
            )
        self.variant, self.steps = variant, steps

    def run(self, session: Session, generator: torch.Generator) -> None:
        """Steps until there were `steps`, the budget is spent or, without `steps`, nothing new is sampled any more."""
        variant = VARIANTS[self.variant](session, generator)
        for _ in counted_steps(self.steps, session):
            variant.step()

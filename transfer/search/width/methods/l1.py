"""Filters of the least L1 norm go (Li et al., ICLR 2017)."""

from __future__ import annotations

import torch
from torch import Tensor

from transfer.search.width.methods.base import WidthMethod
from transfer.search.width.space import Space


class L1Widths(WidthMethod):
    """The sum of a filter's absolute weights is its channel's score; nothing is trained."""

    penalised = False

    def scores(self, space: Space, generator: torch.Generator) -> list[Tensor]:
        """Of the convolution that puts the channels out."""
        return [site.producer.weight.detach().abs().flatten(1).sum(1) for site in space.sites]

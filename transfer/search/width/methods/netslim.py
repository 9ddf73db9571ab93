"""Network slimming (Liu et al., ICCV 2017)."""

from __future__ import annotations

import torch
from torch import Tensor

from transfer.search.width.methods._joint import Joint
from transfer.search.width.methods.base import WidthMethod
from transfer.search.width.space import Space, l1


class NetSlim(WidthMethod):
    """The scales of batch normalisation are the scores, and an L1 norm on them the penalty; there are no gates.

    Only the scales inside blocks, as the other methods: the authors also select channels of what blocks put out, by a
    layer that costs time (their network-slimming says so itself).
    """

    gradients = 1

    def begin(self, space: Space) -> Joint:
        """As the class says."""
        scales = [site.norm.weight for site in space.sites]
        return Joint(space, lambda: space.gamma * l1(scales), gates=False)

    def scores(self, space: Space, generator: torch.Generator) -> list[Tensor]:
        """Absolute scales."""
        return [site.norm.weight.detach().abs() for site in space.sites]

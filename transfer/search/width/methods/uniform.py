"""The same share everywhere: what a search for widths has to beat."""

from __future__ import annotations

import torch
from torch import Tensor

from transfer.search.width.methods.base import WidthMethod
from transfer.search.width.space import Space


class UniformWidths(WidthMethod):
    """Each site keeps the same share of its channels, those whose filters have the greatest L1 norm."""

    comparable = True
    penalised = False

    def scores(self, space: Space, generator: torch.Generator) -> list[Tensor]:
        """A channel's place in its site, from 1 for the greatest filter to near 0."""
        found = []
        for site in space.sites:
            norms = site.producer.weight.detach().abs().flatten(1).sum(1)
            places = norms.argsort(stable=True).argsort(stable=True)
            found.append((places + 0.5).double() / len(norms))
        return found

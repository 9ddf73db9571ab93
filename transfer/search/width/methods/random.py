"""Channels drawn at random: what every method has to beat."""

from __future__ import annotations

import torch
from torch import Tensor

from transfer.search.width.methods.base import WidthMethod
from transfer.search.width.space import Space


class RandomWidths(WidthMethod):
    """Every channel of the network is as likely to go as any other."""

    comparable = True
    penalised = False

    def scores(self, space: Space, generator: torch.Generator) -> list[Tensor]:
        """Uniform in [0, 1)."""
        return [torch.rand(site.channels, generator=generator, dtype=torch.float64) for site in space.sites]

"""Geometric-median pruning (FPGM, He et al., CVPR 2019) of self-attention modules."""

from __future__ import annotations

import torch
from torch import Tensor

from transfer.search.methods._pruning import PruningMethod, top


class GeometricMedian(PruningMethod):
    """Drops the modules that the others of their stage can best replace: the least summed distance to them.

    Distances need equal shapes, so that each stage has its own quota.
    """

    def keep(self, weights: list[list[Tensor]]) -> list[int]:
        """Ranks the blocks of each stage."""
        bits: list[int] = []
        for stage in weights:
            stacked = torch.stack(stage).double()
            bits += top(torch.cdist(stacked, stacked).sum(1), self.ratio)
        return bits

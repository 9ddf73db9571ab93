"""L1-norm pruning (Li et al., ICLR 2017) of self-attention modules."""

from __future__ import annotations

import torch
from torch import Tensor

from transfer.search.methods._pruning import PruningMethod, top


class L1Norm(PruningMethod):
    """Keeps the modules with the greatest mean absolute weight; the mean, because channels differ between stages."""

    def keep(self, weights: list[list[Tensor]]) -> list[int]:
        """Ranks all blocks of the network together."""
        return top(torch.stack([w.abs().mean() for stage in weights for w in stage]), self.ratio)

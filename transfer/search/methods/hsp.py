"""Heuristic selection policy (LTH4SA, Section V-D): a connection every N blocks."""

from __future__ import annotations

import torch

from transfer.search.methods.base import SearchMethod
from transfer.search.session import Session


class HeuristicSelection(SearchMethod):
    """Connects every N-th block of the whole network, for N = 2, 3, ... and all offsets: 1010.., 0101.., 100100..

    The papers show N = 2 and 3; going on to the number of blocks is ours.
    """

    def run(self, session: Session, generator: torch.Generator) -> None:
        """Nothing is random."""
        for step in range(2, session.blocks + 1):
            session.score_bits([[int(i % step == offset) for i in range(session.blocks)] for offset in range(step)])

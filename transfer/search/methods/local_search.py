"""Local search by single flips."""

from __future__ import annotations

import numpy as np
import torch

from backbones.scheme import ConnectionScheme
from transfer.search.methods._random import numpy_generator
from transfer.search.methods.base import SearchMethod
from transfer.search.objective import Objective
from transfer.search.session import Session


class LocalSearch(SearchMethod):
    """Takes the first single flip that improves, in random order; at a local optimum, goes on from a kick of the best.

    Restarting from the best scheme with a few bits flipped is iterated local search (Lourenço et al., 2003).

    Args:
        objective: see `SearchMethod`.
        kick: bits that a restart flips.
    """

    def __init__(self, objective: Objective | None = None, kick: int = 4) -> None:
        super().__init__(objective)
        self.kick = kick

    def run(self, session: Session, generator: torch.Generator) -> None:
        """Descends again and again."""
        draw, m = numpy_generator(generator), session.blocks
        start = ConnectionScheme.random(session.depths, 0.5, generator)
        best = climb(session, np.array(start.bits), draw)
        while True:
            kicked = best.copy()
            kicked[draw.choice(m, min(self.kick, m), replace=False)] ^= 1
            found = climb(session, kicked, draw)
            if session.score_bits([found])[0].value >= session.score_bits([best])[0].value:
                best = found


def climb(session: Session, bits: np.ndarray, draw: np.random.Generator) -> np.ndarray:
    """Returns the local optimum that single flips, each taken when it improves, lead to from `bits` (m,)."""
    (current,) = session.score_bits([bits])
    since = 0
    while since < len(bits):
        for position in draw.permutation(len(bits)):
            flipped = bits.copy()
            flipped[position] ^= 1
            (record,) = session.score_bits([flipped])
            since += 1
            if record.value > current.value:
                bits, current, since = flipped, record, 0
            if since >= len(bits):
                break
    return bits

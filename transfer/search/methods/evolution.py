"""Regularised evolution (Real et al., AAAI 2019)."""

from __future__ import annotations

from collections import deque

import numpy as np
import torch

from transfer.search.methods._random import numpy_generator
from transfer.search.methods.base import SearchMethod
from transfer.search.objective import Objective
from transfer.search.session import Record, Session


class RegularisedEvolution(SearchMethod):
    """The best of a random sample of the population has a child with one bit flipped; the oldest member dies.

    A child that was seen before gets one more flip until it is new: ours, for a space of bits.

    Args:
        objective: see `SearchMethod`.
        population: living schemes; the first ones are random.
        sample: size of a tournament.
    """

    def __init__(self, objective: Objective | None = None, population: int = 20, sample: int = 10) -> None:
        super().__init__(objective)
        self.population, self.sample = population, sample

    def run(self, session: Session, generator: torch.Generator) -> None:
        """One child at a time."""
        draw, m = numpy_generator(generator), session.blocks
        size = min(self.population, session.budget)
        living: deque[Record] = deque(session.score_bits(draw.integers(0, 2, (size, m))), maxlen=size)
        while session.left:
            drawn = draw.choice(size, min(self.sample, size), replace=False)
            parent = max((living[i] for i in drawn), key=lambda record: record.value)
            living.append(session.score_bits([_new_child(session, np.array(parent.scheme.bits), draw)])[0])


def _new_child(session: Session, bits: np.ndarray, draw: np.random.Generator) -> np.ndarray:
    """A random walk of single flips from `bits` (m,) to the first scheme that was not evaluated yet."""
    seen = {record.scheme.bits for record in session.records.values()}
    while True:
        bits[draw.integers(len(bits))] ^= 1
        if tuple(bits.tolist()) not in seen:
            return bits

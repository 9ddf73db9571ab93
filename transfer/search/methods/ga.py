"""A genetic algorithm, the papers' GA row. They cite one (Vidnerova et al.) without details: all of them are ours."""

from __future__ import annotations

import numpy as np
import torch

from transfer.search.methods._random import numpy_generator
from transfer.search.methods.base import SearchMethod
from transfer.search.objective import Objective
from transfer.search.session import Session


class GeneticAlgorithm(SearchMethod):
    """Tournaments of two, uniform crossover, bit flips, elitism.

    Args:
        objective: see `SearchMethod`.
        population: schemes a generation.
        crossover: probability that a child mixes two parents, bit by bit; else it is a copy of one.
        flips: expected number of flipped bits a child.
        elite: best schemes that live on unchanged.
    """

    def __init__(
        self,
        objective: Objective | None = None,
        population: int = 20,
        crossover: float = 0.9,
        flips: float = 1.0,
        elite: int = 2,
    ) -> None:
        super().__init__(objective)
        self.population, self.crossover, self.flips, self.elite = population, crossover, flips, elite

    def run(self, session: Session, generator: torch.Generator) -> None:
        """A generation is one request."""
        draw = numpy_generator(generator)
        parents = draw.integers(0, 2, (self.population, session.blocks))
        while True:
            values = np.array([record.value for record in session.score_bits(parents)])
            elite = parents[np.argsort(-values, kind="stable")[: self.elite]]
            parents = np.concatenate((elite, self._children(parents, values, draw, self.population - len(elite))))

    def _children(self, parents: np.ndarray, values: np.ndarray, draw: np.random.Generator, count: int) -> np.ndarray:
        """Returns `count` children (count, m) of `parents` (n, m) with the given values (n,)."""
        rivals = draw.integers(0, len(parents), (2, count, 2))
        first, second = (parents[np.where(values[a] >= values[b], a, b)] for a, b in rivals.transpose(0, 2, 1))
        shape = first.shape
        mixed = (draw.random((count, 1)) < self.crossover) & (draw.random(shape) < 0.5)
        flipped = draw.random(shape) < self.flips / shape[1]
        return np.where(mixed, second, first) ^ flipped

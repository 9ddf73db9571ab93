"""NSGA-II (Deb et al., 2002), by pymoo: accuracy against cost."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from backbones.errors import RunError
from backbones.scheme import ConnectionScheme
from transfer.search.methods._random import draw_seed
from transfer.search.methods.base import SearchMethod
from transfer.search.objective import Objective, connection_ratio, pareto_front
from transfer.search.session import Session


class NonDominatedSorting(SearchMethod):
    """Maximises accuracy and minimises cost; the result has the front of everything evaluated.

    `best` and `candidates` are those of the objective, as for other methods.

    Args:
        objective: see `SearchMethod`.
        cost: of a scheme; default its connection ratio. A measured time increment is a `BlockCost`.
        population: schemes a generation.

    Raises:
        RunError: (on search) pymoo is not installed.
    """

    def __init__(
        self,
        objective: Objective | None = None,
        cost: Callable[[ConnectionScheme], float] = connection_ratio,
        population: int = 20,
    ) -> None:
        super().__init__(objective)
        self.cost, self.population = cost, population

    def run(self, session: Session, generator: torch.Generator) -> None:
        """A generation is one request."""
        algorithm = _algorithm(self.population, session.blocks, draw_seed(generator))
        try:
            while algorithm.has_next():
                asked = algorithm.ask()
                records = session.score_bits(asked.get("X").astype(int).tolist())
                asked.set("F", np.array([(-r.evaluation.accuracy, self.cost(r.scheme)) for r in records]))
                algorithm.tell(infills=asked)
        finally:
            session.front = pareto_front(((r.scheme, r.evaluation) for r in session.records.values()), self.cost)


def _algorithm(population: int, blocks: int, seed: int) -> Any:
    try:
        from pymoo.algorithms.moo.nsga2 import NSGA2
        from pymoo.core.problem import Problem
        from pymoo.operators.crossover.ux import UniformCrossover
        from pymoo.operators.mutation.bitflip import BitflipMutation
        from pymoo.operators.sampling.rnd import BinaryRandomSampling
        from pymoo.termination import get_termination
    except ImportError as error:
        raise RunError(f"method 'nsga2' needs pymoo ({error}): pip install pymoo, or choose another method") from error
    algorithm = NSGA2(
        pop_size=population,
        sampling=BinaryRandomSampling(),
        crossover=UniformCrossover(),
        mutation=BitflipMutation(),
        eliminate_duplicates=True,
    )
    problem = Problem(n_var=blocks, n_obj=2, xl=0, xu=1, vtype=bool)
    algorithm.setup(problem, termination=get_termination("n_gen", 10**6), seed=seed, verbose=False)
    return algorithm

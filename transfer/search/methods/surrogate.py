"""A surrogate of the objective, linear at first and pairwise later, searched by Thompson sampling; our adaptation."""

from __future__ import annotations

import numpy as np
import torch

from transfer.search.methods._quadratic import Quadratic, QuadraticRegression
from transfer.search.methods._random import numpy_generator
from transfer.search.methods.base import SearchMethod
from transfer.search.objective import Objective
from transfer.search.session import Session

STARTS = 16
INCUMBENTS = 3


class Surrogate(SearchMethod):
    """Bayesian regression on connections, later also on their pairs; asks for the optima of functions that it samples.

    Of a batch, some are optima over all schemes, the others over the single flips of those that lead: a surrogate
    knows a whole landscape roughly, and the surroundings of good schemes are worth knowing exactly.

    Args:
        objective: see `SearchMethod`.
        initial: random schemes to begin with.
        batch: schemes a round, each by a function of its own.
        flips: how many of the batch are flips of the leading schemes.
        pairwise_from: pairs come in from so many evaluations a block; how much they count, the evidence decides.
    """

    def __init__(
        self,
        objective: Objective | None = None,
        initial: int = 8,
        batch: int = 4,
        flips: int = 2,
        pairwise_from: float = 2.5,
    ) -> None:
        super().__init__(objective)
        self.initial, self.batch, self.flips, self.pairwise_from = initial, batch, flips, pairwise_from

    def run(self, session: Session, generator: torch.Generator) -> None:
        """Fits, samples, asks."""
        draw = numpy_generator(generator)
        session.score_bits(draw.integers(0, 2, (self.initial, session.blocks)))
        while session.left:
            records = list(session.records.values())
            x = 2.0 * np.array([record.scheme.bits for record in records]) - 1
            y = np.array([record.value for record in records])
            model = QuadraticRegression(x, y, pairs=len(y) >= self.pairwise_from * session.blocks)
            best = x[np.argsort(-y, kind="stable")[: STARTS // 2]]
            asked = {row.tobytes() for row in x}
            new: list[np.ndarray] = []
            for number in range(min(self.batch, session.left)):
                function = model.sample(draw)
                flips = _new_flips(best[:INCUMBENTS] if number < self.flips else best[:0], asked)
                new.append(flips[np.argmax(function(flips))] if len(flips) else _best_new(function, best, asked, draw))
                asked.add(new[-1].tobytes())
            session.score_bits((np.array(new) > 0).astype(int))


def _new_flips(schemes: np.ndarray, asked: set[bytes]) -> np.ndarray:
    """All single flips (n, m) of schemes (k, m) that are not in `asked`."""
    flips = (schemes[:, None, :] * (1 - 2 * np.eye(schemes.shape[1]))[None]).reshape(-1, schemes.shape[1])
    return np.array([flip for flip in flips if flip.tobytes() not in asked])


def _best_new(function: Quadratic, good: np.ndarray, asked: set[bytes], draw: np.random.Generator) -> np.ndarray:
    """Where `function` is greatest, as far as climbing from good (k, m) and random schemes shows; never in `asked`."""
    m = good.shape[1]
    random = 2.0 * draw.integers(0, 2, (STARTS - len(good), m)) - 1
    optima = function.climb(np.concatenate((good, random)))
    ranked = optima[np.argsort(-function(optima), kind="stable")]
    for found in ranked:
        if found.tobytes() not in asked:
            return found
    found = ranked[0].copy()
    while found.tobytes() in asked:
        found[draw.integers(m)] *= -1
    return found

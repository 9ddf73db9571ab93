"""Tree-structured Parzen estimator (Bergstra et al., 2011; multivariate: Falkner et al., 2018), by Optuna."""

from __future__ import annotations

from typing import Any

import torch

from backbones.errors import RunError
from transfer.search.methods._random import draw_seed
from transfer.search.methods.base import SearchMethod
from transfer.search.objective import Objective
from transfer.search.session import Session


class ParzenEstimator(SearchMethod):
    """Samples where the density of good schemes is great against that of the others.

    Args:
        objective: see `SearchMethod`.
        initial: random schemes to begin with.

    Raises:
        RunError: (on search) Optuna is not installed.
    """

    def __init__(self, objective: Objective | None = None, initial: int = 10) -> None:
        super().__init__(objective)
        self.initial = initial

    def run(self, session: Session, generator: torch.Generator) -> None:
        """One scheme at a time."""
        study, distributions = _study(session.blocks, self.initial, draw_seed(generator))
        while True:
            trial = study.ask(distributions)
            (record,) = session.score_bits([[trial.params[key] for key in distributions]])
            study.tell(trial, record.value)


def _study(blocks: int, initial: int, seed: int) -> tuple[Any, dict[str, Any]]:
    """An Optuna study in memory, and a parameter a block."""
    try:
        import optuna
    except ImportError as error:
        raise RunError(f"method 'tpe' needs optuna ({error}): pip install optuna, or choose another method") from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    sampler = optuna.samplers.TPESampler(n_startup_trials=initial, multivariate=True, seed=seed)
    distributions = {f"block{i}": optuna.distributions.CategoricalDistribution((0, 1)) for i in range(blocks)}
    return optuna.create_study(direction="maximize", sampler=sampler), distributions

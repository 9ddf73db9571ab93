"""The upstream stage: search problems, objectives, methods and their log.

Public names are imported on first use, so that listing methods does not import torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from transfer.search.known_problems import PlantedLandscape, TableProblem
    from transfer.search.log import LoggedProblem
    from transfer.search.methods import get_method, list_methods
    from transfer.search.methods.base import SearchMethod
    from transfer.search.objective import BlockCost, Objective, Reward, TimeReward, hypervolume, pareto_front
    from transfer.search.problem import Evaluation, SearchProblem
    from transfer.search.session import Record, SearchResult

__all__ = [
    "BlockCost",
    "Evaluation",
    "LoggedProblem",
    "Objective",
    "PlantedLandscape",
    "Record",
    "Reward",
    "SearchMethod",
    "SearchProblem",
    "SearchResult",
    "TableProblem",
    "TimeReward",
    "get_method",
    "hypervolume",
    "list_methods",
    "pareto_front",
]

_HOMES = {
    "known_problems": ("PlantedLandscape", "TableProblem"),
    "session": ("Record", "SearchResult"),
    "log": ("LoggedProblem",),
    "methods": ("SearchMethod", "get_method", "list_methods"),
    "objective": ("BlockCost", "Objective", "Reward", "TimeReward", "hypervolume", "pareto_front"),
    "problem": ("Evaluation", "SearchProblem"),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_HOME_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

"""The families of cases: every module here has `cases()`."""

from __future__ import annotations

import importlib
import pkgutil

from tests.corpus.case import Case


def all_cases() -> list[Case]:
    """Every case, in the order of the modules' names; no two of the same id."""
    found: list[Case] = []
    for module in sorted(info.name for info in pkgutil.iter_modules(__path__)):
        found += importlib.import_module(f"{__name__}.{module}").cases()
    twice = {case.id for case in found if sum(other.id == case.id for other in found) > 1} if len(found) else set()
    if twice:
        raise ValueError(f"cases of the same name: {', '.join(sorted(twice))}")
    return found

"""Search methods. A file of this package is a method, called by the file's name."""

from __future__ import annotations

import importlib
import inspect
import pkgutil

from backbones.errors import UserInputError, did_you_mean
from transfer.search.methods.base import SearchMethod

__all__ = ["DEFAULT_METHOD", "SearchMethod", "get_method", "list_methods"]

DEFAULT_METHOD = "surrogate"
"""Chosen by regret at equal budgets; `tools/benchmark.py search` prints the comparison."""


def list_methods() -> list[str]:
    """Names of the methods, sorted."""
    return sorted(m.name for m in pkgutil.iter_modules(__path__) if m.name != "base" and not m.name.startswith("_"))


def get_method(name: str | None = None) -> type[SearchMethod]:
    """The class of the method called `name`; None is the default one.

    Raises:
        UserInputError: unknown name (with close matches).
    """
    name, known = DEFAULT_METHOD if name is None else name, list_methods()
    if name not in known:
        raise UserInputError(
            f"search method {name!r} is unknown, expected one of {', '.join(known)}.{did_you_mean(name, known)}"
        )
    module = importlib.import_module(f"{__name__}.{name}")
    (found,) = [
        value
        for value in vars(module).values()
        if inspect.isclass(value) and issubclass(value, SearchMethod) and value.__module__ == module.__name__
    ]
    return found

"""Search methods. A file of this package is a method, called by the file's name."""

from __future__ import annotations

from backbones.plugins import check_plugin, load_plugin, plugin_names
from transfer.search.methods.base import SearchMethod

__all__ = ["DEFAULT_METHOD", "SearchMethod", "get_method", "list_methods"]

DEFAULT_METHOD = "surrogate"
"""Chosen by regret at equal budgets; `tools/benchmark.py search` prints the comparison."""


def list_methods() -> list[str]:
    """Names of the methods, sorted."""
    return plugin_names(__path__)


def get_method(name: str | None = None) -> type[SearchMethod]:
    """The class of the method called `name`; None is the default one.

    Raises:
        UserInputError: unknown name (with close matches).
    """
    name = DEFAULT_METHOD if name is None else name
    check_plugin(name, list_methods(), "search method")
    return load_plugin(f"{__name__}.{name}", SearchMethod)

"""Methods of width searches. A file of this package is a method, called by the file's name."""

from __future__ import annotations

from backbones.plugins import check_plugin, load_plugin, plugin_names
from transfer.search.width.methods.base import WidthMethod

__all__ = ["WidthMethod", "get_width_method", "list_width_methods"]


def list_width_methods() -> list[str]:
    """Names of the methods, sorted."""
    return plugin_names(__path__)


def get_width_method(name: str) -> type[WidthMethod]:
    """The class of the method called `name`.

    Raises:
        UserInputError: unknown name (with close matches).
    """
    check_plugin(name, list_width_methods(), "width search method")
    return load_plugin(f"{__name__}.{name}", WidthMethod)

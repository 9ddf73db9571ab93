"""Plug-ins that a package finds by listing its files: a file is a plug-in, called by the file's name. No torch."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Iterable
from pathlib import Path
from typing import TypeVar

from backbones.errors import UserInputError, did_you_mean

T = TypeVar("T")


def plugin_names(package_path: Iterable[str | Path]) -> list[str]:
    """Names of a package's modules, sorted, but for `base` and those with an underscore; nothing is imported.

    Args:
        package_path: the package's `__path__`, or its folder in a list.
    """
    found = (module.name for module in pkgutil.iter_modules([str(folder) for folder in package_path]))
    return sorted(name for name in found if name != "base" and not name.startswith("_"))


def check_plugin(name: str, known: Iterable[str], kind: str, others: str = "") -> None:
    """Raises `UserInputError` with the close matches where `name` is not known.

    Args:
        name: what was asked for.
        known: the names that there are.
        kind: what a plug-in is, in words, for the message.
        others: what else may be asked for, such as ` or timm:NAME`.
    """
    known = list(known)
    if name not in known:
        raise UserInputError(
            f"{kind} {name!r} is unknown, expected one of {', '.join(known)}{others}.{did_you_mean(name, known)}"
        )


def load_plugin(module_name: str, base: type[T]) -> type[T]:
    """Imports a plug-in, and returns its class: the one public subclass of `base` that is defined there.

    Raises:
        TypeError: the module defines none, or several (a mistake of whoever wrote it).
    """
    module = importlib.import_module(module_name)
    found = [
        value
        for name, value in vars(module).items()
        if inspect.isclass(value)
        and issubclass(value, base)
        and value.__module__ == module_name
        and not name.startswith("_")
    ]
    if len(found) != 1:
        names = ", ".join(cls.__name__ for cls in found) or "none"
        raise TypeError(f"{module_name}: expected one public subclass of {base.__name__}, found {names}")
    return found[0]

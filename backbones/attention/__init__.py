"""Self-attention modules (SAMs). A file of this package is a SAM, called by the file's name; `timm:NAME` is timm's."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from typing import Any

from backbones.attention.base import Attention, State
from backbones.errors import UserInputError, did_you_mean

__all__ = ["Attention", "State", "create_attention", "list_attentions"]

_TIMM = "timm:"


def list_attentions() -> list[str]:
    """Names of the SAMs of this package, sorted; `timm:NAME` works beside them."""
    return sorted(m.name for m in pkgutil.iter_modules(__path__) if m.name != "base" and not m.name.startswith("_"))


def create_attention(name: str, channels: int, **args: Any) -> Attention:
    """Builds the SAM called `name` for maps of `channels` channels.

    Raises:
        UserInputError: unknown name (with close matches), unknown or unfit argument.
    """
    if name.startswith(_TIMM):
        from backbones.attention._timm import TimmAttention

        return TimmAttention(channels, name.removeprefix(_TIMM), **args)
    cls = _find(name)
    known = list(inspect.signature(cls).parameters)[1:]
    for arg in args:
        if arg not in known:
            raise UserInputError(
                f"attention {name!r} has no argument {arg!r}, expected one of {known}.{did_you_mean(arg, known)}"
            )
    return cls(channels, **args)


def _find(name: str) -> type[Attention]:
    known = list_attentions()
    if name not in known:
        raise UserInputError(
            f"attention {name!r} is unknown, expected one of {', '.join(known)} or timm:NAME."
            f"{did_you_mean(name, known)}"
        )
    module = importlib.import_module(f"{__name__}.{name}")
    (found,) = [
        value
        for value in vars(module).values()
        if inspect.isclass(value) and issubclass(value, Attention) and value.__module__ == module.__name__
    ]
    return found

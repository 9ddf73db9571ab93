"""Self-attention modules (SAMs). A file of this package is a SAM, called by the file's name; `timm:NAME` is timm's."""

from __future__ import annotations

import inspect
from typing import Any

from backbones.attention.base import Attention, State
from backbones.errors import UserInputError, did_you_mean
from backbones.plugins import check_plugin, load_plugin, plugin_names

__all__ = ["Attention", "State", "create_attention", "get_attention", "list_attentions"]

_TIMM = "timm:"


def list_attentions() -> list[str]:
    """Names of the SAMs of this package, sorted; `timm:NAME` works beside them."""
    return plugin_names(__path__)


def get_attention(name: str) -> type[Attention]:
    """The class of the SAM called `name`, which says what there is to know of it (`Attention.recurrent`, ...).

    Raises:
        UserInputError: unknown name (with close matches).
    """
    if name.startswith(_TIMM):
        from backbones.attention._timm import TimmAttention

        return TimmAttention
    check_plugin(name, list_attentions(), "attention", " or timm:NAME")
    return load_plugin(f"{__name__}.{name}", Attention)


def create_attention(name: str, channels: int, **args: Any) -> Attention:
    """Builds the SAM called `name` for maps of `channels` channels.

    Raises:
        UserInputError: unknown name (with close matches), unknown or unfit argument.
    """
    cls: Any = get_attention(name)
    if name.startswith(_TIMM):
        return cls(channels, name.removeprefix(_TIMM), **args)
    known = list(inspect.signature(cls).parameters)[1:]
    for arg in args:
        if arg not in known:
            raise UserInputError(
                f"attention {name!r} has no argument {arg!r}, expected one of {known}.{did_you_mean(arg, known)}"
            )
    return cls(channels, **args)

"""Memory formats of whole networks."""

from __future__ import annotations

from typing import Any, TypeVar, cast

import torch
from torch import nn

Net = TypeVar("Net", bound=nn.Module)


def to_memory_format(net: Net, memory_format: torch.memory_format) -> Net:
    """Lays out the four-dimensional weights of `net` in `memory_format`, in place; returns `net`."""
    # `nn.Module.to` takes the keyword, and its documentation says so; only its overloads for type checkers lack it.
    return cast(Net, cast(Any, net).to(memory_format=memory_format))

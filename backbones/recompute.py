"""Activation checkpointing that leaves running statistics as the plain run does."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from torch import nn
from torch.utils.checkpoint import checkpoint


def checkpointed(function: Callable[..., Any], *modules: nn.Module | None) -> Callable[..., Any]:
    """Wraps a function of some modules: its activations are recomputed in the backward pass (non-reentrant).

    Batch normalisation in `modules` updates its running statistics in the first pass only.
    """
    held = [module for module in modules if module is not None]

    def run(*args: Any) -> Any:
        return checkpoint(
            function,
            *args,
            use_reentrant=False,
            context_fn=lambda: (contextlib.nullcontext(), _still_statistics(held)),
        )

    return run


@contextlib.contextmanager
def _still_statistics(modules: Iterable[nn.Module]) -> Iterator[None]:
    """Normalises by the batch as in training, without touching the running statistics."""
    found = dict.fromkeys(m for module in modules for m in module.modules())
    norms = [m for m in found if isinstance(m, nn.modules.batchnorm._BatchNorm) and m.training]
    kept = [(norm.momentum, norm.num_batches_tracked) for norm in norms]
    for norm in norms:
        norm.momentum, norm.num_batches_tracked = 0.0, None
    try:
        yield
    finally:
        for norm, (momentum, batches) in zip(norms, kept, strict=True):
            norm.momentum, norm.num_batches_tracked = momentum, batches

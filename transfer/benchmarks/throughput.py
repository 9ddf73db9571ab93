"""Images a second of timm's ResNet-50 and SE-ResNet-50, as a user would run them, and of ours beside them.

A user's malloc maps large blocks anew in every forward, which costs eager networks more than deployed ones. So all of
them are timed with malloc as it comes, and then again with freed memory kept, as this toolkit's commands run.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
from torch import nn

from backbones.errors import UserInputError
from transfer.engine.allocator import keep_freed_memory
from transfer.measure.memory import malloc_in_use
from transfer.measure.networks import find_network
from transfer.measure.timed_models import Settings, TimedModel, prepare, times_of
from transfer.measure.timing import paired_ratio

TIMM = ("resnet50", "seresnet50")
OURS = ("resnet50.imagenet", "resnet50_full_share_se.imagenet", "resnet50_share_ean_se.standin")
AGAINST = "timm seresnet50"
"""What all of them are held against, eager."""


def measure_throughput(
    names: Sequence[str] = OURS, *, size: int = 224, settings: Settings | None = None
) -> list[dict[str, Any]]:
    """Times timm's networks eager and ours eager and deployed, all as classifiers, side by side.

    Args:
        names: registered names of ours.
        size: side of the images.
        settings: how to time.

    Returns:
        Rows with `name`, `mode`, `batch`, `size`, `ms_per_image`, `images_per_second`, `against` (timm's
        SE-ResNet-50, eager), `increment_percent` with `ci95`, `speedup` with `speedup_ci95` (how many times as fast
        as that, under the same malloc), `malloc` (see `malloc_in_use`), `parameters`,
        `memory_format`, `rounds`, `clock` and `threads`.

    Raises:
        UserInputError: unknown name, or timm is not installed.
    """
    settings = settings or Settings(batch=8)
    builders: dict[str, tuple[Callable[[], nn.Module], tuple[str, ...]]] = {
        **{f"timm {name}": (partial(_timm, name), ("eager",)) for name in TIMM},
        **{name: (find_network(name).build, ("eager", "deployed")) for name in names},
    }
    models = [
        model
        for name, (build, modes) in builders.items()
        for model in prepare(name, build, (3, size, size), modes, settings)
    ]
    rows = _rows(models, settings)
    if malloc_in_use() == "default" and keep_freed_memory():
        rows += _rows(models, settings)
    return rows


def _rows(models: Sequence[TimedModel], settings: Settings) -> list[dict[str, Any]]:
    columns = times_of(models, settings).reshape(-1, len(models)).T
    against = next(own for model, own in zip(models, columns, strict=True) if model.name == AGAINST)
    malloc = malloc_in_use()
    return [
        {
            **model.as_row(own, settings),
            "images_per_second": settings.batch / float(np.median(own)),
            "against": f"{AGAINST}, eager",
            **paired_ratio(own, against, settings.seed).percent.as_row("increment_percent", "ci95"),
            **paired_ratio(against, own, settings.seed).as_row("speedup"),
            "malloc": malloc,
        }
        for model, own in zip(models, columns, strict=True)
    ]


def _timm(name: str) -> nn.Module:
    try:
        import timm
    except ImportError as error:
        raise UserInputError("throughput needs timm: pip install timm") from error
    return timm.create_model(name)

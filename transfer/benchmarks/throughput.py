"""Images a second of timm's ResNet-50 and SE-ResNet-50, as a user would run them, and of ours beside them.

A user's malloc maps large blocks anew in every forward, which costs eager networks more than deployed ones. So all of
them are timed with malloc as it comes, and then again with freed memory kept, as this toolkit's commands run.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from backbones.errors import UserInputError
from transfer.engine.allocator import keep_freed_memory
from transfer.measure.memory import malloc_in_use
from transfer.measure.networks import find_network
from transfer.measure.timed_models import Contender, Settings, prepare, times_of
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
        size: side of the pictures.
        settings: how to time.

    Returns:
        Rows with `name`, `mode`, `batch`, `size`, `ms_per_image`, `images_per_second`, `against` (timm's
        SE-ResNet-50, eager), `increment_percent` with `ci95`, `speedup` with `speedup_ci95` (how many times as fast
        as that, under the same malloc), `malloc` (see `malloc_in_use`), `rounds`, `clock` and `threads`.

    Raises:
        UserInputError: unknown name, or timm is not installed.
    """
    settings = settings or Settings(batch=8)
    builders = {f"timm {name}": (lambda name=name: _timm(name), ("eager",)) for name in TIMM}
    builders.update({name: (find_network(name).build, ("eager", "deployed")) for name in names})
    contenders = [
        contender
        for name, (build, modes) in builders.items()
        for contender in prepare(name, build, size, modes, settings)
    ]
    rows = _rows(contenders, settings)
    if malloc_in_use() == "default" and keep_freed_memory():
        rows += _rows(contenders, settings)
    return rows


def _rows(contenders: Sequence[Contender], settings: Settings) -> list[dict[str, Any]]:
    columns = times_of(contenders, settings).reshape(-1, len(contenders)).T
    seconds = dict(zip(((c.name, c.mode) for c in contenders), columns, strict=True))
    against, malloc = seconds[AGAINST, "eager"], malloc_in_use()
    return [{**_row(c, seconds[c.name, c.mode], against, settings), "malloc": malloc} for c in contenders]


def _timm(name: str) -> nn.Module:
    try:
        import timm
    except ImportError as error:
        raise UserInputError("throughput needs timm: pip install timm") from error
    return timm.create_model(name)


def _row(contender: Contender, own: np.ndarray, against: np.ndarray, settings: Settings) -> dict[str, Any]:
    median = float(np.median(own)) / settings.batch
    slower = paired_ratio(own, against, settings.seed).percent
    faster = paired_ratio(against, own, settings.seed)
    return {
        "name": contender.name,
        "mode": contender.mode,
        "batch": settings.batch,
        "size": contender.size,
        "ms_per_image": 1000 * median,
        "images_per_second": 1 / median,
        "against": f"{AGAINST}, eager",
        "increment_percent": slower.median,
        "ci95": [slower.low, slower.high],
        "speedup": faster.median,
        "speedup_ci95": [faster.low, faster.high],
        "rounds": len(own),
        "clock": settings.clock,
        "threads": torch.get_num_threads(),
    }

"""Time and memory of a training step of classifiers: a searched trunk, the plain one, timm's, under the same head."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from backbones.errors import UserInputError
from backbones.memory_format import to_memory_format
from backbones.registry import create_backbone
from transfer.engine.allocator import keep_freed_memory
from transfer.measure.memory import peak_memory
from transfer.measure.timed_models import Settings
from transfer.measure.timing import paired_ratio

NAME, PLAIN, TIMM = "resnet50_share_ean_se.standin", "resnet50.imagenet", "seresnet50"
FORMATS = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}
CLASSES = 1000
TRAIN = "train"

Step = Callable[[], None]


@dataclass(frozen=True)
class _Trained:
    name: str
    memory_format: str
    step: Step


def measure_training_steps(
    name: str = NAME, *, against: str = PLAIN, timm: str | None = TIMM, size: int = 224, settings: Settings
) -> list[dict[str, Any]]:
    """Times forward, backward and SGD step, all networks in both memory formats, interleaved in one run.

    The head is the same for all: global average pooling and a linear layer. Memory is measured on `name`, with and
    without recomputing the blocks in the backward pass (activation checkpointing).

    Args:
        name: registered name of the trunk.
        against: registered name that it is held against.
        timm: timm's name of another one; None for none.
        size: side of the images.
        settings: how to time.

    Returns:
        Rows of mode `train` with `name`, `memory_format`, `batch`, `size`, `ms_per_image`, `ms_per_step`, and, for
        `name`, one for each network and format that it is held `against` (`against_format`) with `ratio`,
        `ratio_ci95`, `increment_percent`, `ci95`; rows of mode `memory` with `peak_memory_mb` and `checkpointing`.

    Raises:
        UserInputError: unknown name, or timm is asked for and not installed.
    """
    if size < 1:
        raise UserInputError(f"--size {size}: expected 1 or more")
    keep_freed_memory()
    settings.set_threads()
    builders: dict[str, Callable[[], nn.Module]] = {
        registered: partial(create_backbone, registered, num_classes=CLASSES) for registered in (name, against)
    }
    if timm is not None:
        builders[f"timm {timm}"] = partial(_timm, timm)
    batch = _batch(size, settings)
    trained = [
        _Trained(key, form, _step(build, form, batch, settings)) for key, build in builders.items() for form in FORMATS
    ]
    times = settings.seconds([one.step for one in trained], warm_up=1, device=settings.device)
    return [*_rows(trained, times, size, settings), *_memory(name, batch, size, settings)]


def _timm(name: str) -> nn.Module:
    try:
        import timm
    except ImportError as error:
        raise UserInputError("steps beside timm need it: pip install timm") from error
    return timm.create_model(name, num_classes=CLASSES)


def _batch(size: int, settings: Settings) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(settings.seed)
    images = torch.randn(settings.batch, 3, size, size, generator=generator)
    labels = torch.randint(0, CLASSES, (settings.batch,), generator=generator)
    return images.to(settings.device), labels.to(settings.device)


def _step(build: Callable[[], nn.Module], form: str, batch: tuple[Tensor, Tensor], settings: Settings) -> Step:
    torch.manual_seed(settings.seed)
    model = to_memory_format(build().to(settings.device), FORMATS[form]).train()
    images, labels = batch[0].contiguous(memory_format=FORMATS[form]), batch[1]
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-4, momentum=0.9)

    def step() -> None:
        loss = F.cross_entropy(model(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step


def _rows(trained: Sequence[_Trained], times: np.ndarray, size: int, settings: Settings) -> list[dict[str, Any]]:
    columns = {(one.name, one.memory_format): times[:, place] for place, one in enumerate(trained)}
    first = trained[0].name
    rows = []
    for one in trained:
        own = columns[one.name, one.memory_format]
        row = {
            "name": one.name,
            "mode": TRAIN,
            "memory_format": one.memory_format,
            "batch": settings.batch,
            "size": size,
            "ms_per_image": 1000 * float(np.median(own)) / settings.batch,
            "ms_per_step": 1000 * float(np.median(own)),
            "against": None,
            **settings.as_row(),
        }
        others = [key for key in columns if key[0] != first] if one.name == first else []
        rows += [{**row, **_compared(own, columns[key], key, settings.seed)} for key in others] or [row]
    return rows


def _compared(own: np.ndarray, other: np.ndarray, key: tuple[str, str], seed: int) -> dict[str, Any]:
    ratio = paired_ratio(own, other, seed)
    return {
        "against": key[0],
        "against_format": key[1],
        **ratio.as_row("ratio"),
        **ratio.percent.as_row("increment_percent", "ci95"),
    }


def _memory(name: str, batch: tuple[Tensor, Tensor], size: int, settings: Settings) -> list[dict[str, Any]]:
    """Peak of the second step, when gradients and momenta are there."""
    rows = []
    for with_cp in (False, True):
        build = partial(create_backbone, name, num_classes=CLASSES, with_cp=with_cp)
        step = _step(build, "channels_last", batch, settings)
        step()
        rows.append(
            {
                "name": name,
                "mode": "memory",
                "memory_format": "channels_last",
                "checkpointing": with_cp,
                "batch": settings.batch,
                "size": size,
                "peak_memory_mb": peak_memory(step, settings.device) / 1e6,
            }
        )
    return rows

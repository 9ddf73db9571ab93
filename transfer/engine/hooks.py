"""Hooks that every training has: seeds by iteration, and a watch over the loss and over stop signals."""

from __future__ import annotations

import math
import random
from typing import Any

import numpy as np
import torch
from mmengine.dist import get_rank, get_world_size
from mmengine.hooks import Hook
from mmengine.registry import HOOKS

from backbones.errors import RunError
from transfer.engine.checkpoint import newest_checkpoint
from transfer.engine.loops import ValidationAborted
from transfer.engine.progress import numbers


@HOOKS.register_module()
class IterationSeedHook(Hook):
    """Seeds all global generators from (seed, iteration, rank) before each iteration.

    What a model draws (dropout, drop path, schemes) then depends on nothing that a checkpoint would have to hold.
    """

    priority = "VERY_HIGH"

    def before_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        state = np.random.SeedSequence((abs(int(runner.seed or 0)), runner.iter, get_rank())).generate_state(2)
        random.seed(int(state[0]))
        np.random.seed(int(state[0]))
        torch.manual_seed(int(state[1]))  # seeds all devices


def files_of(data_batch: Any) -> list[str]:
    """The image files of a batch, as far as its samples say where they are from (`img_path`)."""
    samples = data_batch.get("data_samples", ()) if isinstance(data_batch, dict) else ()
    found = (getattr(s, "img_path", None) or (isinstance(s, dict) and s.get("img_path")) for s in samples)
    return [str(path) for path in found if path]


@HOOKS.register_module()
class FiniteLossHook(Hook):
    """Ends training at the first loss that is not a finite number, before a checkpoint can take it in.

    Raises:
        RunError: names the iteration, the loss terms, the batch's files and the last checkpoint.
    """

    priority = "VERY_HIGH"

    def after_train_iter(
        self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: dict[str, Any] | None = None
    ) -> None:
        values = numbers(outputs)
        wrong = {key: value for key, value in values.items() if not math.isfinite(value)}
        if not wrong:
            return
        terms = ", ".join(f"{key}={value}" for key, value in wrong.items())
        files = ", ".join(files_of(data_batch))
        batch = f" in the batch of {files}" if files else ""
        last = newest_checkpoint(runner.work_dir)
        safe = f"the last checkpoint, {last}, is from before" if last else "no checkpoint was written yet"
        raise RunError(
            f"iteration {runner.iter + 1}: {terms} is not a finite number{batch}; {safe}; "
            "try a smaller learning rate (optim_wrapper.optimizer.lr) or gradient clipping (optim_wrapper.clip_grad)"
        )


@HOOKS.register_module()
class StopInValidationHook(Hook):
    """Lets a signal end a long validation; with several processes it waits for the end, so that all stay in step."""

    priority = "VERY_LOW"

    def after_val_iter(self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        request = getattr(runner, "stop_request", None)
        if request is not None and request.signum and get_world_size() == 1:
            raise ValidationAborted

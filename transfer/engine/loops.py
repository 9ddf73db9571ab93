"""The training loop: iterations, validation, and an exact continuation after a stop."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import torch
from mmengine.dist import all_reduce, broadcast, get_world_size
from mmengine.hooks import EMAHook
from mmengine.registry import LOOPS
from mmengine.runner import IterBasedTrainLoop
from mmengine.runner.base_loop import BaseLoop
from mmengine.runner.utils import calc_dynamic_intervals
from torch.utils.data import DataLoader

from backbones.errors import RunError, UserInputError
from transfer.cli import ENDING, not_ignored, received_signal
from transfer.engine.checkpoint import PlainCheckpointHook
from transfer.engine.sampling import ResumableSampler


class Stopped(RunError):
    """Training was stopped by a signal, after a checkpoint."""

    def __init__(self, signum: int, iteration: int, checkpoint: str | None) -> None:
        self.signum, self.iteration, self.checkpoint = signum, iteration, checkpoint
        super().__init__(f"stopped by {signal.Signals(signum).name} after iteration {iteration}")


class StopRequest:
    """Remembers that SIGINT or one of `ENDING` came, so that the loop can stop between two iterations.

    A second signal acts at once; not with several processes, where torchrun passes on what the whole group got already.
    """

    def __init__(self) -> None:
        self.signum = 0

    @contextmanager
    def caught(self) -> Iterator[StopRequest]:
        """Catches the signals inside the block; does nothing outside the main thread, where Python cannot."""
        if threading.current_thread() is not threading.main_thread():
            yield self
            return
        self._owner = os.getpid()
        caught = not_ignored((signal.SIGINT, *ENDING))
        self._before = {signum: signal.signal(signum, self._handle) for signum in caught}
        self.signum = received_signal()  # before this block, where nobody heeded it
        try:
            yield self
        finally:
            self._restore()

    def _restore(self) -> None:
        for signum, handler in self._before.items():
            signal.signal(signum, handler)

    def _handle(self, signum: int, frame: FrameType | None) -> None:
        if os.getpid() == self._owner:  # data workers are forked with this handler, and have nothing to end
            self.signum = signum
            if get_world_size() == 1:
                self._restore()

    def agreed(self) -> int:
        """The signal that any process got, 0 for none; the same answer in all processes."""
        if get_world_size() > 1:
            flag = torch.tensor([self.signum])
            all_reduce(flag, "max")
            self.signum = int(flag.item())
        return self.signum


@LOOPS.register_module()
class ResumableTrainLoop(IterBasedTrainLoop):
    """`IterBasedTrainLoop` that continues exactly where a checkpoint left off, without replaying the data loader.

    SIGINT and `transfer.cli.ENDING` end it after the running iteration, with a checkpoint. A validation that was due
    at the checkpoint's iteration is made up for first.

    Args:
        runner: the runner.
        dataloader: its sampler must be a `ResumableSampler`.
        max_iters: iterations of the whole training.
        val_begin: first iteration after which validation may run.
        val_interval: iterations between validations; one follows the last iteration in any case.
        dynamic_intervals: (iteration, interval) pairs that change `val_interval` on the way.
    """

    def __init__(
        self,
        runner: Any,
        dataloader: DataLoader | dict,
        max_iters: int,
        val_begin: int = 1,
        val_interval: int = 1000,
        dynamic_intervals: list[tuple[int, int]] | None = None,
    ) -> None:
        # Past IterBasedTrainLoop, which would start the data workers before the position is known.
        BaseLoop.__init__(self, runner, dataloader)
        for key, value in (("max_iters", max_iters), ("val_interval", val_interval)):
            if int(value) != value or value < 1:
                raise UserInputError(f"train_cfg.{key}={value}: expected a whole number of at least 1")
        self._max_iters, self._max_epochs, self._epoch, self._iter = int(max_iters), 1, 0, 0
        self.val_begin, self.val_interval, self.stop_training = val_begin, int(val_interval), False
        self.dynamic_milestones, self.dynamic_intervals = calc_dynamic_intervals(self.val_interval, dynamic_intervals)
        self.sampler = self.dataloader.sampler
        if not isinstance(self.sampler, ResumableSampler) or not self.dataloader.batch_size:
            raise UserInputError(
                "train_dataloader: expected sampler=dict(type='ResumableSampler') and a batch_size, without which "
                f"training cannot be resumed exactly, found {type(self.sampler).__name__}"
            )
        self._start = (0, 0)
        if hasattr(self.dataloader.dataset, "metainfo"):
            runner.visualizer.dataset_meta = self.dataloader.dataset.metainfo

    def position_at(self, iteration: int) -> int:
        """Samples that all processes together have used up after `iteration` iterations."""
        started_at, position = self._start
        return position + (iteration - started_at) * self.dataloader.batch_size * get_world_size()

    def continue_from(self, iteration: int, position: int | None) -> None:
        """Sets the loop and its sampler to what a checkpoint says; `position` None: as if never interrupted."""
        self._iter = iteration
        self._start = (iteration, self.position_at(iteration) if position is None else position)
        self.sampler.position = self._start[1]

    def run(self) -> torch.nn.Module:
        """Trains up to `max_iters`; returns the model.

        Raises:
            Stopped: a signal came; the checkpoint is written.
        """
        runner = self.runner
        stop = StopRequest()
        with stop.caught():
            runner.call_hook("before_train")
            runner.call_hook("before_train_epoch")
            # Resumed from a checkpoint whose validation was cut off, or never begun.
            if self._iter and runner.message_hub.get_info("validated_at") != self._iter:
                self._validate_if_due(stop)
            self._iterate(stop)
            runner.call_hook("after_train_epoch")
            runner.call_hook("after_train")
        return runner.model

    def _iterate(self, stop: StopRequest) -> None:
        batches = iter(self.dataloader) if self._iter < self._max_iters else iter(())
        try:
            while self._iter < self._max_iters and not self.stop_training:
                self.runner.model.train()
                self.run_iter(self._next(batches, stop))
                self._decide_current_val_interval()
                # Asked first: validation may take longer than whoever sent the signal waits, and can be made up for.
                self._end_if_asked(stop)
                self._validate_if_due(stop)
        finally:
            # After an error its traceback keeps the iterator alive, and with it workers that the exit would wait for.
            getattr(batches, "_shutdown_workers", lambda: None)()

    def _next(self, batches: Iterator[Any], stop: StopRequest) -> Any:
        try:
            return next(batches)
        except RuntimeError:
            if get_world_size() == 1:  # the signal may have met a data worker that was not ready for it
                self._end_if_asked(stop)
            raise

    def _validate_if_due(self, stop: StopRequest) -> None:
        due = self._iter % self.val_interval == 0 or self._iter == self._max_iters
        if self.runner.val_loop is None or self._iter < self.val_begin or not due:
            return
        for buffer in self.runner.model.buffers():  # running statistics differ by rank; the checkpoint has rank 0's
            broadcast(buffer)
        self.runner.stop_request = stop
        try:
            self.runner.val_loop.run()
        except ValidationAborted:
            for hook in self.runner.hooks:
                if isinstance(hook, EMAHook):
                    hook.after_val_epoch(self.runner)  # swaps the trained weights back in
            self._end_if_asked(stop)
        finally:
            self.runner.stop_request = None
        self._end_if_asked(stop)

    def _end_if_asked(self, stop: StopRequest) -> None:
        if not stop.agreed():
            return
        saved = None
        for hook in self.runner.hooks:
            if isinstance(hook, PlainCheckpointHook):
                saved = hook.save_now(self.runner)
        raise Stopped(stop.signum, self._iter, saved)


class ValidationAborted(Exception):
    """A signal came while validation ran; it is made up for on resume."""

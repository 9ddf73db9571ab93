"""What one sees of a running training: a live line, and the curve as JSON lines."""

from __future__ import annotations

import atexit
import json
import math
import sys
import time
from collections import defaultdict
from pathlib import Path
from typing import Any, TextIO

import torch
from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from backbones.errors import UserInputError
from backbones.files import open_to_append, write_atomically
from backbones.integrity import checked_lines, log_line
from backbones.schema import is_number
from transfer.engine.console import duration


def numbers(values: dict[str, Any] | None) -> dict[str, float]:
    """The entries that are single numbers, as floats."""
    found = {}
    for key, value in (values or {}).items():
        if torch.is_tensor(value) and value.numel() == 1:
            value = value.item()
        if hasattr(value, "item") and getattr(value, "size", 0) == 1:
            value = value.item()
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            found[key] = float(value)
    return found


def metric_line(metrics: dict[str, float]) -> str:
    """`mae 118.8  mse 183.1`"""
    return "  ".join(f"{key} {value:.4g}" for key, value in metrics.items())


@HOOKS.register_module()
class ProgressHook(Hook):
    """Iteration, loss, speed and time left: a bar on a terminal, else a line every `interval`.

    Args:
        interval: iterations between lines where the output is no terminal.
        stream: where to write, default standard output.
    """

    priority = "LOW"

    def __init__(self, interval: int = 50, stream: TextIO | None = None) -> None:
        self.interval, self.stream = interval, stream or sys.stdout
        console = Console(file=self.stream, highlight=False, soft_wrap=True)
        self.live = console.is_terminal and is_main_process()
        # Drawn by hand: a thread of its own would compute beside the training.
        self._bar = Progress(BarColumn(20), TextColumn("{task.description}"), console=console, auto_refresh=False)
        self._task = self._bar.add_task("")
        self._shown = 0.0

    def before_train(self, runner: Any) -> None:
        self._first, self._started, self._validating, self._loss = runner.iter, time.monotonic(), 0.0, math.nan

    def after_train_iter(
        self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: dict[str, Any] | None = None
    ) -> None:
        loss = numbers(outputs).get("loss", math.nan)
        self._loss = loss if math.isnan(self._loss) else 0.9 * self._loss + 0.1 * loss
        done, total = runner.iter + 1, runner.max_iters
        each = (time.monotonic() - self._started - self._validating) / (done - self._first)
        left = duration(each * (total - done))
        line = f"iteration {done}/{total}  loss {self._loss:.4g}  {each:.2f} s each  left {left}"
        self._draw(line, done, total)
        if done == total or (not self.live and done % self.interval == 0):
            self._write(line)

    def before_val(self, runner: Any) -> None:
        self._validation_started = time.monotonic()

    def after_val_iter(self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        self._evaluating("validation", batch_idx, len(runner.val_dataloader))

    def after_test_iter(self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        self._evaluating("test", batch_idx, len(runner.test_dataloader))

    def after_val_epoch(self, runner: Any, metrics: dict[str, float] | None = None) -> None:
        self._validating = getattr(self, "_validating", 0.0) + time.monotonic() - self._validation_started
        self._write(f"validation after iteration {runner.iter}: {metric_line(numbers(metrics))}")

    def after_run(self, runner: Any) -> None:
        self._stop()

    def _evaluating(self, what: str, batch: int, total: int) -> None:
        self._draw(f"{what} {batch + 1}/{total}", batch + 1, total)

    def _draw(self, line: str, done: int, total: int) -> None:
        """The bar, at most ten times a second; it goes when its work is done."""
        if done == total:
            self._stop()
        elif self.live and time.monotonic() - self._shown > 0.1:
            self._shown = time.monotonic()
            if not self._bar.live.is_started:
                self._bar.live.transient = True
                self._bar.start()
                atexit.register(self._stop)  # gives the cursor back, however the run ends
            self._bar.update(self._task, description=line, completed=done, total=total, refresh=True)

    def _stop(self) -> None:
        if self._bar.live.is_started:  # a bar that was never there would leave an empty line
            self._bar.stop()

    def _write(self, line: str) -> None:
        if is_main_process():
            self._bar.console.print(line, markup=False)


@HOOKS.register_module()
class CurveHook(Hook):
    """Appends the curve to `curve.jsonl` in the work directory; a resumed run continues the file where it was.

    Lines are `{"iter": 50, "loss": 0.1, "lr": 0.0001, "seconds": 27.3}` (means since the last such line, and the time
    that these iterations took, validation apart) and `{"iter": 500, "val": {"mae": 118.8}}`, each with its CRC.

    Args:
        interval: iterations between training lines.
    """

    priority = "BELOW_NORMAL"

    def __init__(self, interval: int = 10) -> None:
        self.interval = interval

    def before_train(self, runner: Any) -> None:
        """Drops lines from beyond the iteration that training continues from."""
        self._sums: dict[str, list[float]] = defaultdict(list)
        self._path = Path(runner.work_dir) / "curve.jsonl"
        if is_main_process() and self._path.exists():
            kept = b"".join(
                line + b"\n" for line in self._path.read_bytes().splitlines() if _goes_on(line, runner.iter)
            )
            write_atomically(self._path, kept)  # takes the place of a link, instead of writing through it
        self._seconds, self._since = 0.0, time.perf_counter()

    def after_train_iter(
        self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: dict[str, Any] | None = None
    ) -> None:
        now = time.perf_counter()
        self._seconds, self._since = self._seconds + now - self._since, now
        for key, value in numbers(outputs).items():
            self._sums[key].append(value)
        done = runner.iter + 1
        if done % self.interval == 0 or done == runner.max_iters:
            means = {key: sum(values) / len(values) for key, values in self._sums.items()}
            self._sums.clear()
            rates = {key: float(rates[0]) for key, rates in runner.optim_wrapper.get_lr().items() if rates}
            self._append({"iter": done, **means, **rates, "seconds": round(self._seconds, 3)})
            self._seconds = 0.0

    def after_val_epoch(self, runner: Any, metrics: dict[str, float] | None = None) -> None:
        self._append({"iter": runner.iter, "val": numbers(metrics)})
        self._since = time.perf_counter()

    def _append(self, entry: dict[str, Any]) -> None:
        if is_main_process():
            with open_to_append(self._path) as file:
                file.write(log_line(entry).encode())


def read_curve_lines(path: str | Path) -> list[dict[str, Any]]:
    """The lines of a `curve.jsonl`; raises `UserInputError` for one that was changed, or is none."""
    found = []
    for number, line in enumerate(checked_lines(Path(path).read_bytes(), path), 1):
        entry = _entry(line)
        if entry is None:
            raise UserInputError(f"{path}, line {number}: is no line of a curve; take the line out")
        found.append(entry)
    return found


def training_seconds(work_dir: str | Path) -> float | None:
    """Time that a training's iterations took, all its resumed parts together; None where `curve.jsonl` is missing."""
    path = Path(work_dir) / "curve.jsonl"
    if not path.is_file():
        return None
    return sum(line.get("seconds", 0.0) for line in read_curve_lines(path))


def _goes_on(line: bytes, iteration: int) -> bool:
    """Whether a line is whole, and of an iteration up to that one."""
    try:
        entry = [_entry(whole) for whole in checked_lines(line + b"\n", "")]
    except UserInputError:
        return False
    return all(one is not None and one["iter"] <= iteration for one in entry)


def _entry(line: bytes) -> dict[str, Any] | None:
    """What a line says; None for one that a crash cut off."""
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return entry if isinstance(entry, dict) and is_number(entry.get("iter")) else None

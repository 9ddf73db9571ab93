"""Where the time of a training step and of an evaluation goes, part by part, in the loops that the commands run."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from mmengine.config import Config, ConfigDict
from mmengine.hooks import Hook
from mmengine.logging import MMLogger
from mmengine.model import BaseModel
from torch import nn

from backbones.errors import UserInputError
from transfer.benchmarks.part_timer import PartTimer, TimedLoader
from transfer.engine.allocator import keep_freed_memory
from transfer.engine.backbone import registered_backbones, without_initial_weights
from transfer.engine.checkpoint import bare
from transfer.engine.runner_setup import build_runner, prepare
from transfer.measure.networks import settle

READING = "data: reading, collating"
NETWORK, METRIC = "network", "metric"
WARM_UP = 1
"""Iterations before the ones that count: the first allocates, opens files and packs weights."""

Laps = list[dict[str, float]]


def profile_training(
    config: Config, *, steps: int = 5, clock: str = "wall", device: str = "cpu", seed: int = 0
) -> list[dict[str, Any]]:
    """Trains for some iterations and names the parts; data are read in the same process, so that none hides.

    Args:
        config: as `load_config` gives it; weights are random, nothing is validated or written.
        steps: iterations that count.
        clock: a name of `transfer.measure.timing.CLOCKS`.
        device: that the runner chose, see `choose_device`.
        seed: of the training.

    Returns:
        Rows with `name` (the part), `ms_per_step` (mean), `share_percent` of the step, `batch`, `steps`, `config`,
        `clock` and `threads`; the last one is the whole step.

    Raises:
        UserInputError: a config that cannot be trained.
    """
    _check_positive("--steps", steps)
    timer = PartTimer(clock, device)
    with tempfile.TemporaryDirectory() as folder, _quiet():
        keep_freed_memory()
        prepare(config, work_dir=folder, seed=seed)
        for key in ("val_dataloader", "val_cfg", "val_evaluator"):
            config[key] = None
        config.default_hooks.checkpoint = None
        config.train_cfg.max_iters = steps + WARM_UP
        _read_here(config.train_dataloader)
        watch = _TrainingWatch(timer)
        with without_initial_weights():
            runner = build_runner(config)
        runner.register_hook(watch)
        runner.train()
    circumstances = {"batch": int(config.train_dataloader.batch_size), "steps": steps}
    return _rows(watch.laps[WARM_UP:], "ms_per_step", steps, "train", config, clock, circumstances)


def profile_evaluation(
    config: Config, *, limit: int | None = None, clock: str = "wall", device: str = "cpu", seed: int = 0
) -> list[dict[str, Any]]:
    """Evaluates the test images of a config with random weights; parts are data, network and metric.

    Args:
        config: as `load_config` gives it.
        limit: batches (as a rule of one image) to evaluate, the first of the data set; None for all.
        clock, device, seed: as in `profile_training`.

    Returns:
        Rows as of `profile_training`, with `ms_per_image` and `images`.

    Raises:
        UserInputError: a config that cannot be tested.
    """
    for key in ("test_dataloader", "test_cfg", "test_evaluator"):
        if config.get(key) is None:
            raise UserInputError(f"config {config.filename}: has no {key!r}, which testing needs: add it")
    if limit is not None:
        _check_positive("--limit", limit)
    timer = PartTimer(clock, device)
    with tempfile.TemporaryDirectory() as folder, _quiet():
        keep_freed_memory()
        prepare(config, work_dir=folder, seed=seed, training=False)
        _read_here(config.test_dataloader)
        watch = _TestWatch(timer, limit)
        with without_initial_weights():
            runner = build_runner(config)
        _settled(runner.model)
        runner.register_hook(watch)
        runner.test()
    circumstances = {"batch": int(config.test_dataloader.batch_size or 1), "images": watch.images}
    return _rows(watch.laps, "ms_per_image", watch.images, "test", config, clock, circumstances)


def _check_positive(option: str, value: int) -> None:
    if value < 1:
        raise UserInputError(f"{option} {value}: expected 1 or more")


def _read_here(loader: ConfigDict) -> None:
    loader.num_workers, loader.persistent_workers = 0, False
    loader.pop("prefetch_factor", None)


@contextmanager
def _quiet() -> Iterator[None]:
    """mmengine's log of this run goes to no terminal, and its file handles are let go with the folder."""
    known = set(MMLogger._instance_dict)
    try:
        yield
    finally:
        for name in set(MMLogger._instance_dict) - known:
            for handler in MMLogger._instance_dict.pop(name).handlers:
                handler.close()


def _settled(model: nn.Module) -> None:
    """Statistics that fit the random weights, or maps would grow out of all proportion."""
    trunk = registered_backbones(model)[0]
    settle(trunk, torch.randn(2, 3, 64, 64, device=next(trunk.parameters()).device))


class _TrainingWatch(Hook):
    """Tells the timer about the parts of a training; the last hook of all, so that others' work is in the lap."""

    priority = "LOWEST"

    def __init__(self, timer: PartTimer) -> None:
        self.timer = timer
        self.laps: Laps = []

    def before_train(self, runner: Any) -> None:
        timer, model, loop = self.timer, bare(runner.model), runner.train_loop
        _watch_data(timer, loop.dataloader.dataset)
        loop.dataloader = TimedLoader(loop.dataloader, timer, READING)
        timer.wrap(model.data_preprocessor, "forward", "data: normalising")
        timer.wrap(model, "forward", "loss")  # what of the forward pass no module below claims
        _watch_network(timer, model)
        timer.wrap(runner.optim_wrapper, "backward", "backward")
        for method in ("step", "zero_grad"):
            timer.wrap(runner.optim_wrapper, method, "optimiser")
        timer.lap()

    def after_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        self.laps.append(self.timer.lap())


class _TestWatch(Hook):
    """Tells the timer about the parts of a test, beginning with the second batch (the first one warms up)."""

    priority = "LOWEST"

    def __init__(self, timer: PartTimer, limit: int | None) -> None:
        self.timer, self.limit, self.images = timer, limit, 0
        self.laps: Laps = []

    def before_test(self, runner: Any) -> None:
        timer, loop = self.timer, runner.test_loop
        model: BaseModel = bare(runner.model)
        _watch_data(timer, loop.dataloader.dataset)
        with torch.inference_mode():
            model.eval().test_step(next(iter(loop.dataloader)))  # warms up
        loop.dataloader = TimedLoader(loop.dataloader, timer, READING, self.limit)
        timer.wrap(model, "test_step", NETWORK)
        for method in ("process", "evaluate"):
            timer.wrap(loop.evaluator, method, METRIC)
        timer.lap()

    def after_test_iter(self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        self.images += len(outputs)

    def after_test(self, runner: Any) -> None:
        self.laps.append(self.timer.lap())


def _watch_data(timer: PartTimer, dataset: Any) -> None:
    """Each transform of a data set's pipeline by its name; those that make targets apart from the others."""
    pipeline = getattr(dataset, "pipeline", None)
    transforms = getattr(pipeline, "transforms", pipeline)
    if isinstance(transforms, list):
        transforms[:] = [timer.timed(transform, _name_of(transform)) for transform in transforms]


def _name_of(transform: Any) -> str:
    name = type(transform).__name__
    return f"targets: {name}" if "Target" in name else f"data: {name}"


def _watch_network(timer: PartTimer, model: nn.Module) -> None:
    """The forward of what the model is made of: trunk and heads. Their losses count as loss."""
    for name, child in model.named_children():
        if name == "data_preprocessor" or name.startswith("loss"):
            continue
        for part in child if isinstance(child, nn.ModuleList) else (child,):
            timer.wrap(part, "forward", f"forward: {'trunk' if name == 'backbone' else name}")


def _rows(
    laps: Laps, unit: str, count: int, mode: str, config: Config, clock: str, circumstances: dict[str, Any]
) -> list[dict[str, Any]]:
    """A row for each part, in the order in which they first ran, and the whole."""
    names = dict.fromkeys(name for lap in laps for name in lap)
    seconds = {name: sum(lap.get(name, 0.0) for lap in laps) for name in names}
    whole = sum(seconds.values())
    rest = seconds.pop("rest", 0.0)
    told = {**seconds, "rest: hooks, loop": rest, "all": whole}
    common = {"mode": mode, "config": str(config.filename), **circumstances, "clock": clock}
    return [
        {
            "name": name,
            unit: 1000 * value / count,
            "share_percent": 100 * value / whole,
            **common,
            "threads": torch.get_num_threads(),
        }
        for name, value in told.items()
    ]

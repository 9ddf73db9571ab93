"""From a config and the commands' options to a runner, for any task."""

from __future__ import annotations

import fnmatch
import importlib.util
import itertools
import logging
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import mmengine.device.utils as device_utils
import torch
from mmengine.config import Config, ConfigDict
from mmengine.dist import is_distributed
from mmengine.logging import MMLogger
from mmengine.runner import Runner
from mmengine.runner.checkpoint import CheckpointLoader, load_state_dict

from backbones.errors import UserInputError, did_you_mean
from transfer.engine.amp import native_bfloat16
from transfer.engine.checkpoint import bare, check_same_model
from transfer.engine.compat import load_foreign_checkpoint, say_unhashed
from transfer.engine.config_check import resolve, scope_of, signature_keys

# What every training gets unless its config says otherwise; mmengine's own defaults are replaced by these.
REPLACED = {
    "IterBasedTrainLoop": "ResumableTrainLoop",
    "InfiniteSampler": "ResumableSampler",
    "CheckpointHook": "PlainCheckpointHook",
}
ALWAYS_ON = ("IterationSeedHook", "FiniteLossHook", "StopInValidationHook", "ProgressHook", "CurveHook")


_runs = itertools.count()

# Warnings of mmengine about its own internals, which no user can do anything about.
NOISE = (
    *("The prefix is not set", '"FileClient" will be', '"HardDiskBackend" is', "Dataset ", "Reach the end of"),
    "Failed to search registry with scope",  # functions and strategies are mmengine's own, whatever the scope
)


def _worth_reading(record: logging.LogRecord) -> bool:
    return not str(record.msg).startswith(NOISE)


@CheckpointLoader.register_scheme(prefixes="", force=True)
def _load_local(filename: str, map_location: Any = None) -> dict[str, Any]:
    """Files that a config has mmengine read (`init_cfg=dict(type="Pretrained")`), read as ours are."""
    return load_foreign_checkpoint(Path(filename).expanduser(), map_location or "cpu")


class TransferRunner(Runner):
    """mmengine's `Runner`, which logs to its file only, reads checkpoints safely and compares them strictly."""

    stop_request: Any = None

    def build_logger(self, log_level: int | str = "INFO", log_file: str | None = None, **kwargs: Any) -> MMLogger:
        """The terminal gets warnings, on standard error; the file gets everything."""
        logger = super().build_logger(log_level, log_file, **kwargs)
        for handler in logger.handlers:
            if isinstance(handler, logging.StreamHandler) and not isinstance(handler, logging.FileHandler):
                handler.setLevel(max(handler.level, logging.WARNING))
                handler.addFilter(_worth_reading)
                handler.setStream(sys.stderr)
        return logger

    def load_checkpoint(
        self,
        filename: str,
        map_location: Any = "cpu",
        strict: bool = False,
        revise_keys: Any = None,
    ) -> dict[str, Any]:
        """Loads weights; strictly on resume and in tests, else (`load_from` in training) with a logged report."""
        checkpoint = load_foreign_checkpoint(filename, map_location)
        if "state_dict" not in checkpoint:  # a plain state dict, which hooks know nothing of
            checkpoint = {"state_dict": checkpoint}
        training = self._train_loop is not None
        if strict or self._resume or not training:
            check_same_model(self.model, checkpoint, filename)
        self.call_hook("after_load_checkpoint", checkpoint=checkpoint)
        state = {key.removeprefix("module."): v for key, v in checkpoint.get("state_dict", checkpoint).items()}
        load_state_dict(bare(self.model), state, strict=strict, logger=self.logger)
        self._has_loaded = True
        say_unhashed(filename)
        self.logger.info(f"loaded {filename}")
        return checkpoint

    def resume(self, filename: str, *args: Any, **kwargs: Any) -> None:
        """Continues from a checkpoint of this very training: weights, optimiser, schedule, position in the data."""
        read: dict[str, Any] = {}
        plain_load = self.load_checkpoint

        def remembering(*load_args: Any, **load_kwargs: Any) -> dict[str, Any]:
            read.update(plain_load(*load_args, **load_kwargs))
            return read

        self.__dict__["load_checkpoint"] = remembering  # hides the method for as long as `resume` runs
        try:
            super().resume(filename, *args, **kwargs)
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            if isinstance(error, UserInputError):
                raise
            raise UserInputError(
                f"{filename}: its optimiser's state does not fit the config ({error}); resume with the config that it "
                "was trained with"
            ) from error
        finally:
            del self.load_checkpoint
        self.train_loop.continue_from(read["meta"]["iter"], read.get("sampler", {}).get("position"))


def choose_device(device: str | None) -> None:
    """Keeps mmengine to `device` (`cpu`, `cuda`, `cuda:1`, `mps`); None lets it choose.

    Raises:
        UserInputError: torch does not see such a device.
    """
    if device is None:
        return
    kind, _, index = device.partition(":")
    available = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not available.get(kind) or (index and (not index.isdigit() or kind != "cuda")):
        raise UserInputError(f"--device {device}: expected one of {', '.join(k for k, ok in available.items() if ok)}")
    if index:
        if int(index) >= torch.cuda.device_count():
            raise UserInputError(
                f"--device {device}: this machine has {torch.cuda.device_count()} CUDA devices, from 0"
            )
        torch.cuda.set_device(int(index))
    device_utils.DEVICE = kind


@contextmanager
def processes(launcher: str) -> Iterator[None]:
    """Joins the processes that torchrun started, NCCL on CUDA, Gloo on a CPU; all leave together at the end.

    A process that simply ended would make the others abort. After an error nobody is waited for: torchrun ends them.
    """
    if launcher == "none" or is_distributed():
        yield
        return
    if "RANK" not in os.environ or "LOCAL_RANK" not in os.environ:
        raise UserInputError(
            "--launcher pytorch: expected to be started by torchrun, as in "
            "`torchrun --nproc-per-node 2 tools/train.py CONFIG --launcher pytorch`"
        )
    on_cuda = device_utils.DEVICE == "cuda"
    if on_cuda:
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    torch.distributed.init_process_group("nccl" if on_cuda else "gloo")
    yield
    torch.distributed.barrier()
    torch.distributed.destroy_process_group()


def prepare(
    config: Config,
    *,
    work_dir: str | Path,
    seed: int | None = None,
    amp: bool = False,
    launcher: str = "none",
    training: bool = True,
) -> Config:
    """Completes a config in place: the engine's loop, sampler and hooks, seed, work directory, distribution.

    A module that the config's `custom_imports` names may offer `complete_config(config)`, which is called first.
    """
    imports = (config.get("custom_imports") or {}).get("imports") or ()
    for name in [imports] if isinstance(imports, str) else imports:
        getattr(sys.modules.get(name), "complete_config", lambda config: None)(config)
    config.work_dir, config.launcher = str(work_dir), launcher
    apply_seed(config, seed)
    _add_hooks(config)
    _local_visualizer(config)
    for key in ("train_dataloader", "val_dataloader", "test_dataloader"):
        if config.get(key):
            config[key].setdefault("worker_init_fn", ConfigDict(type="init_worker"))
    if training:
        _check_save_best(config)
        _resumable(config)
        if amp:
            _use_amp(config)
    else:  # a runner without a training loop is what makes `load_checkpoint` strict
        config.train_dataloader = config.train_cfg = config.optim_wrapper = config.param_scheduler = None
        config.val_dataloader = config.val_cfg = config.val_evaluator = None
    if launcher != "none":
        _distribute(config)
    return config


def _check_save_best(config: Config) -> None:
    """Refuses a `save_best` that the validation will not give, as far as its metrics say what they give (`figures`)."""
    wanted = ((config.get("default_hooks") or {}).get("checkpoint") or {}).get("save_best") or ()
    given: Any = config.get("val_evaluator") or ()
    evaluators = [given] if isinstance(given, Mapping) else list(given)
    found = [one for part in evaluators for one in resolve(part.get("type"), scope_of(config))]
    figures = [getattr(one, "figures", None) for one in found]
    if not figures or None in figures or any(part.get("prefix") for part in evaluators):
        return
    names = [name for metric in figures for name in metric or ()]
    for name in [wanted] if isinstance(wanted, str) else wanted:
        if name != "auto" and not any(fnmatch.fnmatchcase(name, pattern) for pattern in names):
            raise UserInputError(
                f"config key default_hooks.checkpoint.save_best={name!r}: validation gives {', '.join(names)}; "
                f"take one of these.{did_you_mean(name, names)}"
            )


def apply_seed(config: Config, seed: int | None) -> None:
    """One seed for weights, sampler and augmentation: `seed`, else the config's `randomness.seed`, else 0."""
    if seed is not None and seed < 0:
        raise UserInputError(f"--seed {seed}: expected a whole number from 0")
    randomness = config.setdefault("randomness", ConfigDict())
    randomness.seed = seed if seed is not None else randomness.get("seed") or 0
    loader = config.get("train_dataloader") or {}
    if isinstance(loader.get("sampler"), dict):
        loader["sampler"].pop("seed", None)  # the runner hands its own on
    dataset = loader.get("dataset")
    if isinstance(dataset, dict):
        accepted = [signature_keys(target) or () for target in resolve(dataset.get("type"), scope_of(config))]
        if any("seed" in keys for keys in accepted):
            dataset["seed"] = randomness.seed


def _resumable(config: Config) -> None:
    for key in ("train_dataloader", "train_cfg", "optim_wrapper"):
        if not config.get(key):
            raise UserInputError(f"config: has no {key!r}, which training needs: add it")
    loop = config.train_cfg
    if loop.get("type") == "EpochBasedTrainLoop" or loop.pop("by_epoch", False) or "max_epochs" in loop:
        raise UserInputError(
            "config key train_cfg: counts epochs, expected dict(type='ResumableTrainLoop', max_iters=...)"
        )
    loop["type"] = REPLACED.get(loop.get("type", "IterBasedTrainLoop"), loop.get("type"))
    sampler = config.train_dataloader.setdefault("sampler", ConfigDict(type="ResumableSampler", shuffle=True))
    sampler["type"] = REPLACED.get(sampler["type"], sampler["type"])
    schedule = config.get("param_scheduler")
    if isinstance(schedule, list):  # a shortened training never reaches its later parts, which mmengine would refuse
        config.param_scheduler = [part for part in schedule if part.get("begin", 0) < loop.max_iters] or None


def _add_hooks(config: Config) -> None:
    hooks = config.setdefault("default_hooks", ConfigDict())
    saving = hooks.setdefault("checkpoint", ConfigDict(type="PlainCheckpointHook", interval=1000))
    saving["type"] = REPLACED.get(saving["type"], saving["type"])
    saving.pop("by_epoch", None)
    logger = hooks.setdefault("logger", ConfigDict(type="LoggerHook", interval=50))
    logger.setdefault("log_metric_by_epoch", False)
    config.setdefault("log_processor", ConfigDict()).setdefault("by_epoch", False)
    custom = list(config.get("custom_hooks") or [])
    present = {hook.get("type") for hook in [*custom, *hooks.values()] if isinstance(hook, dict)}
    config.custom_hooks = [*custom, *(ConfigDict(type=name) for name in ALWAYS_ON if name not in present)]


def _local_visualizer(config: Config) -> None:
    """TensorBoard where it is installed; files in any case."""
    shown = config.get("visualizer")
    if not shown:
        shown = config.visualizer = ConfigDict(
            type="Visualizer",
            vis_backends=[ConfigDict(type="LocalVisBackend"), ConfigDict(type="TensorboardVisBackend")],
        )
    if importlib.util.find_spec("tensorboard") is None and shown.get("vis_backends"):
        shown.vis_backends = [b for b in shown.vis_backends if b["type"] != "TensorboardVisBackend"]


def _use_amp(config: Config) -> None:
    """bfloat16 where the processor or GPU computes in it, else float16 with loss scaling (older GPUs)."""
    wrapper = config.optim_wrapper
    if native_bfloat16(device_utils.DEVICE):
        wrapper["type"] = "AutocastOptimWrapper"
    elif device_utils.DEVICE == "cuda":
        wrapper["type"] = "AmpOptimWrapper"
        wrapper.setdefault("loss_scale", "dynamic")
    else:
        raise UserInputError(
            f"--amp: this {device_utils.DEVICE} device does not compute in bfloat16, which would be slower than "
            "float32: leave it out"
        )


def _distribute(config: Config) -> None:
    """Lets DistributedDataParallel run on CPUs, and keeps gathered results out of the current folder."""
    if device_utils.DEVICE == "cpu" and not config.get("model_wrapper_cfg"):
        config.model_wrapper_cfg = ConfigDict(
            type="MMDistributedDataParallel",
            device_ids=None,
            broadcast_buffers=False,
            find_unused_parameters=config.get("find_unused_parameters", False),
        )
    if device_utils.DEVICE == "cpu":
        config.pop("sync_bn", None)  # torch synchronises batch normalisation on GPUs only
    for key in ("val_evaluator", "test_evaluator"):
        metrics = config.get(key) or []
        for metric in metrics if isinstance(metrics, (list, tuple)) else [metrics]:
            accepted = [signature_keys(target) for target in resolve(metric.get("type"), scope_of(config))]
            if metric.get("collect_device", "cpu") == "cpu" and any(k is None or "collect_dir" in k for k in accepted):
                metric.setdefault("collect_dir", os.path.join(config.work_dir, f".{key}"))


def build_runner(config: Config) -> TransferRunner:
    """Builds the runner; the model with it, data sets and optimiser when it trains or tests.

    A model that has `check_config(config)` may refuse what the rest of the config says, before any data are read.
    """
    logging.raiseExceptions = False  # a full disk is reported once, by the command
    # mmengine shares logs and message hubs between runners of one name, and names them by the second.
    stem = Path(config.filename).stem if config.filename else "run"
    config.setdefault("experiment_name", f"{stem}_{next(_runs)}")
    runner = TransferRunner.from_cfg(config)
    if check := getattr(bare(runner.model), "check_config", None):
        check(config.to_dict())
    return runner

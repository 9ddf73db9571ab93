"""What `tools/test.py` does: evaluates one checkpoint and says on what."""

from __future__ import annotations

import hashlib
import os
import platform
from pathlib import Path
from typing import Any

import mmengine
import numpy
import torch
from mmengine.config import Config, ConfigDict
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper

from backbones.errors import UserInputError
from backbones.schema import write_json
from transfer.deploy import deploy as deployed_copy
from transfer.engine.allocator import keep_freed_memory
from transfer.engine.backbone import without_initial_weights
from transfer.engine.checkpoint import backbone_meta, plain
from transfer.engine.compat import load_foreign_checkpoint
from transfer.engine.console import repeat_command, say
from transfer.engine.progress import metric_line, numbers
from transfer.engine.runner_setup import build_runner, prepare, processes
from transfer.engine.workdir import WorkDir, cleared, no_empty_folders


def evaluate(
    config: Config,
    checkpoint: str | Path,
    *,
    work_dir: str | Path,
    launcher: str = "none",
    out: str | Path | None = None,
    tta: bool = False,
    deploy: bool = False,
) -> dict[str, Any]:
    """Tests a checkpoint and returns the record of it, which also goes to `out` as JSON.

    Args:
        config: of the model and its test data.
        checkpoint: that the config's training wrote.
        work_dir: where the log goes.
        launcher: `"pytorch"` under torchrun.
        out: file name of the record.
        tta: average over the config's test-time augmentations.
        deploy: test the model's fused copy, see `transfer.deploy.deploy`.

    Returns:
        `metrics`, `intervals` (95 %, of the metrics that have one), `config`, `checkpoint`, `checkpoint_sha256`, `data`
        (the data set's metainfo), `init`, `backbone`, `scheme`, `seed`, `iter`, `tta`, `deployed`, `versions` and
        `command`.

    Raises:
        UserInputError: the checkpoint is missing, unreadable or of another model; `tta` where the config has none;
            `deploy` with a supernet.
    """
    for key in ("test_dataloader", "test_cfg", "test_evaluator"):
        if config.get(key) is None:
            raise UserInputError(f"config {config.filename}: has no {key!r}, which testing needs: add it")
    if out is not None:
        _check_writable(Path(out))
    keep_freed_memory()
    if tta:
        use_tta(config)
    meta = load_foreign_checkpoint(checkpoint).get("meta", {})
    prepare(config, work_dir=work_dir, seed=meta.get("seed"), launcher=launcher, training=False)
    config.load_from, config.resume = str(checkpoint), False
    folder = WorkDir(Path(work_dir), kept=lambda folder: ())
    with processes(launcher), no_empty_folders(folder.path), cleared(folder.path, _is_wrong_input), folder.explained():
        with without_initial_weights():
            runner = build_runner(config)
        backbone = backbone_meta(runner.model)  # which a deployed copy no longer says
        if deploy:
            runner.register_hook(DeployHook())
        metrics = runner.test()
        circumstances = {"tta": tta, "deployed": deploy}
        record = {
            "metrics": metrics,
            "intervals": _intervals(runner),
            **circumstances,
            **describe(runner, config, checkpoint, meta, backbone),
        }
        if out is not None and runner.rank == 0:
            write_json(out, record)
        say(metric_line(numbers(metrics)))
    return record


def _check_writable(out: Path) -> None:
    """Refuses a file that could not be written in the end, before anything is evaluated."""
    if out.is_dir():
        raise UserInputError(f"--out {out}: is a folder, expected a file name such as metrics.json")
    above = next(parent for parent in out.absolute().parents if parent.exists())
    if not above.is_dir() or not os.access(above, os.W_OK):
        raise UserInputError(
            f"--out {out}: cannot be written: {above} is no folder that you may write to; choose another"
        )


def _is_wrong_input(error: BaseException) -> bool:
    return isinstance(error, UserInputError)


def _intervals(runner: Any) -> dict[str, Any]:
    found = [getattr(metric, "intervals", {}) for metric in runner.test_evaluator.metrics]
    return {name: interval for intervals in found for name, interval in intervals.items()}


class DeployHook(Hook):
    """Puts the deployed copy in the model's place, when the weights are loaded and every other hook had its say."""

    priority = "LOWEST"

    def before_test_epoch(self, runner: Any) -> None:
        model = runner.model
        runner.model = deployed_copy(model.module if is_model_wrapper(model) else model)


def use_tta(config: Config) -> None:
    """Puts the config's `tta_model` around the model, its `tta_pipeline` before the test data (mmengine's names).

    Raises:
        UserInputError: the config lacks one of the two.
    """
    for key in ("tta_model", "tta_pipeline"):
        if not config.get(key):
            raise UserInputError(f"--tta: config {config.filename} has no {key!r}, which test-time augmentation needs")
    config.model = ConfigDict(**config.tta_model, module=config.model)
    config.test_dataloader.dataset.pipeline = config.tta_pipeline


def describe(
    runner: Any, config: Config, checkpoint: str | Path, meta: dict[str, Any], backbone: dict[str, Any]
) -> dict[str, Any]:
    """Everything that tells one result from another, beside the metrics.

    Args:
        runner: that tested.
        config: of the test.
        checkpoint: that was tested.
        meta: the checkpoint's.
        backbone: what `backbone_meta` says about the config's model.
    """
    dataset = runner.test_dataloader.dataset
    data = {"images": len(dataset), **plain(dict(getattr(dataset, "metainfo", {}) or {}), "metainfo")}
    model = {**backbone, **({"init": meta["init"]} if "init" in meta else {})}
    return {
        "config": str(config.filename),
        "checkpoint": str(checkpoint),
        "checkpoint_sha256": hashlib.sha256(Path(checkpoint).read_bytes()).hexdigest(),
        "data": data,
        "init": model.get("init"),
        "backbone": model.get("backbone"),
        "scheme": model.get("scheme"),
        "seed": meta.get("seed"),
        "iter": meta.get("iter"),
        "versions": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "mmengine": mmengine.__version__,
            "numpy": numpy.__version__,
        },
        "command": repeat_command(),
    }

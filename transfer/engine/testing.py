"""What `tools/test.py` does: evaluates one checkpoint and says on what."""

from __future__ import annotations

import hashlib
import json
import math
import platform
from pathlib import Path
from typing import Any

import mmengine
import numpy
import torch
from mmengine.config import Config, ConfigDict

from backbones.errors import UserInputError
from transfer.engine.allocator import keep_freed_memory
from transfer.engine.backbone import without_initial_weights
from transfer.engine.checkpoint import backbone_meta, plain, write_atomically
from transfer.engine.compat import load_foreign_checkpoint
from transfer.engine.progress import metric_line, numbers
from transfer.engine.runner_setup import build_runner, prepare, processes, repeat_command
from transfer.engine.training import explained, say


def evaluate(
    config: Config,
    checkpoint: str | Path,
    *,
    work_dir: str | Path,
    launcher: str = "none",
    out: str | Path | None = None,
    tta: bool = False,
) -> dict[str, Any]:
    """Tests a checkpoint and returns the record of it, which also goes to `out` as JSON.

    Returns:
        `metrics`, `config`, `checkpoint`, `checkpoint_sha256`, `data` (the data set's metainfo), `init`, `backbone`,
        `scheme`, `seed`, `iter`, `tta`, `versions`, `command`.

    Raises:
        UserInputError: the checkpoint is missing, unreadable or of another model; `tta` where the config has none.
    """
    for key in ("test_dataloader", "test_cfg", "test_evaluator"):
        if config.get(key) is None:
            raise UserInputError(f"config {config.filename}: has no {key!r}, which testing needs")
    if out is not None and Path(out).is_dir():
        raise UserInputError(f"--out {out}: is a folder, expected a file name such as metrics.json")
    keep_freed_memory()
    if tta:
        use_tta(config)
    meta = load_foreign_checkpoint(checkpoint).get("meta", {})
    prepare(config, work_dir=work_dir, seed=meta.get("seed"), launcher=launcher, training=False)
    config.load_from, config.resume = str(checkpoint), False
    with processes(launcher), explained(Path(work_dir)):
        with without_initial_weights():
            runner = build_runner(config)
        metrics = runner.test()
        record = {"metrics": metrics, "tta": tta, **describe(runner, config, checkpoint, meta)}
        if out is not None and runner.rank == 0:
            write_atomically(out, (json.dumps(as_json(record), indent=2) + "\n").encode())
        say(metric_line(numbers(metrics)))
    return record


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


def describe(runner: Any, config: Config, checkpoint: str | Path, meta: dict[str, Any]) -> dict[str, Any]:
    """Everything that tells one result from another, beside the metrics."""
    dataset = runner.test_dataloader.dataset
    data = {"images": len(dataset), **plain(dict(getattr(dataset, "metainfo", {}) or {}), "metainfo")}
    model = {**backbone_meta(runner.model), **({"init": meta["init"]} if "init" in meta else {})}
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


def as_json(value: Any) -> Any:
    """Tensors as lists, numbers that JSON lacks (NaN, infinity) as null."""
    if torch.is_tensor(value):
        return as_json(value.tolist())
    if hasattr(value, "tolist"):
        return as_json(value.tolist())
    if isinstance(value, dict):
        return {str(key): as_json(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [as_json(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value

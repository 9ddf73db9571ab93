"""Fine-tuning of the pruned networks, each from its warm start, all alike.

finetuned/<name>/    a training each
finetuned.json       their results, written anew after each
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mmengine.config import Config

from backbones.errors import UserInputError
from backbones.files import sha256_file
from backbones.schema import as_json, write, write_json
from transfer.engine.compat import load_foreign_checkpoint
from transfer.engine.console import say
from transfer.engine.evaluation import evaluate
from transfer.engine.progress import numbers, training_seconds
from transfer.engine.training import train
from transfer.pipeline.trained import checkpoint_of
from transfer.pipeline.width.artefacts import FINETUNED, Finetuned, Finetunes, Found, read_finetunes, read_widths
from transfer.pipeline.width.config import WidthSearchConfig
from transfer.pipeline.width.dense import WidthRun, backbone_of, dense_weights

_OPTIONS = {
    "config": "finetune.config",
    "options": "finetune.options",
    "seed": "finetune.seed",
    "distill": "finetune.distill",
    "amp": "--amp",
}
"""What says how networks are trained, by the key in `finetuned.json`."""


def finetune(run: WidthRun) -> int:
    """Trains the pruned networks as far as they are not trained yet; returns the exit status."""
    if run.config.finetune is None:
        return 0
    training = _training(run)
    before = read_finetunes(run.folder.path) if run.file(FINETUNED).is_file() else Finetunes(training=training)
    _check_alike(run, before, training)
    done = {row.name: row for row in before.rows if _whole(run, row)}
    found = read_widths(run.folder.path).rows
    for row in found:
        if row.name in done and done[row.name].widths == row.widths:
            continue
        write_json(run.file(FINETUNED), _results(training, found, done).values)  # what is resumed must be alike
        say(f"fine-tuning {row.name}")
        work_dir, seed = run.file("finetuned") / row.name, run.config.finetune.seed
        if status := train(finetuning_config(run, row), work_dir=work_dir, resume=True, seed=seed, amp=run.amp):
            return status
        done[row.name] = _tested(run, row, work_dir)
        write_json(run.file(FINETUNED), _results(training, found, done).values)
    return 0


def report_finetunes(run: WidthRun) -> None:
    """The accuracies of each network."""
    for row in read_finetunes(run.folder.path).rows if run.config.finetune is not None else ():
        say(f"{row.name}  fine-tuned: val top-1 {row.val['top1']:.2f}  test top-1 {row.test['top1']:.2f}")


def finetuning_config(run: WidthRun, row: Found) -> Config:
    """The config of one training: the searched backbone at its widths, from its warm start."""
    found = run.config.finetune_config()
    backbone = backbone_of(run.config.dense_config())
    start = {"widths": row.widths, "init": "full", "weights": str(run.file(row.checkpoint))}
    found.model.backbone = {**backbone, **start}
    if (distill := run.config.distill) is not None:
        teacher = {**backbone, "init": "full", "weights": str(dense_weights(run))}
        found.model.update({"type": "DistilledClassifier", "teacher": teacher, **write(distill)})
    return found


def check_finetuning(config: WidthSearchConfig) -> None:
    """Raises `UserInputError` where the fine-tuning cannot be one of the searched network."""
    if config.finetune is None:
        return
    here, there = config.finetune_config().model, config.dense_config().model
    if here.get("num_classes") != there.get("num_classes"):
        raise UserInputError(
            f"{config.path}: finetune.config has model.num_classes={here.get('num_classes')}, but dense.config "
            f"{there.get('num_classes')}; take configs of the same data"
        )
    if config.distill is not None and here.type != "Classifier":
        raise UserInputError(f"{config.path}: finetune.distill needs a Classifier, but its config has {here.type}")


def _tested(run: WidthRun, row: Found, work_dir: Path) -> Finetuned:
    """Evaluates a finished training on D_val and on the test images."""
    checkpoint = checkpoint_of(work_dir)
    meta = load_foreign_checkpoint(checkpoint)["meta"]
    figures = {}
    for split in ("val", "test"):
        testing = finetuning_config(run, row)
        for part in ("dataloader", "evaluator", "cfg") if split == "val" else ():
            testing[f"test_{part}"] = testing[f"val_{part}"]
        figures[split] = numbers(evaluate(testing, checkpoint, work_dir=work_dir / split)["metrics"])
    return Finetuned(
        name=row.name,
        widths=row.widths,
        seed=meta.get("seed"),
        max_iters=meta["iter"],
        val=figures["val"],
        test=figures["test"],
        checkpoint=str(checkpoint.relative_to(run.folder.path)),
        sha256=sha256_file(checkpoint),
        seconds=training_seconds(work_dir),
    )


def _results(training: dict[str, Any], found: tuple[Found, ...], done: dict[str, Finetuned]) -> Finetunes:
    return Finetunes(training=training, rows=tuple(done[row.name] for row in found if row.name in done))


def _training(run: WidthRun) -> dict[str, Any]:
    asked = run.config.finetune
    assert asked is not None
    return {**as_json(write(asked)), "amp": run.amp}


def _whole(run: WidthRun, row: Finetuned) -> bool:
    path = run.file(row.checkpoint)
    return path.is_file() and sha256_file(path) == row.sha256


def _check_alike(run: WidthRun, before: Finetunes, training: dict[str, Any]) -> None:
    for key, option in _OPTIONS.items():
        if before.training.get(key) != training[key]:
            raise UserInputError(
                f"{run.file(FINETUNED)}: {option} is {before.training.get(key)!r} there and {training[key]!r} now; go "
                "on as it was begun, or choose another --work-dir"
            )

"""What `tools/train.py` does: guards around one training run."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmengine.config import Config

from backbones.errors import UserInputError
from transfer.engine.allocator import keep_freed_memory
from transfer.engine.backbone import registered_backbones, without_initial_weights
from transfer.engine.checkpoint import checkpoints_of, newest_checkpoint
from transfer.engine.compat import load_foreign_checkpoint
from transfer.engine.console import duration, resume_command, say
from transfer.engine.loops import Stopped
from transfer.engine.resuming import check_changes, check_parts
from transfer.engine.runner_setup import build_runner, prepare, processes
from transfer.engine.workdir import WorkDir


def train(
    config: Config,
    *,
    work_dir: str | Path,
    resume: str | Path | bool = False,
    allow_changes: bool = False,
    seed: int | None = None,
    amp: bool = False,
    launcher: str = "none",
) -> int:
    """Trains, and returns the exit status: 0, or 128 + the signal's number after a checkpoint.

    Args:
        config: as `load_config` gives it.
        work_dir: where everything goes; one training at a time.
        resume: continue from this checkpoint; True: from the newest of the work directory, if there is one.
        allow_changes: resume with another optimiser, schedule, batch size or other data than before.
        seed: instead of the config's; a resumed training keeps its own.
        amp: mixed precision.
        launcher: `"pytorch"` under torchrun.

    Raises:
        UserInputError: wrong input; nothing is left behind.
        RunError: the run failed; the line says what is safe.
    """
    folder = Path(work_dir)
    keep_freed_memory()
    with processes(launcher):
        checkpoint = _checkpoint_to_resume(folder, resume)
        saved: dict[str, Any] = {}
        if checkpoint is not None:
            if resume is True:
                checkpoint, saved = newest_whole(folder)
            else:
                saved = load_foreign_checkpoint(checkpoint)
            check_parts(saved, checkpoint)
            seed = _seed_of(saved, checkpoint, seed)
        prepare(config, work_dir=folder, seed=seed, amp=amp, launcher=launcher)
        if checkpoint is not None:
            check_changes(config, saved, checkpoint, allowed=allow_changes)
        origin = saved.get("meta", {}).get("init")
        saved.clear()
        held = WorkDir(folder)
        with held.locked(), held.explained():
            return _run(config, folder, checkpoint, origin)


def _run(config: Config, folder: Path, checkpoint: Path | None, origin: str | None) -> int:
    config.resume = checkpoint is not None
    if checkpoint is not None:
        config.load_from = str(checkpoint)
        say(f"resuming from {checkpoint}")
        with without_initial_weights():
            runner = build_runner(config)
        # A resumed backbone still starts from where its first run did, whatever the config says today.
        for backbone in registered_backbones(runner.model) if origin else ():
            backbone.init = origin
    else:
        runner = build_runner(config)
    say(f"training for {config.train_cfg.max_iters} iterations, log and checkpoints in {folder}")
    started = time.monotonic()
    try:
        runner.train()
    except Stopped as stopped:
        runner.call_hook("after_run")
        say(f"{stopped}; checkpoint {stopped.checkpoint}; continue with: {resume_command()}", sys.stderr)
        return 128 + stopped.signum
    best = runner.message_hub.get_info("best_ckpt")
    kept = f"; best {runner.message_hub.get_info('best_score'):.4g}: {best}" if best else ""
    say(f"done in {duration(time.monotonic() - started)}: {newest_checkpoint(folder)}{kept}")
    return 0


def _checkpoint_to_resume(folder: Path, resume: str | Path | bool) -> Path | None:
    newest = newest_checkpoint(folder)
    if resume is False:
        if newest is not None:
            raise UserInputError(
                f"{folder}: holds checkpoints already, up to {newest.name}: continue with --resume, or choose another "
                "--work-dir"
            )
        return None
    if resume is True:
        if newest is None:
            say(f"nothing to resume in {folder}: starting from the beginning")
        return newest
    if not Path(resume).is_file():
        raise UserInputError(f"--resume {resume}: no such checkpoint, expected an iter_<n>.pth")
    return Path(resume)


def newest_whole(folder: Path) -> tuple[Path, dict[str, Any]]:
    """The newest checkpoint of a work directory that can be read, and what it holds; says what it passes over.

    Raises:
        UserInputError: none can be read; the line is about the newest.
    """
    damaged: list[UserInputError] = []
    for path in checkpoints_of(folder):
        try:
            saved = load_foreign_checkpoint(path)
        except UserInputError as error:
            damaged.append(error)
            continue
        for reason in damaged:
            say(f"{reason}; passed over, going on from {path.name}", sys.stderr)
        return path, saved
    raise damaged[0]


def _seed_of(saved: Mapping[str, Any], checkpoint: Path, asked: int | None) -> int | None:
    seed = saved["meta"].get("seed")
    if asked is not None and seed is not None and seed != asked:
        raise UserInputError(
            f"--seed {asked}: {checkpoint} was trained with seed {seed}, with which alone it can be resumed"
        )
    return asked if seed is None else int(seed)

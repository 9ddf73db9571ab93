"""What `tools/train.py` does: guards around one training run."""

from __future__ import annotations

import errno
import re
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.dist import is_main_process

from backbones.errors import RunError, UserInputError
from transfer.engine.allocator import keep_freed_memory
from transfer.engine.backbone import registered_backbones, without_initial_weights
from transfer.engine.checkpoint import newest_checkpoint
from transfer.engine.compat import load_foreign_checkpoint
from transfer.engine.loops import Stopped
from transfer.engine.progress import duration
from transfer.engine.runner_setup import build_runner, prepare, processes, repeat_command


def train(
    config: Config,
    *,
    work_dir: str | Path,
    resume: str | Path | bool = False,
    seed: int | None = None,
    amp: bool = False,
    launcher: str = "none",
) -> int:
    """Trains, and returns the exit status: 0, or 128 + the signal's number after a checkpoint.

    Args:
        config: as `load_config` gives it.
        work_dir: where everything goes; one training at a time.
        resume: continue from this checkpoint; True: from the newest of the work directory, if there is one.
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
        if checkpoint is not None:
            seed = _seed_of(checkpoint, seed)
        prepare(config, work_dir=folder, seed=seed, amp=amp, launcher=launcher)
        with locked(folder), nothing_left_behind(folder), explained(folder):
            return _run(config, folder, checkpoint)


def _run(config: Config, folder: Path, checkpoint: Path | None) -> int:
    config.resume = checkpoint is not None
    if checkpoint is not None:
        config.load_from = str(checkpoint)
        say(f"resuming from {checkpoint}")
        with without_initial_weights():
            runner = build_runner(config)
        _keep_origin(runner, checkpoint)
    else:
        runner = build_runner(config)
    say(f"training for {config.train_cfg.max_iters} iterations, log and checkpoints in {folder}")
    started = time.monotonic()
    try:
        runner.train()
    except Stopped as stopped:
        runner.call_hook("after_run")
        say(f"{stopped}; checkpoint {stopped.checkpoint}; continue with: {_resume_command()}", sys.stderr)
        return 128 + stopped.signum
    best = runner.message_hub.get_info("best_ckpt")
    kept = f"; best {runner.message_hub.get_info('best_score'):.4g}: {best}" if best else ""
    say(f"done in {duration(time.monotonic() - started)}: {newest_checkpoint(folder)}{kept}")
    return 0


def say(line: str, stream: Any = None) -> None:
    """Prints a line, in the first process only."""
    if is_main_process():
        print(line, file=stream or sys.stdout, flush=True)


def _resume_command() -> str:
    return repeat_command(() if "--resume" in sys.argv else ("--resume",))


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


def _seed_of(checkpoint: Path, asked: int | None) -> int | None:
    seed = load_foreign_checkpoint(checkpoint).get("meta", {}).get("seed")
    if asked is not None and seed is not None and seed != asked:
        raise UserInputError(
            f"--seed {asked}: {checkpoint} was trained with seed {seed}, with which alone it can be resumed"
        )
    return asked if seed is None else int(seed)


def _keep_origin(runner: Any, checkpoint: Path) -> None:
    """A resumed backbone still starts from where its first run did, whatever the config says today."""
    origin = load_foreign_checkpoint(checkpoint).get("meta", {}).get("init")
    for backbone in registered_backbones(runner.model) if origin else ():
        backbone.init = origin


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Holds the work directory for this process; creates it and, left empty, removes it again.

    Raises:
        RunError: another process holds it.
    """
    if not is_main_process():
        yield
        return
    new = [parent for parent in (folder, *folder.parents) if not parent.exists()]
    _make(folder)
    lock = folder / ".lock"
    with open(lock, "w") as file:
        try:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except ImportError:
            pass  # Windows: no lock
        except OSError as error:
            raise RunError(
                f"{folder}: another training is using this work directory; wait for it, or choose another --work-dir"
            ) from error
        try:
            yield
        finally:
            # Kept where there is anything else: whoever waits for it must find this very file.
            if list(folder.iterdir()) == [lock]:
                lock.unlink()
            for parent in new:
                if parent.is_dir() and not any(parent.iterdir()):
                    parent.rmdir()


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserInputError(f"--work-dir {folder}: cannot be created: {error.strerror}") from error


@contextmanager
def nothing_left_behind(folder: Path) -> Iterator[None]:
    """Removes what this run put into the work directory if it ends with `UserInputError`."""
    before = set(folder.iterdir()) if folder.is_dir() else set()
    try:
        yield
    except UserInputError:
        if is_main_process() and folder.is_dir() and newest_checkpoint(folder) is None:
            for entry in set(folder.iterdir()) - before:
                shutil.rmtree(entry, ignore_errors=True) if entry.is_dir() else entry.unlink(missing_ok=True)
        raise


@contextmanager
def explained(folder: Path) -> Iterator[None]:
    """Turns failures of the surroundings into one line: what happened, what is safe, how to go on."""
    try:
        yield
    except Exception as error:
        if message := _from_worker(error):
            raise UserInputError(message) from error
        last = newest_checkpoint(folder)
        safe = f"{last} is whole, continue with: {_resume_command()}" if last else "no checkpoint was written yet"
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise RunError(f"{folder}: the disk is full; {safe} once there is room") from error
        if isinstance(error, RuntimeError) and "DataLoader worker" in str(error):
            raise RunError(
                f"a data worker was lost ({str(error).splitlines()[0]}), often for want of memory: lower "
                f"train_dataloader.num_workers; {safe}"
            ) from error
        if "out of memory" in str(error).lower() and isinstance(error, RuntimeError):
            raise RunError(f"out of memory: lower train_dataloader.batch_size or the crop; {safe}") from error
        raise


def _from_worker(error: Exception) -> str | None:
    """The line of a `UserInputError` that a data worker raised, out of the traceback that torch wraps it in."""
    if not isinstance(error, UserInputError) or not str(error).startswith("Caught "):
        return None
    found = re.findall(r"^\S*UserInputError: (.*)$", str(error), re.MULTILINE)
    return found[-1] if found else None

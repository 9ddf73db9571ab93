"""What searches of every kind ask of the trainings before them, and of the folder that they begin in."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from backbones.errors import UserInputError
from transfer.engine.checkpoint import newest_checkpoint
from transfer.engine.training import newest_whole


def refuse_begun(folder: Path, found: Sequence[str], *, resume: bool) -> None:
    """Raises `UserInputError` where a folder holds a search, `found` of it, that nobody asked to go on with."""
    if found and not resume:
        raise UserInputError(
            f"{folder}: holds a search already ({', '.join(found)}): continue with --resume, or choose another "
            "--work-dir"
        )


def given_file(config: Path, key: str, path: Path) -> Path:
    """The file that `key` of a config names; raises `UserInputError` where it is gone."""
    if not path.is_file():
        raise UserInputError(f"{config}: {key}={path}, no such file")
    return path


def is_trained(folder: Path, iterations: int) -> bool:
    """Whether the newest whole checkpoint of a training has all its iterations."""
    return newest_checkpoint(folder) is not None and newest_whole(folder)[1]["meta"]["iter"] >= iterations


def checkpoint_of(folder: Path) -> Path:
    """The newest checkpoint of a finished training; raises `UserInputError` where it wrote none."""
    found = newest_checkpoint(folder)
    if found is None:
        raise UserInputError(f"{folder}: the training wrote no checkpoint; does its config have a checkpoint hook?")
    return found

"""Which models a tab offers, and those that are loaded: few, and one of them at work at a time."""

from __future__ import annotations

import threading
from collections import OrderedDict
from pathlib import Path
from typing import Any

from backbones.errors import UserInputError
from transfer.models import CHECKPOINTS, STORE, TaskModel, get_model_card, load_model

KEPT = 2
"""Models in memory."""


class Models:
    """Trained models by what the page calls them, which is what `transfer.load_model` takes.

    Args:
        work_dirs: folder of trainings, whose best and last checkpoints are offered.
        first: name of a registered model, or path of a checkpoint, to offer in front of the others.

    Raises:
        UserInputError: `first` is no model.
    """

    def __init__(self, work_dirs: str | Path = "work_dirs", first: str | None = None) -> None:
        self.work_dirs, self.first = Path(work_dirs), first
        self._tasks: dict[tuple[str, int], str | None] = {}
        self._loaded: OrderedDict[tuple[str, int], TaskModel] = OrderedDict()
        self._busy = threading.Lock()
        self.first_task = None if first is None else _task_of(first)

    def choices(self, task: str) -> list[str]:
        """Models of a task: the first, the default, the other registered ones, then checkpoints, the newest first."""
        first = [self.first] if self.first is not None and self.first_task == task else []
        cards = [card for card in STORE.readable()[0] if card.task == task]
        names = [card.name for card in sorted(cards, key=lambda card: not card.default)]
        return list(dict.fromkeys([*first, *names, *self._checkpoints(task)]))

    def predict(self, task: str, name: str | None, image: Any) -> Any:
        """What `TaskModel.predict` returns of one image, by the first choice where no name is given.

        Waits until no other prediction is at work.

        Raises:
            UserInputError: no such model is offered, or it cannot be loaded.
        """
        choices = self.choices(task)
        name = name or next(iter(choices), None)
        if name not in choices:
            raise UserInputError(
                f"Model {name!r} is not offered (any more): choose another one, or load the page anew."
            )
        with self._busy:
            return self._load(str(name)).predict(image)

    def _load(self, name: str) -> TaskModel:
        key = _version(name)
        if key not in self._loaded:
            while len(self._loaded) >= KEPT:
                self._loaded.popitem(last=False)
            self._loaded[key] = load_model(name)
        self._loaded.move_to_end(key)
        return self._loaded[key]

    def _checkpoints(self, task: str) -> list[str]:
        found = sorted(_best_and_last(self.work_dirs), key=lambda path: -path.stat().st_mtime_ns)
        return [str(path) for path in found if self._task(str(path)) == task]

    def _task(self, path: str) -> str | None:
        """The task of a checkpoint, read once; None of one that cannot be loaded by itself."""
        key = _version(path)
        if key not in self._tasks:
            try:
                self._tasks[key] = _task_of(path)
            except (UserInputError, OSError):
                self._tasks[key] = None
        return self._tasks[key]


def _best_and_last(work_dirs: Path) -> set[Path]:
    found = {path for path in work_dirs.rglob("best_*.pth") if path.is_file()}
    for note in work_dirs.rglob("last_checkpoint"):
        # The folder may have been moved since the path was written.
        last = note.parent / Path(note.read_text(encoding="utf-8", errors="replace").strip()).name
        if last.suffix in CHECKPOINTS and last.is_file():
            found.add(last)
    return found


def _version(name: str) -> tuple[str, int]:
    """Tells a checkpoint from one that is written over it later."""
    path = Path(name)
    return name, path.stat().st_mtime_ns if name.endswith(CHECKPOINTS) and path.is_file() else 0


def _task_of(name: str) -> str:
    """Of a registered model or a checkpoint, without loading its weights."""
    if not name.endswith(CHECKPOINTS):
        return get_model_card(name).task
    import transfer.engine  # noqa: F401  (guards and registries)
    from transfer.engine.compat import load_foreign_checkpoint
    from transfer.engine.saved_config import config_of_checkpoint
    from transfer.task import get_task

    config = config_of_checkpoint(load_foreign_checkpoint(name, mmap=True).get("meta") or {}, name)
    return get_task(config, where=name).name

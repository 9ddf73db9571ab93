"""What a task offers: the contract between `tasks/<name>/` and the commands, which know tasks by this file alone.

A task is a folder of `tasks`. Importing it registers its data sets, models and metrics; what else it offers is a
module of it each, and every one is optional:

    check.py      `check(config) -> DataReport` (`transfer.engine.data_report`) on the data that a config uses
    predict.py    `predict(config, checkpoint, inputs, *, out, ...) -> record`, and `summary(record) -> lines`; of the
                  command's options it takes those that it has an argument for; the record lists inputs that `failed`
    predictor.py  `load(config, checkpoint, *, deploy) -> predictor`, which has the model as `network`, and
                  `predict_image(predictor, image_HW3) -> result`, of one uint8 RGB image: what `transfer.load_model`
                  and the cards of trained models take
    export.py     `graph(predictor) -> transfer.export.Graph`, the model from uint8 images to its outputs, and
                  `network(OnnxModel) -> network`, an exported one in the place of `load_model`'s: it has `test_step`
    app.py        what its tab of `ean app` shows: `TITLE`; `LARGEST`, pixels beyond which images are made smaller
                  first, or None; `CONTROLS` (`transfer.app.controls`), whose values are `options`; of a `result`
                  `headline(result)`, `remarks(result, options) -> lines`, `table(result, options) -> rows`,
                  `row(result, options)` of a CSV and `draw(photo, result, options) -> image`
    scenes.py     `write_scenes(out, images, seed, test_share, *, progress) -> (train, test)`: generated sample data
    explain.py    `load(config, checkpoint) -> explainer`, which has the model as `network`, and
                  `view(explainer, image_HW3, *, target, region) -> View` (`transfer.explain.view`): a class, a count
    import_points.py  `import_points(source, out, ...) -> report`, and `summary(report) -> lines`: data of one's own

Tasks stand above the library, so they are found by name, here and nowhere else.
"""

from __future__ import annotations

import importlib
import importlib.util
import pkgutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from backbones.errors import UserInputError, did_you_mean


@dataclass(frozen=True)
class Task:
    """A task by its name, which is its folder's.

    Attributes:
        name: such as `"counting"`.
    """

    name: str

    def offers(self, part: str) -> bool:
        """Whether the task has the module `part`."""
        return any((place / self.name / f"{part}.py").is_file() for place in _places())

    def load(self) -> ModuleType:
        """The task's package; importing it registers its data sets, models and metrics."""
        return importlib.import_module(f"tasks.{self.name}")

    def part(self, part: str) -> ModuleType:
        """The task's module `part`, such as `"check"`; raises `UserInputError` where it has none."""
        if not self.offers(part):
            others = [name for name in list_tasks(part) if name != self.name]
            raise UserInputError(
                f"task {self.name!r} offers no {part!r}, which {' and '.join(others) or 'no task'} does"
            )
        return importlib.import_module(f"tasks.{self.name}.{part}")


def list_tasks(part: str | None = None) -> list[str]:
    """Names of the tasks, sorted; with `part`, of those that offer it."""
    names = sorted(module.name for module in pkgutil.iter_modules(map(str, _places())) if module.ispkg)
    return [name for name in names if part is None or Task(name).offers(part)]


def _places() -> list[Path]:
    """Folders of the package `tasks`; looked at as files, because importing a task takes seconds."""
    package = importlib.util.find_spec("tasks")
    return [Path(place) for place in (package and package.submodule_search_locations) or ()]


def get_task(of: str | Mapping[str, Any], *, where: str = "config") -> Task:
    """The task of a config, or the one of a name.

    Args:
        of: a config, whose key `task` says it, or a name.
        where: what to call the config in messages.

    Raises:
        UserInputError: the config says none, or there is none of that name (with close matches).
    """
    name, known = (of if isinstance(of, str) else of.get("task")), list_tasks()
    if name is None:
        raise UserInputError(f"{where}: has no 'task', expected one of {', '.join(known)}, as in task = {known[0]!r}")
    if name not in known:
        raise UserInputError(
            f"{where}: task={name!r}, expected one of {', '.join(known)}.{did_you_mean(str(name), known)}"
        )
    return Task(name)

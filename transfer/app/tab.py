"""One task's tab: drop images, choose a model, look at what was found, download it."""

from __future__ import annotations

import csv
import html
import io
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from backbones.errors import RunError, UserInputError
from transfer.app.models import Models
from transfer.app.uploads import SHOWN, Photo, check_number, read_upload, shrunk
from transfer.engine.images import write_image
from transfer.engine.outputs import shown_path

NO_MODEL = (
    "There is no model of this task yet. Train one (its checkpoints under the work directories are offered), or "
    "register one with ean models register; then load the page anew."
)
NO_MEMORY = "No memory left: take a smaller image."


@dataclass(frozen=True, eq=False)
class Result:
    """One image that was sent: what was found in it, or why nothing was.

    Attributes:
        name: of the file.
        photo: None where it could not be read.
        found: what the task's predictor returned.
        note: what went wrong, or what was changed before the prediction; often nothing.
    """

    name: str
    photo: Photo | None = None
    found: Any = None
    note: str = ""


class Tab:
    """What a tab does, apart from how it looks.

    Args:
        task: whose tab it is.
        part: the task's `app` module, see `transfer.task`.
        models: shared with the other tabs.
        folder: for files to download.
    """

    def __init__(self, task: str, part: ModuleType, models: Models, folder: Path) -> None:
        self.task, self.part, self.models, self.folder = task, part, models, folder

    def choices(self) -> list[str]:
        """Models of the task, the first of which is taken where nobody chooses."""
        return self.models.choices(self.task)

    def predict(
        self, model: str | None, paths: Sequence[str] | None, show: Callable[[int, int], None] = lambda done, of: None
    ) -> list[Result]:
        """Predicts uploaded files, each for itself: one that cannot be read does not stop the others.

        Raises:
            UserInputError: no file, too many, or a model that is not there.
        """
        check_number(paths or ())
        if not self.choices():
            raise UserInputError(NO_MODEL)
        results = []
        for done, path in enumerate(paths or ()):
            show(done, len(paths or ()))
            results.append(self._result(model, Path(path)))
        return results

    def _result(self, model: str | None, path: Path) -> Result:
        try:
            whole = read_upload(path)
        except UserInputError as error:
            return Result(path.name, note=str(error))
        image, note = shrunk(whole, pixels=self.part.LARGEST), ""
        if image.shape != whole.shape:
            note = f"{path.name}: was made smaller for the prediction, {image.shape[1]:,} x {image.shape[0]:,} pixels."
        try:
            found = self.models.predict(self.task, model, image)
        except RunError as error:
            return Result(path.name, note=f"{path.name}: {error}")
        except (MemoryError, RuntimeError) as error:
            if not isinstance(error, MemoryError) and type(error).__name__ != "OutOfMemoryError":
                raise
            return Result(path.name, note=f"{path.name}: {NO_MEMORY}")
        return Result(path.name, Photo(path.name, shrunk(image, side=SHOWN), image.shape[:2]), found, note)

    def options(self, values: Sequence[Any]) -> dict[str, Any]:
        """The controls' values by their names."""
        return {one.name: one.read(value) for one, value in zip(self.part.CONTROLS, values, strict=True)}

    def shown(self, result: Result, options: Mapping[str, Any]) -> tuple[str, Path, list[list[str]]]:
        """The box above the image, the image's file and the table beside it."""
        box = headline_box(self.part.headline(result.found), self.part.remarks(result.found, options))
        path = self._file(Path(result.name).stem, f"{self.task}.png")
        write_image(path, self.part.draw(result.photo, result.found, options))
        return box, path, self.part.table(result.found, options)

    def table(self, results: Sequence[Result], options: Mapping[str, Any]) -> Path | None:
        """A CSV of what was found in all images; None where that is nothing."""
        rows = [{"image": shown_path(Path(one.name)), **self.part.row(one.found, options)} for one in found_in(results)]
        if not rows:
            return None
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, rows[0])
        writer.writeheader()
        writer.writerows(rows)
        path = self._file("predictions", "csv")
        path.write_text(text.getvalue(), encoding="utf-8", newline="")
        return path

    def _file(self, stem: str, ending: str) -> Path:
        """A path in a folder of its own, so that a download has a name that says what it is."""
        separator = "." if ending == "csv" else "_"
        return Path(tempfile.mkdtemp(dir=self.folder)) / f"{stem}{separator}{ending}"


def found_in(results: Sequence[Result]) -> list[Result]:
    """Those that were predicted."""
    return [one for one in results if one.found is not None]


def headline_box(headline: str, remarks: Sequence[str]) -> str:
    """HTML of a headline with remarks below it."""
    return f'<div class="headline">{html.escape(headline)}</div>' + notes_box(remarks)


def notes_box(notes: Sequence[str]) -> str:
    """HTML of lines to heed."""
    return "".join(f'<div class="note" role="alert">{html.escape(note)}</div>' for note in notes)

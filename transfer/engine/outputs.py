"""Folders that a command fills with what it predicts: results are written as they come, and are whole at any time."""

from __future__ import annotations

import csv
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from backbones.errors import UserInputError
from backbones.escaping import csv_cell, printable
from backbones.files import remove_temporary
from backbones.schema import write_json

JSON, CSV = "predictions.json", "predictions.csv"
SECONDS_BETWEEN_SAVES = 5.0


def checked_folder(out: str | Path, *, overwrite: bool = False) -> Path:
    """`--out` as a path.

    Raises:
        UserInputError: no name, a file has that name, or the folder holds results and `overwrite` is not asked for.
    """
    if not str(out).strip():
        raise UserInputError("--out: is empty, expected the name of a folder for the results, such as predictions")
    out = Path(out)
    if out.exists() and not out.is_dir():
        raise UserInputError(f"--out {out}: is a file, expected a folder")
    held = next((name for name in (JSON, CSV) if (out / name).exists()), None)
    if held and not overwrite:
        raise UserInputError(
            f"--out {out}: holds the {held} of an earlier run, expected a new folder: choose another one, or replace "
            "those results with --overwrite"
        )
    return out


def unique_stems(images: Sequence[Path]) -> Iterator[str]:
    """A name for each image's results, no two the same."""
    used: set[str] = set()
    for image in images:
        stem, number = image.stem, 2
        while stem in used:
            stem, number = f"{image.stem}_{number}", number + 1
        used.add(stem)
        yield stem


def shown_path(path: Path) -> str:
    """A path as results name it: valid UTF-8, and no formula where a spreadsheet reads it."""
    text = printable(os.fsencode(path).decode("utf-8", "backslashreplace"))
    return f"./{text}" if text[:1] in ("=", "+", "-", "@") else text


class Results:
    """The rows of `predictions.json` and `predictions.csv` in a folder that the first of them makes.

    A row is in the CSV at once, in the JSON a few seconds later at most; both are valid at any time, and the JSON says
    by `complete` whether the run got to its end. An input that cannot be predicted costs itself alone, see `attempt`.

    Args:
        out: the folder, see `checked_folder`; results of an earlier run are replaced, other files stay.
        header: what the JSON says before the rows.
        columns: of the CSV, which has the rows of `"predictions"`; without them there is none.

    Attributes:
        record: what the JSON holds: the header, `predictions` and other lists of rows, `failed`, a list of `image` and
            `reason`, and `complete`.
    """

    def __init__(self, out: Path, header: Mapping[str, Any], columns: Sequence[str] = ()) -> None:
        self.out, self.columns = out, columns
        self.record: dict[str, Any] = {**header, "predictions": [], "failed": [], "complete": False}
        self._rows, self._saved = 0, float("-inf")

    def __enter__(self) -> Results:
        return self

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        failed = self.record["failed"]
        if kind is None and not self._rows and failed:
            more = f" (and {len(failed) - 1} more of {len(failed)} inputs)" if len(failed) > 1 else ""
            raise UserInputError(failed[0]["reason"] + more)
        if self._rows:
            self.record["complete"] = kind is None
            self._save()

    def add(
        self, row: Mapping[str, Any], kind: str = "predictions", *, columns: Mapping[str, Any] | None = None
    ) -> None:
        """Writes a row of the list `kind`; `columns` are what the CSV takes, if not the row itself."""
        if not self._rows:
            self._begin()
        self._rows += 1
        self.record.setdefault(kind, []).append(row)
        if kind == "predictions" and self.columns:
            append_csv(self.out / CSV, [columns or row], self.columns)
        if time.monotonic() - self._saved > SECONDS_BETWEEN_SAVES:
            self._save()

    @contextmanager
    def attempt(self, path: Path) -> Iterator[None]:
        """Notes a `UserInputError` of one input, so that the others are predicted all the same."""
        try:
            yield
        except UserInputError as error:
            self.record["failed"].append({"image": shown_path(path), "reason": str(error)})

    def _begin(self) -> None:
        self.out.mkdir(parents=True, exist_ok=True)
        remove_temporary(self.out)
        for name in (JSON, CSV):
            (self.out / name).unlink(missing_ok=True)
        if self.columns:
            append_csv(self.out / CSV, [], self.columns)

    def _save(self) -> None:
        write_json(self.out / JSON, self.record)
        self._saved = time.monotonic()


def append_csv(path: Path, rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> None:
    """Appends rows, in one write each, to a CSV, which begins with the columns' names; other keys are left out."""
    new = not path.exists()
    with open(path, "a", newline="", encoding="utf-8", buffering=1) as file:
        writer = csv.DictWriter(file, columns, extrasaction="ignore")
        if new:
            writer.writeheader()
        writer.writerows({key: csv_cell(value) for key, value in row.items()} for row in rows)


def report_failures(record: Mapping[str, Any]) -> list[str]:
    """One line for each input that could not be predicted."""
    return [failure["reason"].replace("\n", " ") for failure in record["failed"]]

"""The log of evaluated schemes: a line of JSON each, written as it happens, and the memory of a search.

Resuming needs nothing else. A method is a function of its generator and of evaluations, so a search that was killed is
run again from its start: what the log holds is not evaluated again, and where it ends the search goes on as it would
have.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from backbones.errors import RunError, UserInputError
from backbones.files import locked_file, open_to_append
from backbones.integrity import checked_lines, log_line
from backbones.reading import reading
from backbones.schema import read, write
from backbones.scheme import ConnectionScheme
from transfer.search.problem import Evaluation, SearchProblem, WrappedProblem, settings_of

LOG_NAME = "evaluations.jsonl"
_MEND = "mend the line, or choose another folder"


@dataclass(frozen=True)
class LogLine:
    """An evaluated scheme as the log holds it, a JSON object a line.

    Attributes:
        scheme: that was evaluated.
        accuracy, loss, n: see `Evaluation`.
        supernet_sha256: of the supernet; None where there is none.
        settings: all else that the evaluation depended on.
    """

    scheme: ConnectionScheme
    accuracy: float
    loss: float
    n: int
    supernet_sha256: str | None
    settings: Mapping[str, Any]

    @property
    def evaluation(self) -> Evaluation:
        """What the scheme is worth."""
        return Evaluation(self.accuracy, self.loss, self.n)

    def difference(self, sha256: str | None, settings: Mapping[str, Any]) -> str:
        """The first thing in which it was evaluated otherwise than with these, in words; empty where nothing is."""
        there = {**self.settings, "supernet_sha256": self.supernet_sha256}
        here = {**settings, "supernet_sha256": sha256}
        other = [key for key in sorted({*there, *here}) if there.get(key) != here.get(key)]
        return f"{other[0]} is {there.get(other[0])!r} there and {here.get(other[0])!r} here" if other else ""


class LoggedProblem(WrappedProblem):
    """A problem that remembers: each scheme is evaluated once, and logged before anybody sees the result.

    Each line is a `LogLine` with its CRC. One that a kill left incomplete is dropped. One process has it at a time.

    >>> import tempfile, torch
    >>> from transfer.search import PlantedLandscape, get_method
    >>> with tempfile.TemporaryDirectory() as work_dir:
    ...     with LoggedProblem(PlantedLandscape(), work_dir) as logged:
    ...         result = get_method("random")().search(logged, 8, torch.Generator().manual_seed(0))
    ...         len(logged), logged.fresh
    (8, 8)

    Args:
        problem: what to evaluate with; its other attributes are this one's too.
        path: the log, or the folder that gets `evaluations.jsonl`.

    Attributes:
        fresh: number of schemes that this process evaluated.

    Raises:
        UserInputError: the log is of another supernet or other settings, or is no log.
        RunError: another process has the log; (later) it cannot be written, or an evaluation is not finite.
    """

    def __init__(self, problem: SearchProblem, path: str | Path) -> None:
        path = Path(path)
        self.path = path if path.suffix == ".jsonl" else path / LOG_NAME
        super().__init__(problem)
        self.fresh = 0
        self._settings: dict[str, Any] = json.loads(json.dumps(settings_of(problem)))
        self._sha256: str | None = self._settings.pop("supernet_sha256", None)
        with ExitStack() as stack:
            self._file = stack.enter_context(_opened(self.path))
            self._known = self._read()
            self._held = stack.pop_all()

    def __enter__(self) -> LoggedProblem:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def __len__(self) -> int:
        return len(self._known)

    def __iter__(self) -> Iterator[tuple[ConnectionScheme, Evaluation]]:
        """Everything logged, in order."""
        return iter(list(self._known.items()))

    def close(self) -> None:
        """Gives the log free for other processes."""
        self._held.close()

    def evaluate(self, schemes: Sequence[ConnectionScheme]) -> list[Evaluation]:
        """One evaluation a scheme, in the given order: from the log, or else evaluated now and logged."""
        new = [scheme for scheme in dict.fromkeys(schemes) if scheme not in self._known]
        if new:
            found = dict(zip(new, self.problem.evaluate(new), strict=True))
            self._append(found)
            self._known.update(found)
            self.fresh += len(found)
        return [self._known[scheme] for scheme in schemes]

    def _read(self) -> dict[ConnectionScheme, Evaluation]:
        """Reads the log; cuts off what follows the last complete line."""
        known: dict[ConnectionScheme, Evaluation] = {}
        data = self._file.read()
        for number, line in enumerate(parse_log(data, self.path, depths=self.depths, mend=_MEND), 1):
            if difference := line.difference(self._sha256, self._settings):
                raise UserInputError(
                    f"{self.path}, line {number}: the log belongs to another search problem, {difference}; "
                    "choose another folder, or the supernet and settings that it was begun with"
                )
            known[line.scheme] = line.evaluation
        end = data.rfind(b"\n") + 1
        if data[end:].lstrip(b"\0")[:1] not in (b"", b"{"):  # a kill leaves the beginning of a line, no other text
            raise UserInputError(f"{self.path}: ends in what is no logged evaluation; {_MEND}")
        self._file.truncate(end)
        self._file.seek(end)
        return known

    def _append(self, found: dict[ConnectionScheme, Evaluation]) -> None:
        lines = []
        for scheme, evaluation in found.items():
            if not math.isfinite(evaluation.accuracy) or not math.isfinite(evaluation.loss):
                raise RunError(
                    f"scheme {scheme}: accuracy {evaluation.accuracy}, loss {evaluation.loss}; the supernet diverged. "
                    f"What {self.path} holds is sound"
                )
            accuracy, loss, n = evaluation.accuracy, evaluation.loss, evaluation.n
            line = LogLine(scheme, accuracy, loss, n, self._sha256, self._settings)
            lines.append(log_line(write(line)))
        before = self._file.tell()
        left = memoryview("".join(lines).encode())
        try:
            while left:  # a disk that is nearly full takes a part, and only refuses the rest
                left = left[self._file.write(left) :]
            os.fsync(self._file.fileno())
        except OSError as error:
            self._file.truncate(before)
            self._file.seek(before)
            raise RunError(
                f"{self.path}: cannot be written: {error.strerror}. Its {len(self._known)} evaluations are safe; "
                "make room and resume"
            ) from error


def parse_log(
    data: bytes, path: str | Path, *, depths: Sequence[int] | None = None, mend: str = _MEND
) -> Iterator[LogLine]:
    """The complete lines of a log; raises `UserInputError` for one that was changed, or is no `LogLine`.

    Args:
        data: what the file holds.
        path: the file, for errors.
        depths: blocks of each stage, of every scheme.
        mend: what to do about such an error.
    """
    for number, line in enumerate(checked_lines(data, path), 1):
        where = f"{path}, line {number}"
        try:
            table = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise UserInputError(f"{where}: no logged evaluation, not valid JSON: {error}; {mend}") from None
        yield read(LogLine, table, f"{where}: no logged evaluation", mend=mend, depths=depths)


def read_log(path: str | Path) -> list[LogLine]:
    """The complete lines of a log, or of the `evaluations.jsonl` in a folder."""
    path = Path(path)
    path = path if path.suffix == ".jsonl" else path / LOG_NAME
    with reading(path, "the log of a search"):
        return list(parse_log(path.read_bytes(), path))


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    """The log, for this process alone."""
    busy = f"{path.parent}: another search is using this folder; wait for it, or choose another"
    _make_folder(path)
    with open_to_append(path) as file, locked_file(path.with_name(f".{path.name}.lock"), busy):
        file.seek(0)
        yield file


def _make_folder(path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserInputError(f"{path}: cannot be opened: {error.strerror}; choose another folder") from error

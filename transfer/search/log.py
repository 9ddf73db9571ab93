"""The log of evaluated schemes: a line of JSON each, written as it happens, and the memory of a search.

Resuming needs nothing else. A method is a function of its generator and of evaluations, so a search that was killed is
run again from its start: what the log holds is not evaluated again, and where it ends the search goes on as it would
have.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from backbones.errors import RunError, UserInputError
from backbones.files import locked_file
from backbones.scheme import ConnectionScheme
from transfer.search.problem import Evaluation, SearchProblem, settings_of

LOG_NAME = "evaluations.jsonl"


class LoggedProblem:
    """A problem that remembers: each scheme is evaluated once, and logged before anybody sees the result.

    Each line holds `scheme`, `accuracy`, `loss`, `n`, `supernet_sha256` (null where there is no supernet) and
    `settings`, all that the evaluation depends on. A line that a kill left incomplete is dropped. One process has the
    log at a time.

    >>> with LoggedProblem(problem, work_dir) as logged:  # doctest: +SKIP
    ...     result = get_method()().search(logged, budget=128, generator=torch.Generator().manual_seed(0))

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
        self.problem, self.depths, self.fresh = problem, tuple(problem.depths), 0
        settings = json.loads(json.dumps(settings_of(problem)))
        self._origin = {"supernet_sha256": settings.pop("supernet_sha256", None), "settings": settings}
        with ExitStack() as stack:
            self._file = stack.enter_context(_opened(self.path))
            self._known = self._read()
            self._held = stack.pop_all()

    def __getattr__(self, name: str) -> Any:
        if name in ("problem", "_known", "_file"):  # not set yet: nothing to ask
            raise AttributeError(name)
        return getattr(self.problem, name)

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
        complete = data[: data.rfind(b"\n") + 1]
        for number, line in enumerate(complete.splitlines(), 1):
            scheme, evaluation = self._parse(line, number)
            known[scheme] = evaluation
        self._file.truncate(len(complete))
        self._file.seek(len(complete))
        return known

    def _parse(self, line: bytes, number: int) -> tuple[ConnectionScheme, Evaluation]:
        where = f"{self.path}, line {number}"
        try:
            entry = json.loads(line)
            evaluation = Evaluation(float(entry["accuracy"]), float(entry["loss"]), int(entry["n"]))
            text, origin = entry["scheme"], {key: entry[key] for key in self._origin}
        except (ValueError, KeyError, TypeError) as error:
            raise UserInputError(
                f"{where}: no logged evaluation ({error}), expected a JSON object with scheme, accuracy, loss, n, "
                "supernet_sha256 and settings; mend the line, or choose another folder"
            ) from error
        if origin != self._origin:
            raise UserInputError(
                f"{where}: the log belongs to another search problem, {_difference(origin, self._origin)}; "
                "choose another folder, or the supernet and settings that it was begun with"
            )
        return ConnectionScheme.parse(text, self.depths), evaluation

    def _append(self, found: dict[ConnectionScheme, Evaluation]) -> None:
        lines = []
        for scheme, evaluation in found.items():
            if not math.isfinite(evaluation.accuracy) or not math.isfinite(evaluation.loss):
                raise RunError(
                    f"scheme {scheme}: accuracy {evaluation.accuracy}, loss {evaluation.loss}; the supernet diverged. "
                    f"What {self.path} holds is sound"
                )
            values = {"accuracy": evaluation.accuracy, "loss": evaluation.loss, "n": evaluation.n}
            lines.append(json.dumps({"scheme": str(scheme), **values, **self._origin}) + "\n")
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


def read_log(path: str | Path) -> list[dict[str, Any]]:
    """The complete lines of a log, or of the `evaluations.jsonl` in a folder, as they are."""
    path = Path(path)
    data = (path if path.suffix == ".jsonl" else path / LOG_NAME).read_bytes()
    return [json.loads(line) for line in data[: data.rfind(b"\n") + 1].splitlines()]


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    """The log, for this process alone."""
    busy = f"{path.parent}: another search is using this folder; wait for it, or choose another"
    with _open(path) as file, locked_file(path.with_name(f".{path.name}.lock"), busy):
        file.seek(0)
        yield file


def _open(path: Path) -> BinaryIO:
    """Opens the log, unbuffered: what is written is the system's, whatever becomes of this process."""
    if path.is_symlink():
        raise UserInputError(f"{path}: is a link, put the log itself there, or choose another folder")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return open(path, "a+b", buffering=0)
    except OSError as error:
        raise UserInputError(f"{path}: cannot be opened: {error.strerror}; choose another folder") from error


def _difference(theirs: dict[str, Any], ours: dict[str, Any]) -> str:
    """The first thing in which two origins differ, in words."""
    flat = [{**(o["settings"] or {}), "supernet_sha256": o["supernet_sha256"]} for o in (theirs, ours)]
    key = next(key for key in sorted({*flat[0], *flat[1]}) if flat[0].get(key) != flat[1].get(key))
    return f"{key} is {flat[0].get(key)!r} there and {flat[1].get(key)!r} here"

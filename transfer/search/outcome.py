"""Reads the work directory of a finished search: `search.json`, the log, and stand-alone trainings as far as they are.

WORK_DIR/search.json          written when the search has ended
WORK_DIR/evaluations.jsonl    the log (transfer/search/log.py); later evaluations may have been added at its end
WORK_DIR/standalone.json      optional: trainings of candidates and references, from scratch
WORK_DIR/increment.json       optional: what `tools/benchmark.py increment` wrote, rows named by scheme or run
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from backbones.arch import get_arch
from backbones.errors import UserInputError
from backbones.scheme import ConnectionScheme
from transfer.search.log import LOG_NAME, read_log
from transfer.search.objective import FrontPoint
from transfer.search.problem import Evaluation
from transfer.search.tickets.convergence import Convergence, read_trace

FORMAT = 1
SEARCH, STANDALONE, INCREMENT = "search.json", "standalone.json", "increment.json"


@dataclass(frozen=True)
class Entry:
    """A scheme, its evaluation by the supernet, and its value under the search's objective."""

    scheme: ConnectionScheme
    evaluation: Evaluation
    value: float


@dataclass(frozen=True)
class Run:
    """A stand-alone training.

    `val` and `test` hold percentages by name (`top1`, `top5`), as far as known; `attention` is None for a network
    without, `seed` and `seconds` where nobody noted them.
    """

    name: str
    scheme: ConnectionScheme
    sharing: str
    attention: str | None
    seed: int | None
    max_iters: int
    val: Mapping[str, float]
    test: Mapping[str, float]
    seconds: float | None


@dataclass(frozen=True)
class SearchOutcome:
    """A finished search.

    Attributes:
        work_dir: where it lies.
        values: `search.json` as it is.
        depths: residual blocks of each stage.
        evaluations: what the search asked for, in that order, each scheme once.
        others: further schemes of the same log.
        best: the search's best.
        candidates: what it hands on to stand-alone training, best first.
        front: for multi-objective searches, else empty.
        convergence: what the trace tells of a controller, None where it has none.
        runs: stand-alone trainings that have ended.
        best_alone: the candidate of the greatest stand-alone validation accuracy, None until they have been trained.
        increments: rows of `increment.json`.
    """

    work_dir: Path
    values: Mapping[str, Any]
    depths: tuple[int, ...]
    evaluations: Mapping[ConnectionScheme, Evaluation]
    others: Mapping[ConnectionScheme, Evaluation]
    best: Entry
    candidates: tuple[Entry, ...]
    front: tuple[FrontPoint, ...]
    convergence: Convergence | None
    runs: tuple[Run, ...]
    best_alone: ConnectionScheme | None
    increments: tuple[Mapping[str, Any], ...]

    @property
    def chosen(self) -> ConnectionScheme:
        """The best by stand-alone training where that is known, else the search's best."""
        return self.best_alone or self.best.scheme

    @property
    def known(self) -> dict[ConnectionScheme, Evaluation]:
        """All that the log holds."""
        return {**self.evaluations, **self.others}

    def in_supernet(self, run: Run) -> bool:
        """Whether a run's network is part of the supernet: its modules are shared alike, or it has none."""
        alike = (run.sharing, run.attention) == (self.values["sharing"], self.values["attention"])
        return alike or run.scheme.connected == 0

    def supernet_accuracy(self, run: Run) -> float | None:
        """The supernet's accuracy of a run's scheme, None where it was not evaluated or is no part of the supernet."""
        if run.scheme not in self.known or not self.in_supernet(run):
            return None
        return self.known[run.scheme].accuracy

    @classmethod
    def read(cls, work_dir: str | Path) -> SearchOutcome:
        """Reads and checks a work directory.

        Raises:
            UserInputError: no search, one that has not ended, or files that do not belong together.
        """
        work_dir = Path(work_dir)
        values = _search_json(work_dir)
        try:
            return _read(cls, work_dir, values)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            if isinstance(error, UserInputError):
                raise
            what = f"no {error}" if isinstance(error, KeyError) else error
            raise UserInputError(f"{work_dir}: not what a search writes: {what}; search again") from error


def _search_json(work_dir: Path) -> dict[str, Any]:
    if not work_dir.is_dir():
        raise UserInputError(f"{work_dir}: no such folder, expected the work directory of a search")
    if not (work_dir / SEARCH).is_file():
        if (work_dir / LOG_NAME).is_file():
            raise UserInputError(f"{work_dir}: the search has not ended (no {SEARCH}); resume tools/search.py first")
        raise UserInputError(f"{work_dir}: no {SEARCH}, expected the work directory of a search")
    values = _json(work_dir / SEARCH)
    for key in ("method", "arch", "sharing", "attention", "order", "best", "log_sha256"):
        if key not in values:
            raise UserInputError(f"{work_dir / SEARCH}: has no {key!r}, so no search wrote it")
    return values


def _json(path: Path) -> dict[str, Any]:
    """A JSON object of our format."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UserInputError(f"{path}: cannot be read as JSON: {error}") from error
    if not isinstance(values, dict) or values.get("format", FORMAT) != FORMAT:
        raise UserInputError(f"{path}: expected a JSON object of format {FORMAT}")
    return values


def _read(cls: type[SearchOutcome], work_dir: Path, values: dict[str, Any]) -> SearchOutcome:
    depths = get_arch(values["arch"]).depths
    known = _evaluations(work_dir, values, depths)
    order = dict.fromkeys(_schemes(values["order"], depths))
    absent = [scheme for scheme in order if scheme not in known]
    if absent or not order:
        raise UserInputError(f"{work_dir / LOG_NAME}: lacks {len(absent)} of the {len(order)} schemes of {SEARCH}")
    best = _entry(values["best"], depths)
    runs, best_alone = _standalone(work_dir / STANDALONE, depths)
    increment = work_dir / INCREMENT
    return cls(
        work_dir=work_dir,
        values=values,
        depths=depths,
        evaluations={scheme: known[scheme] for scheme in order},
        others={scheme: evaluation for scheme, evaluation in known.items() if scheme not in order},
        best=best,
        candidates=tuple(_entry(entry, depths) for entry in values.get("candidates", ())),
        front=tuple(
            FrontPoint(ConnectionScheme.parse(p["scheme"], depths), float(p["accuracy"]), float(p["cost"]))
            for p in values.get("front", ())
        ),
        convergence=read_trace(values.get("trace") or (), depths),
        runs=runs,
        best_alone=best_alone,
        increments=tuple(_json(increment)["rows"]) if increment.is_file() else (),
    )


def _schemes(texts: list[str], depths: tuple[int, ...]) -> list[ConnectionScheme]:
    return [ConnectionScheme.parse(text, depths) for text in texts]


def _entry(values: Mapping[str, Any], depths: tuple[int, ...]) -> Entry:
    evaluation = Evaluation(float(values["accuracy"]), float(values["loss"]), int(values["n"]))
    return Entry(ConnectionScheme.parse(values["scheme"], depths), evaluation, float(values["value"]))


def _evaluations(
    work_dir: Path, values: Mapping[str, Any], depths: tuple[int, ...]
) -> dict[ConnectionScheme, Evaluation]:
    path = work_dir / LOG_NAME
    if not path.is_file():
        raise UserInputError(f"{path}: is missing, expected the log of the search")
    if not _begins_with(path.read_bytes(), values["log_sha256"]):
        raise UserInputError(f"{path}: is not the log that {SEARCH} was written with (another sha256)")
    supernet = (values.get("supernet") or {}).get("sha256")
    found = {}
    for number, line in enumerate(read_log(path), 1):
        if line.get("supernet_sha256") != supernet:
            raise UserInputError(f"{path}, line {number}: is of another supernet than {SEARCH}")
        evaluation = Evaluation(float(line["accuracy"]), float(line["loss"]), int(line["n"]))
        found[ConnectionScheme.parse(line["scheme"], depths)] = evaluation
    return found


def _begins_with(log: bytes, sha256: str) -> bool:
    """Whether the log, or its first lines up to some line, have that hash: evaluations may be added after a search."""
    running = hashlib.sha256()
    for line in log.splitlines(keepends=True):
        running.update(line)
        if running.hexdigest() == sha256:
            return True
    return False


def _standalone(path: Path, depths: tuple[int, ...]) -> tuple[tuple[Run, ...], ConnectionScheme | None]:
    if not path.is_file():
        return (), None
    values = _json(path)
    runs = tuple(
        Run(
            name=str(run["name"]),
            scheme=ConnectionScheme.parse(run["scheme"], depths),
            sharing=run["sharing"],
            attention=run["attention"],
            seed=run.get("seed"),
            max_iters=int(run["max_iters"]),
            val=dict(run.get("val") or {}),
            test=dict(run.get("test") or {}),
            seconds=run.get("seconds"),
        )
        for run in values["runs"]
    )
    best = values.get("best")
    return runs, ConnectionScheme.parse(best, depths) if best else None

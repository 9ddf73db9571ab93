"""What a study of a supernet looks at: tables of all schemes, finished searches, trainings from scratch."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from backbones.errors import UserInputError
from backbones.scheme import ConnectionScheme
from transfer.analysis.finished import SearchOutcome
from transfer.pipeline.artefacts import STANDALONE, Run, read_object, read_runs
from transfer.search.known_problems import TableProblem

SHARING = {"block": "Full-SA", "stage": "Full-Share"}
"""What the papers call a supernet with one module per block, and one with one per stage."""


@dataclass(frozen=True)
class SchemeTable:
    """All schemes of a supernet, evaluated in one way.

    Attributes:
        path: the file.
        schemes: in the order of the values.
        accuracy: (n,) in percent.
        loss: (n,).
        images: how many each was evaluated on.
        supernet: the supernet's sha256.
        bn: `"running"` or `"recalibrated"`.
        split: `"val"` or `"test"`.
        sharing: `"stage"` or `"block"`.
    """

    path: Path
    schemes: tuple[ConnectionScheme, ...]
    accuracy: NDArray[np.float64]
    loss: NDArray[np.float64]
    images: int
    supernet: str
    bn: str
    split: str
    sharing: str

    @property
    def depths(self) -> tuple[int, ...]:
        """Blocks of each stage."""
        return self.schemes[0].depths

    @property
    def place(self) -> dict[ConnectionScheme, int]:
        """Of each scheme in the values."""
        return {scheme: place for place, scheme in enumerate(self.schemes)}

    @property
    def network(self) -> str:
        """Of the supernet, in the papers' words, and enough of its hash to tell it from another one."""
        return f"{SHARING[self.sharing]} `{self.supernet[:8]}`"

    @property
    def name(self) -> str:
        """How it was evaluated."""
        return f"{self.bn}, {self.split}"

    def order(self) -> tuple[object, ...]:
        """To sort by: a supernet's tables beside each other, `running` and D_val first."""
        return self.sharing, self.supernet, self.bn != "running", self.split != "val"

    @classmethod
    def read(cls, path: str | Path) -> SchemeTable:
        """Reads what `tools/search.py` wrote as `table.json.gz`.

        Raises:
            UserInputError: no such table, one that lacks schemes, or one that does not say what it was evaluated with.
        """
        problem = TableProblem.load(path)
        count = 2 ** sum(problem.depths)
        if len(problem.table) != count:
            raise UserInputError(f"{path}: holds {len(problem.table):,} of {count:,} schemes, expected all")
        settings = problem.settings
        try:
            supernet, bn = str(settings["supernet_sha256"]), str(settings["bn"])
            split, sharing = str(settings["data"]["split"]), str(settings["sharing"])
        except (KeyError, TypeError) as error:
            raise UserInputError(f"{path}: its settings lack {error}, expected a table of tools/search.py") from None
        if sharing not in SHARING:
            raise UserInputError(f"{path}: its sharing is {sharing!r}, expected {' or '.join(SHARING)}")
        schemes = tuple(sorted(problem.table, key=lambda scheme: scheme.bits))
        rows = [problem.table[scheme] for scheme in schemes]
        accuracy, loss = np.array([row.accuracy for row in rows]), np.array([row.loss for row in rows])
        return cls(Path(path), schemes, accuracy, loss, rows[0].n, supernet, bn, split, sharing)


@dataclass(frozen=True)
class Alone:
    """A network that was trained from scratch.

    Attributes:
        folder: its work directory.
        run: what is known of it.
        picked: how a sample came to its scheme; empty for the networks of a search.
        found: the method that found it; empty where none did.
    """

    folder: Path
    run: Run
    picked: str = ""
    found: str = ""

    @property
    def schedule(self) -> tuple[str, int, bool | None, str]:
        """Trainings with another one are not to be compared: config, iterations, precision, options."""
        run = self.run
        return Path(run.config).name, run.max_iters, run.amp, json.dumps(run.options or {}, sort_keys=True)


@dataclass(frozen=True)
class Inputs:
    """Everything that a study looks at.

    Attributes:
        tables: of all schemes.
        searches: that have ended.
        alone: trainings from scratch with the schedule that most of them have.
        others: those with another one.
    """

    tables: tuple[SchemeTable, ...]
    searches: tuple[SearchOutcome, ...]
    alone: tuple[Alone, ...]
    others: tuple[Alone, ...]

    @classmethod
    def read(
        cls, tables: Iterable[str | Path], searches: Iterable[str | Path], standalone: Iterable[str | Path]
    ) -> Inputs:
        """Reads everything; the searches' own trainings are among those from scratch.

        Raises:
            UserInputError: nothing to read, something that is not what it should be, or of different networks.
        """
        read = tuple(sorted(map(SchemeTable.read, dict.fromkeys(map(Path, tables))), key=SchemeTable.order))
        found = tuple(SearchOutcome.read(folder) for folder in dict.fromkeys(map(Path, searches)))
        folders = dict.fromkeys(map(Path, standalone))
        if not (read or found or folders):
            raise UserInputError("nothing to study: name --tables, --searches or --standalone")
        _check_tables(read)
        own = {outcome.work_dir.resolve() for outcome in found}
        runs = [alone for outcome in found for alone in _of_search(outcome)]
        runs += [alone for folder in folders if folder.resolve() not in own for alone in _of_sample(folder)]
        depths = {depths: str(name) for name, depths in _depths(read, found, runs)}
        if len(depths) > 1:
            (one, first), (other, second) = list(depths.items())[:2]
            raise UserInputError(f"{second}: is of a network of {other} blocks, but {first} of {one}; study them apart")
        same, others = _by_schedule(runs)
        return cls(read, found, same, others)


def _check_tables(tables: Sequence[SchemeTable]) -> None:
    known: dict[tuple[str, str, str], Path] = {}
    for table in tables:
        key = (table.supernet, table.bn, table.split)
        if key in known:
            raise UserInputError(
                f"{table.path}: is of the same supernet, mode and images as {known[key]}; leave one out"
            )
        known[key] = table.path


def _depths(
    tables: Sequence[SchemeTable], searches: Sequence[SearchOutcome], runs: Sequence[Alone]
) -> Iterable[tuple[Path, tuple[int, ...]]]:
    yield from ((table.path, table.depths) for table in tables)
    yield from ((outcome.work_dir, outcome.depths) for outcome in searches)
    yield from ((alone.folder, alone.run.scheme.depths) for alone in runs)


def _of_search(outcome: SearchOutcome) -> list[Alone]:
    method = outcome.search.method
    return [Alone(outcome.work_dir, run, found=method if run.is_candidate else "") for run in outcome.runs]


def _of_sample(folder: Path) -> list[Alone]:
    """The trainings in a folder of `tools/standalone.py`, or of a search that is not looked at itself."""
    rows = read_object(folder / STANDALONE, "nothing has been trained there")["runs"]
    if not rows:
        return []
    try:
        depths = ConnectionScheme.parse(rows[0]["scheme"]).depths
    except (KeyError, TypeError, AttributeError) as error:
        raise UserInputError(f"{folder / STANDALONE}: its first run has no scheme ({error})") from None
    runs, _ = read_runs(folder, depths)
    return [
        Alone(folder, run, str(row.get("picked", "")), "a search" if run.is_candidate else "")
        for run, row in zip(runs, rows, strict=True)
    ]


def _by_schedule(runs: Sequence[Alone]) -> tuple[tuple[Alone, ...], tuple[Alone, ...]]:
    if not runs:
        return (), ()
    (most, _), *_ = Counter(alone.schedule for alone in runs).most_common()
    same = tuple(alone for alone in runs if alone.schedule == most)
    return same, tuple(alone for alone in runs if alone.schedule != most)


def describe_schedule(runs: Sequence[Alone]) -> str:
    """How runs of one schedule were trained, on one line."""
    run = runs[0].run
    seeds = sorted({str(alone.run.seed) for alone in runs})
    text = f"{run.max_iters:,} iterations of `{Path(run.config).name}`"
    if run.options:
        text += f" with {', '.join(f'{key} {value}' for key, value in run.options.items())}"
    precision = {None: "precision not recorded", True: "mixed precision", False: "full precision"}[run.amp]
    return f"{text}, {precision}, seed{'s' if len(seeds) > 1 else ''} {', '.join(seeds)}"

"""The work directory of a finished search as a whole: what was found, and stand-alone trainings as far as they are.

WORK_DIR/search.json          written when the search has ended
WORK_DIR/evaluations.jsonl    the log (transfer/search/log.py); later evaluations may have been added at its end
WORK_DIR/standalone.json      optional: trainings of candidates and references, from scratch
WORK_DIR/increment.json       optional: their time increments, as `tools/benchmark.py increment` writes them
WORK_DIR/latency.json         optional: time increments of single blocks (transfer/measure/latency.py)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from backbones.errors import UserInputError
from backbones.scheme import ConnectionScheme
from transfer.analysis.tickets.convergence import Convergence, read_trace
from transfer.measure.latency import LATENCY, LatencyTable
from transfer.pipeline.artefacts import (
    SEARCH,
    STANDALONE,
    Run,
    Search,
    read_evaluations,
    read_increments,
    read_runs,
    read_search,
)
from transfer.search.problem import Evaluation


@dataclass(frozen=True)
class SearchOutcome:
    """A finished search.

    Attributes:
        work_dir: where it lies.
        search: `search.json`.
        evaluations: what the search asked for, in that order, each scheme once.
        others: further schemes of the same log.
        convergence: what the trace tells of a controller, None where it has none.
        runs: stand-alone trainings that have ended.
        best_alone: the candidate of the greatest stand-alone validation accuracy, None until they have been trained.
        increments: rows of `increment.json`.
        latency: time increments of single blocks, None where they were not measured.
    """

    work_dir: Path
    search: Search
    evaluations: Mapping[ConnectionScheme, Evaluation]
    others: Mapping[ConnectionScheme, Evaluation]
    convergence: Convergence | None
    runs: tuple[Run, ...]
    best_alone: ConnectionScheme | None
    increments: tuple[Mapping[str, Any], ...]
    latency: LatencyTable | None

    @property
    def depths(self) -> tuple[int, ...]:
        """Residual blocks of each stage."""
        return self.search.depths

    @property
    def chosen(self) -> ConnectionScheme:
        """The best by stand-alone training where that is known, else the search's best."""
        return self.best_alone or self.search.best.scheme

    @property
    def known(self) -> dict[ConnectionScheme, Evaluation]:
        """All that the log holds."""
        return {**self.evaluations, **self.others}

    def in_supernet(self, run: Run) -> bool:
        """Whether a run's network is part of the supernet: its modules are shared alike, or it has none."""
        alike = (run.sharing, run.attention) == (self.search.sharing, self.search.attention)
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
        search = read_search(work_dir)
        known = read_evaluations(work_dir, search)
        order = dict.fromkeys(search.order)
        trained = (work_dir / STANDALONE).is_file()
        runs, best_alone = read_runs(work_dir, search.depths) if trained else ((), None)
        timed = (work_dir / LATENCY).is_file()
        return cls(
            work_dir=work_dir,
            search=search,
            evaluations={scheme: known[scheme] for scheme in order},
            others={scheme: evaluation for scheme, evaluation in known.items() if scheme not in order},
            convergence=_convergence(search, work_dir),
            runs=runs,
            best_alone=best_alone,
            increments=read_increments(work_dir),
            latency=LatencyTable.read(work_dir / LATENCY) if timed else None,
        )


def _convergence(search: Search, work_dir: Path) -> Convergence | None:
    try:
        return read_trace(search.trace, search.depths)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise UserInputError(f"{work_dir / SEARCH}: key 'trace' is not what a search notes: {error}") from error

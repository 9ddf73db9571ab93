"""A search while it runs: distinct evaluated schemes against the budget, and what came of them. Imports no torch."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, SupportsInt

from backbones.errors import UserInputError
from backbones.scheme import ConnectionScheme
from transfer.search.objective import FrontPoint, Objective
from transfer.search.problem import Evaluation, SearchProblem

CANDIDATES = 3
PATIENCE = 200
"""Requests in a row without a scheme that was not seen before, after which a search counts as converged."""


class SearchOver(Exception):
    """The budget is spent, or the method repeats itself. Ends a method's `run`; never leaves `search`."""


@dataclass(frozen=True)
class Record:
    """An evaluated scheme and its value under the search's objective."""

    scheme: ConnectionScheme
    evaluation: Evaluation
    value: float


@dataclass(frozen=True)
class SearchResult:
    """What a search found.

    Attributes:
        best: the record of the greatest value, the first among equals.
        candidates: the three best, or for methods that choose by other means what they chose; best first.
        log: the distinct schemes that the search asked for, in order.
        front: for multi-objective methods, the schemes that no other beats; else empty.
        seconds: duration.
        trace: what the method noted as it went, one entry a step: controllers note `p_bar`, gradient methods the
            architecture's probabilities.
        images: images that a supernet saw, forward or forward and backward; 0 for methods that only ask for
            evaluations.
    """

    best: Record
    candidates: tuple[Record, ...]
    log: tuple[Record, ...]
    seconds: float
    front: tuple[FrontPoint, ...] = ()
    trace: tuple[dict[str, Any], ...] = ()
    images: int = 0


@dataclass
class Session:
    """Evaluates for a method, counts, and stops it.

    Attributes:
        problem: what is searched.
        budget: distinct schemes that may be evaluated.
        objective: the value of a scheme.
        records: the distinct schemes so far, in the order of their first request.
        chosen, front, trace, images: see `SearchResult`; methods fill them.
        patience: requests in a row without a new scheme, after which the search ends; a method that counts its own
            steps has none (`math.inf`).
    """

    problem: SearchProblem
    budget: int
    objective: Objective
    records: dict[ConnectionScheme, Record] = field(default_factory=dict)
    chosen: list[ConnectionScheme] = field(default_factory=list)
    front: list[FrontPoint] = field(default_factory=list)
    trace: list[dict[str, Any]] = field(default_factory=list)
    images: int = 0
    patience: float = PATIENCE

    def __post_init__(self) -> None:
        if isinstance(self.budget, bool) or not isinstance(self.budget, int) or self.budget < 1:
            raise UserInputError(f"budget={self.budget!r}: expected a number of schemes to evaluate, at least 1")
        self.depths = tuple(self.problem.depths)
        self.blocks = sum(self.depths)
        self.budget = min(self.budget, 2**self.blocks)
        self._begun, self._repeats = time.perf_counter(), 0

    @property
    def left(self) -> int:
        """Distinct schemes that may still be evaluated."""
        return self.budget - len(self.records)

    def score(self, schemes: Sequence[ConnectionScheme]) -> list[Record]:
        """Returns one record a scheme. Schemes seen before are free; new ones are evaluated as far as the budget goes.

        Raises:
            SearchOver: the budget does not cover the new ones, or there were only old ones for many times in a row.
        """
        new = [scheme for scheme in dict.fromkeys(schemes) if scheme not in self.records]
        affordable = new[: self.left]
        if affordable:
            for scheme, evaluation in zip(affordable, self.problem.evaluate(affordable), strict=True):
                self.records[scheme] = Record(scheme, evaluation, self.objective(evaluation, scheme))
        self._repeats = 0 if new else self._repeats + 1
        if len(affordable) < len(new) or self._repeats >= self.patience:
            raise SearchOver
        return [self.records[scheme] for scheme in schemes]

    def score_bits(self, rows: Iterable[Iterable[SupportsInt]]) -> list[Record]:
        """The same for rows of bits in network order."""
        return self.score([ConnectionScheme.from_bits((int(bit) for bit in row), self.depths) for row in rows])

    def result(self) -> SearchResult:
        """What came of it."""
        ranked = sorted(self.records.values(), key=lambda record: -record.value)
        candidates = [self.records[s] for s in self.chosen if s in self.records] or ranked[:CANDIDATES]
        return SearchResult(
            best=candidates[0],
            candidates=tuple(candidates),
            log=tuple(self.records.values()),
            seconds=time.perf_counter() - self._begun,
            front=tuple(self.front),
            trace=tuple(self.trace),
            images=self.images,
        )

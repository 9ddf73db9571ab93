"""What every cell of the space `nats` reaches, tabulated: no cell of it needs to be trained to be known."""

from __future__ import annotations

import csv
import io
import itertools
import zlib
from bisect import bisect_left
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from backbones.errors import UserInputError
from backbones.genotype import Genotype, get_space
from backbones.limits import TABLE, inflated
from transfer.engine.data import find_data

FILE = "nats_bench.csv.gz"

_SPACE = get_space("nats")
_CELLS = len(_SPACE.operations) ** len(_SPACE.edges)
_TEXT = "ArchitectureString"
_COLUMNS = {
    "cifar10": "CIFAR10TestAccuracy200Epochs",
    "cifar100": "CIFAR100TestAccuracy200Epochs",
    "imagenet16": "ImageNetTestAccuracy200Epochs",
}
DATA_SETS = tuple(_COLUMNS)
"""CIFAR-10, CIFAR-100, ImageNet16-120."""

_EXPECTED = f"expected NATS-Bench's topologies as gzipped CSV ({FILE})"


@dataclass(frozen=True)
class Tabulated:
    """What the table says of a cell.

    Attributes:
        accuracy: on the test set after 200 epochs, in percent, by data set.
        better_than: percentage of all cells that have a lower accuracy, by data set.
    """

    accuracy: Mapping[str, float]
    better_than: Mapping[str, float]


class CellTable:
    """Test accuracies of all 15,625 cells on three data sets (NATS-Bench, Dong et al., TPAMI 2021), means of its runs.

    Args:
        accuracies: in percent, by genotype, in the order of `DATA_SETS`; of every cell there is.

    Raises:
        UserInputError: cells are missing.
    """

    def __init__(self, accuracies: Mapping[Genotype, tuple[float, ...]]) -> None:
        if len(accuracies) != _CELLS:
            raise UserInputError(f"{len(accuracies):,} cells, expected all {_CELLS:,}")
        self.accuracies = dict(accuracies)
        columns = zip(*self.accuracies.values(), strict=True)
        self._sorted = {name: sorted(column) for name, column in zip(DATA_SETS, columns, strict=True)}

    @classmethod
    def read(cls, path: str | Path = FILE) -> CellTable:
        """Reads the table.

        Args:
            path: gzipped CSV, looked for as it stands, under `data/`, and where `TRANSFER_DATA` says.

        Raises:
            UserInputError: no such file, another one, or one that is not whole; the line names it.
        """
        found = find_data(path)
        try:
            text = inflated(found, TABLE).decode()
            return cls(dict(_distinct(csv.DictReader(io.StringIO(text)))))
        except (UserInputError, csv.Error) as error:
            said = str(error).removeprefix(f"{found}: ")
            raise UserInputError(f"{found}: {said}; {_EXPECTED}") from None
        except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
            raise UserInputError(f"{found}: cannot be read: {error}; {_EXPECTED}") from None

    def __getitem__(self, genotype: Genotype) -> Tabulated:
        """What a cell reaches; raises `UserInputError` for one of another space."""
        values = self.accuracies[genotype.check(_SPACE.name)]
        accuracy = dict(zip(DATA_SETS, values, strict=True))
        return Tabulated(accuracy, {name: self.better_than(name, value) for name, value in accuracy.items()})

    def better_than(self, data_set: str, accuracy: float) -> float:
        """Percentage of all cells that have a lower accuracy (in percent) on a data set of `DATA_SETS`."""
        return 100 * bisect_left(self._column(data_set), accuracy) / _CELLS

    def mean(self, data_set: str) -> float:
        """Mean accuracy of all cells, in percent: what a cell drawn at random reaches."""
        return sum(self._column(data_set)) / _CELLS

    def best(self, data_set: str) -> Genotype:
        """The cell of the highest accuracy."""
        self._column(data_set)
        place = DATA_SETS.index(data_set)
        return max(self.accuracies, key=lambda genotype: self.accuracies[genotype][place])

    def _column(self, data_set: str) -> list[float]:
        if data_set not in self._sorted:
            raise UserInputError(f"data set {data_set!r} is not in the table, expected one of {', '.join(DATA_SETS)}")
        return self._sorted[data_set]


def all_cells() -> Iterator[Genotype]:
    """Every cell of the space."""
    for drawn in itertools.product(_SPACE.operations, repeat=len(_SPACE.edges)):
        edges = list(zip(drawn, _SPACE.edges, strict=True))
        nodes = range(_SPACE.nodes)
        cell = tuple(tuple((name, source) for name, (node, source) in edges if node == number) for number in nodes)
        yield Genotype(_SPACE.name, (cell,))


def _distinct(rows: csv.DictReader[str]) -> Iterator[tuple[Genotype, tuple[float, ...]]]:
    for column in (_TEXT, *_COLUMNS.values()):
        if column not in (rows.fieldnames or ()):
            raise UserInputError(f"column {column!r} is missing")
    seen: set[Genotype] = set()
    for row in rows:
        try:
            genotype = Genotype.parse(row[_TEXT] or "", _SPACE.name)
            values = tuple(_accuracy(row[column]) for column in _COLUMNS.values())
        except UserInputError as error:
            raise UserInputError(f"line {rows.line_num}: {error}") from None
        if genotype in seen:
            raise UserInputError(f"line {rows.line_num}: a second row of the cell {genotype}")
        seen.add(genotype)
        yield genotype, values


def _accuracy(text: str | None) -> float:
    try:
        value = float(text or "")
    except ValueError:
        value = -1.0
    if not 0 <= value <= 100:
        raise UserInputError(f"{text!r} is no accuracy in percent")
    return value

"""Figures that the papers printed on searching (`published.toml`), to stand beside measured ones.

Never in a column with them: the papers' schedules are others.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple


class Row(NamedTuple):
    """A network of LTH4SA's Table I or II, with SE on CIFAR-100.

    Attributes:
        arch: of the backbone.
        network: method of the search, or `Original`, `Full-SA`, `Full-Share`.
        sharing: `"block"` in Table I, `"stage"` in Table II.
        accuracy: of the test images, percent.
        parameters: millions.
        increment: of the inference time (Eq. 7), percent.
        source: where it is printed.
        beta: of the supernet; None for a network that was not searched.
        top5: Table I's column `Top5%?`; None where it has none.
        ticket: whether the paper calls it a ticket; None where it does not say.
    """

    arch: str
    network: str
    sharing: str
    accuracy: float
    parameters: float
    increment: float
    source: str
    beta: float | None = None
    top5: bool | None = None
    ticket: bool | None = None


@dataclass(frozen=True)
class Distribution:
    """Accuracies of several schemes that were trained from scratch."""

    name: str
    count: int
    mean: float
    sd: float


@dataclass(frozen=True)
class Cell:
    """A row of a paper's table: a network, what was printed of it, and how it is made here.

    Attributes:
        network: as the table calls it.
        values: figures by name, see `transfer.analysis.papers.FIGURES`; what the table leaves open is not there.
        card: the registered backbone that is this network, or stands in for it; empty where there is none.
        config: name of the config that trains it.
        options: of that command, behind `--cfg-options`.
        note: what has to be known about the printed figures.
    """

    network: str
    values: Mapping[str, float]
    card: str = ""
    config: str = ""
    options: str = ""
    note: str = ""


@dataclass(frozen=True)
class Table:
    """A table of the papers.

    Attributes:
        name: where it is printed.
        about: what it is on.
        data: the data set, as cards call it.
        iterations: of the papers' trainings, None where they do not say.
        cells: its rows.
        parameter_digits: behind the point of the printed millions of parameters.
    """

    name: str
    about: str
    data: str
    cells: tuple[Cell, ...]
    iterations: int | None = None
    parameter_digits: int = 3


def printed(name: str, value: float) -> str:
    """A figure in the papers' digits: errors of counts as they stand, percent with two."""
    return str(float(value)) if name in ("mae", "mse") else f"{value:.2f}"


METHODS = {"ean": "EAN", "enas": "ENAS", "darts": "DARTS", "ga": "GA", "l1": "l1", "gm": "GM"}
"""Our names of the methods that have rows in Table I, and the paper's."""

RESNET38_ITERATIONS = 31_250
"""100 epochs of D_train's 40,000 images in batches of 128."""

_FIGURES = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))

TABLE1 = tuple(Row(sharing="block", source="LTH4SA, Table I", **row) for row in _FIGURES["table1"])
NETWORKS = tuple(Row(**row) for row in _FIGURES["networks"])
"""Networks beside the methods of Table I, and Share-EAN."""

SCHEDULES: dict[str, str] = _FIGURES["schedules"]
"""Of the papers' trainings, by architecture."""

TABLE5: list[tuple[int, float, float]] = [tuple(row) for row in _FIGURES["table5"]]
TABLE6: dict[str, tuple[float, float, float]] = {arch: tuple(row) for arch, row in _FIGURES["table6"].items()}
FIG4 = tuple(Distribution(**group) for group in _FIGURES["fig4"]["groups"])
FIG4_P: float = _FIGURES["fig4"]["p"]


def _cell(row: dict[str, Any]) -> Cell:
    own = {key: row.pop(key) for key in ("network", "card", "config", "options", "note") if key in row}
    return Cell(**own, values=row)


TABLES = tuple(
    Table(**{**entry, "cells": tuple(map(_cell, map(dict, entry["cells"])))}) for entry in _FIGURES["tables"]
)
"""Tables II to IV, VII and VIII of LTH4SA, which are 1 to 5 of EAN."""

"""Figures that the papers printed on searching (`published.toml`), to stand beside measured ones.

Never in a column with them: the papers' schedules are others.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple


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

"""Figures on cards, published or measured, and how their files hold them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from backbones.errors import UserInputError, did_you_mean

_Figure = int | float | None


@dataclass(frozen=True)
class FiguresRow:
    """`Figures` as a file has them, a key for each value; `mse` is the root, as the counting field writes it."""

    source: str
    data: str
    note: str = ""
    top1: _Figure = None
    top5: _Figure = None
    parameters_million: _Figure = None
    macs_billion: _Figure = None
    flops_billion: _Figure = None  # of earlier cards; `macs_billion` is what we count
    ms_per_image: _Figure = None
    time_increment_percent: _Figure = None
    mae: _Figure = None
    mse: _Figure = None
    nae: _Figure = None
    game1: _Figure = None
    game2: _Figure = None
    game3: _Figure = None
    miou: _Figure = None
    macc: _Figure = None
    aacc: _Figure = None


FIGURES = tuple(each.name for each in fields(FiguresRow) if each.name not in ("source", "data", "note"))
"""Names of figures; `top1`, `macc` and their like are in percent."""


_PERCENT = ("top1", "top5", "miou", "macc", "aacc")


@dataclass(frozen=True)
class Figures:
    """Figures from one source on one set of data; `values` maps names of `FIGURES` to numbers."""

    source: str
    data: str
    values: Mapping[str, float] = field(hash=False)
    note: str = ""

    def __post_init__(self) -> None:
        for name, value in self.values.items():
            if name not in FIGURES:
                raise UserInputError(f"figure {name!r} is unknown.{did_you_mean(name, FIGURES)}")
            if not math.isfinite(value):
                raise UserInputError(f"figure {name!r} is {value}, expected a finite number")
            if name in _PERCENT and not 0 <= value <= 100:
                raise UserInputError(f"figure {name!r} is {value}, expected a number from 0 to 100")


def as_row(figures: Figures) -> FiguresRow:
    """As a file has them."""
    values: dict[str, Any] = dict(figures.values)
    return FiguresRow(figures.source, figures.data, figures.note, **values)


def from_row(row: FiguresRow, name: str) -> Figures:
    """The opposite of `as_row`; raises `UserInputError` where an entry of the list `name` holds no figure."""
    values = {figure: getattr(row, figure) for figure in FIGURES if getattr(row, figure) is not None}
    if not values:
        raise UserInputError(f"an entry of {name!r} holds no figure, expected one of {', '.join(FIGURES)}")
    return Figures(row.source, row.data, values, row.note)

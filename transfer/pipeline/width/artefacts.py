"""What `widths.json` and `finetuned.json` say, one record each, for writers and readers. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from backbones.arch import get_arch
from backbones.errors import UserInputError
from backbones.schema import named, read, write
from backbones.widths import WidthPlan
from transfer.pipeline.artefacts import AGAIN, FORMAT, read_object

WIDTHS, FINETUNED = "widths.json", "finetuned.json"


@dataclass(frozen=True, kw_only=True)
class Dense:
    """The network at full width; what is None is not known, because it was not trained.

    Attributes:
        config, options, seed, max_iters, seconds: of its training.
        sha256: of its checkpoint.
        top1: on D_val, in percent.
        macs: for one image of `WidthSearch.size`, with the classifier; `parameters` likewise.
    """

    config: str
    options: Mapping[str, Any] = field(default_factory=dict)
    sha256: str | None = None
    seed: int | None = None
    max_iters: int | None = None
    seconds: float | None = None
    top1: float | None = None
    macs: int
    parameters: int


@dataclass(frozen=True, kw_only=True)
class Found:
    """A search that has ended.

    Attributes:
        name: in results.
        asked: the search's section of the config, in plain values.
        gamma, shrink: strength of the penalty, and what it alone takes off a gate; None for a method without.
        steps: of the search.
        images: that the method showed to its networks, forward or forward and backward.
        moved: share of the channels whose score has moved, 0 to 1; None for a method that trains nothing.
        widths: the plan.
        channels: share of the channels that stay; `macs` and `parameters` are counts.
        top1_pruned: on D_val right after removal, with the running statistics of the search, in percent.
        top1_recalibrated: the same with recalibrated statistics.
        checkpoint: the warm start, in the work directory; `sha256` is its hash.
        seconds: duration.
        trace: a row for each epoch.
    """

    name: str
    asked: dict[str, Any]
    gamma: float | None = None
    shrink: float | None = None
    steps: int = 0
    images: int = 0
    moved: float | None = None
    widths: str
    channels: float
    macs: int
    parameters: int
    top1_pruned: float
    top1_recalibrated: float
    checkpoint: str
    sha256: str
    seconds: float | None = None
    trace: tuple[dict[str, Any], ...] = ()


@dataclass(frozen=True, kw_only=True)
class WidthSearch:
    """All searches of a config, as `widths.json` has them.

    Attributes:
        backbone: name of the card that was searched; `arch` is its architecture.
        attention, attention_args, sharing, scheme: of the SAMs, if there are any.
        size: side of the images, in pixels, for which MACs are counted.
        data: name of the data set.
        dense: the network at full width.
        rows: the search proper, then those beside it.
    """

    backbone: str
    arch: str
    attention: str | None = None
    attention_args: dict[str, Any] = field(default_factory=dict)
    sharing: str | None = None
    scheme: str | None = None
    num_classes: int
    in_channels: int
    size: int
    data: str
    dense: Dense
    rows: tuple[Found, ...] = ()

    def __post_init__(self) -> None:
        inner = named("arch", lambda: get_arch(self.arch)).inner
        for number, row in enumerate(self.rows):
            named(f"rows[{number}].widths", lambda row=row: WidthPlan.parse(row.widths, inner))  # type: ignore[misc]

    @property
    def values(self) -> dict[str, Any]:
        """`widths.json` in plain values."""
        return {"format": FORMAT, **write(self)}


@dataclass(frozen=True, kw_only=True)
class Finetuned:
    """A pruned network that was fine-tuned and tested; figures as in `transfer.pipeline.artefacts.Run`."""

    name: str
    widths: str
    seed: int | None
    max_iters: int
    val: Mapping[str, Any]
    test: Mapping[str, Any]
    checkpoint: str
    sha256: str
    seconds: float | None = None


@dataclass(frozen=True, kw_only=True)
class Finetunes:
    """All fine-tunings that have ended, as `finetuned.json` has them; `training` says how all of them were trained."""

    training: dict[str, Any]
    rows: tuple[Finetuned, ...] = ()

    @property
    def values(self) -> dict[str, Any]:
        """`finetuned.json` in plain values."""
        return {"format": FORMAT, **write(self)}


def read_widths(work_dir: str | Path) -> WidthSearch:
    """Reads `widths.json`.

    Raises:
        UserInputError: no search has ended, or the file is no such record.
    """
    path = Path(work_dir) / WIDTHS
    return read(WidthSearch, read_object(path, "no search has ended"), path, mend=AGAIN)


def read_finetunes(work_dir: str | Path) -> Finetunes:
    """Reads `finetuned.json`.

    Raises:
        UserInputError: no network was fine-tuned, or the file is no such record.
    """
    path = Path(work_dir) / FINETUNED
    found = read(Finetunes, read_object(path, "no pruned network was fine-tuned"), path, mend=AGAIN)
    for number, row in enumerate(found.rows):
        for split in ("val", "test"):
            if "top1" not in getattr(row, split):
                raise UserInputError(f"{path}: key 'rows[{number}].{split}.top1' is missing, expected percent; {AGAIN}")
    return found

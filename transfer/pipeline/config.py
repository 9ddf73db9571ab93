"""What a search config says: the supernet, the search, the stand-alone trainings. Imports no torch."""

from __future__ import annotations

import inspect
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from mmengine.config import Config

from backbones.errors import UserInputError, did_you_mean
from backbones.files import disk_full
from transfer.measure.latency import LatencyTable, Timing
from transfer.search.methods import DEFAULT_METHOD, get_method
from transfer.search.methods.base import SearchMethod
from transfer.search.objective import Objective, Reward, TimeReward, cost_of

BESIDE = ("plain", "full_sa", "full_share")
"""Networks that can be trained beside the candidates: without attention, a module a block, one a stage."""


@dataclass(frozen=True)
class SupernetPlan:
    """Which supernet is searched.

    Attributes:
        config: of its training.
        checkpoint: a trained one; None: it is trained in the search's own folder.
        seed: of its training; None: the config's.
        options: config keys to override, such as `{"val_dataloader.dataset.images": 2000}`, dotted or nested.
        bn: `"recalibrated"`, the default because its ranking agrees with training from scratch (see
            results/search/c100_study); `"running"`, as the authors' code. See `TrieEvaluator`.
        calibration_batch: images a batch of recalibration.
        split: `"val"`; `"test"` for tables of all schemes only, nothing is to be chosen by it.
    """

    config: str
    checkpoint: str | None = None
    seed: int | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    bn: str = "recalibrated"
    calibration_batch: int = 256
    split: str = "val"


WEIGHTS = ("lambda1", "lambda2", "loss_weight")
OBJECTIVES: dict[str, tuple[str, ...]] = {"sparsity": WEIGHTS, "time": (*WEIGHTS, "latency", "timing")}
"""Kinds of objectives and their keys: weights, and for measured time its table, or how to measure it."""


@dataclass(frozen=True)
class MethodPlan:
    """How it is searched.

    Attributes:
        method: a name of `list_methods`; None: the default one.
        budget: distinct schemes to evaluate.
        seed: of everything random in the search.
        args: further arguments of the method's constructor.
        objective: `kind`, one of `OBJECTIVES` (default `"sparsity"`), and weights `lambda1`, `lambda2` and
            `loss_weight`. For `"time"` also `latency`, a file with a table of this network's block latencies (default:
            measured before the search), and `timing`, how to measure them (see `Timing`).
    """

    budget: int
    method: str | None = None
    seed: int = 0
    args: Mapping[str, Any] = field(default_factory=dict)
    objective: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for key, least in (("budget", 1), ("seed", 0)):
            value = getattr(self, key)
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                what = "at least one scheme" if key == "budget" else "a whole number of at least 0"
                raise UserInputError(f"search.{key}={value!r}, expected {what}")

    @property
    def name(self) -> str:
        """Of the method."""
        return self.method or DEFAULT_METHOD

    @property
    def timed(self) -> bool:
        """Whether measured time is part of the objective."""
        return self.objective.get("kind", "sparsity") == "time"

    @property
    def timing(self) -> Timing:
        """How the latency table is measured."""
        given = self.objective.get("timing", {})
        if not isinstance(given, Mapping):
            raise UserInputError(f"search.objective.timing={given!r}, expected batch, rounds and clock by name")
        return Timing(**_known(given, Timing, "search.objective.timing"))

    def check(self) -> None:
        """Raises `UserInputError` for an unknown method, argument or objective, before anything is trained."""
        self._method(Reward())
        self._weights()
        if self.timed:
            _ = self.timing

    def build(self, table: LatencyTable | None = None) -> tuple[SearchMethod, Objective]:
        """The method and its objective.

        Args:
            table: latencies of the blocks, for the objective of measured time.

        Raises:
            UserInputError: unknown method or argument.
        """
        weights = self._weights()
        if not self.timed:
            objective: Objective = Reward(**weights)
        else:
            assert table is not None, "measured time needs a table"
            objective = TimeReward(table.per_block, **weights)
        return self._method(objective), objective

    def _method(self, objective: Objective) -> SearchMethod:
        kind = get_method(self.method)
        args = _known(self.args, kind.__init__, "search.args", without=("self", "objective", "cost"))
        if "cost" in inspect.signature(kind).parameters:
            args["cost"] = cost_of(objective)[0]
        try:
            return kind(objective=objective, **args)
        except TypeError as error:
            raise UserInputError(f"search.args={dict(self.args)} do not fit method {self.name!r}: {error}") from error

    def _weights(self) -> dict[str, float]:
        """The weights that are given, checked, and every other key of the objective with them."""
        kind = self.objective.get("kind", "sparsity")
        if kind not in OBJECTIVES:
            raise UserInputError(
                f"search.objective.kind={kind!r}, expected {' or '.join(map(repr, OBJECTIVES))}."
                f"{did_you_mean(kind, OBJECTIVES)}"
            )
        known = ("kind", *OBJECTIVES[kind])
        for key in self.objective:
            if key not in known:
                raise UserInputError(
                    f"search.objective has no key {key!r}, expected {', '.join(known)}.{did_you_mean(key, known)}"
                )
        weights = {key: self.objective[key] for key in WEIGHTS if key in self.objective}
        for key, value in weights.items():
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
                raise UserInputError(f"search.objective.{key}={value!r}, expected a number")
        return weights


@dataclass(frozen=True)
class StandalonePlan:
    """What is trained from scratch once the search has ended.

    Attributes:
        config: of the trainings; its backbone's scheme is replaced.
        candidates: how many of the best schemes.
        beside: of `BESIDE`.
        seed: of all trainings; None: the config's.
        options: config keys to override.
        timing: how the trained networks' time increments are measured.
    """

    config: str
    candidates: int = 3
    beside: tuple[str, ...] = ()
    seed: int | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    timing: Timing = field(default_factory=Timing)


@dataclass(frozen=True)
class SearchPlan:
    """A search from end to end; `standalone` None ends it with the search itself."""

    path: Path
    supernet: SupernetPlan
    search: MethodPlan
    standalone: StandalonePlan | None

    def __post_init__(self) -> None:
        if self.standalone is None:
            return
        if unknown := [name for name in self.standalone.beside if name not in BESIDE]:
            raise UserInputError(
                f"{self.path}: standalone.beside={unknown[0]!r}, expected some of {', '.join(BESIDE)}."
                f"{did_you_mean(unknown[0], BESIDE)}"
            )
        if self.standalone.candidates not in (1, 2, 3):
            raise UserInputError(f"{self.path}: standalone.candidates={self.standalone.candidates!r}, expected 1 to 3")

    def file(self, name: str) -> Path:
        """A file that the config names: relative to the config's own folder."""
        return Path(name) if Path(name).is_absolute() else self.path.parent / name


SECTIONS = {"supernet": SupernetPlan, "search": MethodPlan, "standalone": StandalonePlan}
DICTS = ("options", "args", "objective", "timing")


def read_plan(path: str | Path, options: Mapping[str, Any] | None = None) -> SearchPlan:
    """Reads a search config and applies dotted `key=value` options.

    Raises:
        UserInputError: no such file, a key that nothing reads, a value out of range.
    """
    path = Path(path)
    if not path.is_file():
        raise UserInputError(
            f"config {str(path)!r} does not exist, expected a .py file, such as those in configs/search"
        )
    try:
        config = Config.fromfile(str(path))
    except Exception as error:
        if disk_full(error):
            raise  # of the copy that mmengine makes: the disk is to blame
        raise UserInputError(f"config {path}: cannot be read: {type(error).__name__}: {error}") from error
    config.merge_from_dict(dict(options or {}))
    content = config.to_dict()
    for key in content:
        if key not in SECTIONS:
            raise UserInputError(
                f"config {path}: unknown section {key!r}, expected {', '.join(SECTIONS)}.{did_you_mean(key, SECTIONS)}"
            )
    for key in ("supernet", "search"):
        if key not in content:
            raise UserInputError(f"config {path}: has no section {key!r}, which a search needs")
    built = {key: _section(path, key, content[key]) for key in content}
    return SearchPlan(path, built["supernet"], built["search"], built.get("standalone"))


def _section(path: Path, key: str, values: Any) -> Any:
    kind = SECTIONS[key]
    if values is None:
        return None
    inner = {f"{key}.{k}": values[k] for k in DICTS if k in values} if isinstance(values, Mapping) else {}
    for name, value in {key: values, **inner}.items():
        if not isinstance(value, Mapping):
            raise UserInputError(f"config {path}: {name}={value!r}, expected keys and values, as in dict(...)")
    _known(values, kind, f"config {path}: {key}")
    needed = "budget" if key == "search" else "config"
    if needed not in values:
        raise UserInputError(f"config {path}: {key} has no {needed!r}, which it needs")
    frozen = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
    if "options" in frozen:
        frozen["options"] = dict(_dotted(frozen["options"]))
    try:
        if "timing" in frozen:
            frozen["timing"] = Timing(**_known(frozen["timing"], Timing, "timing"))
        return kind(**frozen)
    except UserInputError as error:
        raise UserInputError(f"{path}: {error}") from error


def _dotted(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Nested keys as dotted ones, whichever way they were written."""
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _dotted(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _known(values: Mapping[str, Any], target: Any, where: str, without: tuple[str, ...] = ()) -> dict[str, Any]:
    """`values`, if `target` takes them all."""
    names = [f.name for f in fields(target)] if isinstance(target, type) else list(inspect.signature(target).parameters)
    known = [name for name in names if name not in without]
    for key in values:
        if key not in known:
            raise UserInputError(
                f"{where} has no key {key!r}, expected {', '.join(known) or 'none'}.{did_you_mean(key, known)}"
            )
    return dict(values)

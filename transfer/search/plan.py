"""What a search config says: the supernet, the search, the stand-alone trainings. Imports no torch."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from mmengine.config import Config

from backbones.errors import UserInputError, did_you_mean
from transfer.search.methods import get_method
from transfer.search.methods.base import SearchMethod
from transfer.search.objective import Objective, Reward

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
        bn: `"running"` or `"recalibrated"` (see `TrieEvaluator`).
        calibration_batch: images a batch of recalibration.
        split: `"val"`; `"test"` for tables of all schemes only, nothing is to be chosen by it.
    """

    config: str
    checkpoint: str | None = None
    seed: int | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    bn: str = "running"
    calibration_batch: int = 256
    split: str = "val"


@dataclass(frozen=True)
class MethodPlan:
    """How it is searched.

    Attributes:
        method: a name of `list_methods`; None: the default one.
        budget: distinct schemes to evaluate.
        seed: of everything random in the search.
        args: further arguments of the method's constructor.
        objective: arguments of `Reward`.
    """

    budget: int
    method: str | None = None
    seed: int = 0
    args: Mapping[str, Any] = field(default_factory=dict)
    objective: Mapping[str, float] = field(default_factory=dict)

    def build(self) -> tuple[SearchMethod, Objective]:
        """The method and its objective.

        Raises:
            UserInputError: unknown method or argument.
        """
        kind = get_method(self.method)
        objective = Reward(**_known(self.objective, Reward, "search.objective"))
        args = _known(self.args, kind.__init__, "search.args", without=("self", "objective"))
        return kind(objective=objective, **args), objective


@dataclass(frozen=True)
class StandalonePlan:
    """What is trained from scratch once the search has ended.

    Attributes:
        config: of the trainings; its backbone's scheme is replaced.
        candidates: how many of the best schemes.
        beside: of `BESIDE`.
        seed: of all trainings; None: the config's.
        options: config keys to override.
    """

    config: str
    candidates: int = 3
    beside: tuple[str, ...] = ()
    seed: int | None = None
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class SearchPlan:
    """A search from end to end; `standalone` None ends it with the search itself."""

    path: Path
    supernet: SupernetPlan
    search: MethodPlan
    standalone: StandalonePlan | None

    def __post_init__(self) -> None:
        if self.search.budget < 1:
            raise UserInputError(f"{self.path}: search.budget={self.search.budget}, expected at least one scheme")
        if self.standalone is None:
            return
        if unknown := [name for name in self.standalone.beside if name not in BESIDE]:
            raise UserInputError(
                f"{self.path}: standalone.beside={unknown[0]!r}, expected some of {', '.join(BESIDE)}."
                f"{did_you_mean(unknown[0], BESIDE)}"
            )
        if not 1 <= self.standalone.candidates <= 3:
            raise UserInputError(f"{self.path}: standalone.candidates={self.standalone.candidates}, expected 1 to 3")

    def file(self, name: str) -> Path:
        """A file that the config names: relative to the config's own folder."""
        return Path(name) if Path(name).is_absolute() else self.path.parent / name


SECTIONS = {"supernet": SupernetPlan, "search": MethodPlan, "standalone": StandalonePlan}


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
    _known(values, kind, f"config {path}: {key}")
    needed = "budget" if key == "search" else "config"
    if needed not in values:
        raise UserInputError(f"config {path}: {key} has no {needed!r}, which it needs")
    frozen = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
    if "options" in frozen:
        frozen["options"] = dict(_dotted(frozen["options"]))
    return kind(**frozen)


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

"""What a search config says: the supernet, the search, the stand-alone trainings. Imports no torch."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from mmengine.config import Config

from backbones.errors import UserInputError, did_you_mean
from backbones.schema import Check, Natural, Positive, read
from transfer.engine.config_check import read_config
from transfer.engine.config_files import find_config
from transfer.measure.latency import LatencyTable, Timing
from transfer.search.methods import DEFAULT_METHOD, get_method
from transfer.search.methods.base import SearchMethod
from transfer.search.objective import Objective, Reward, TimeReward, cost_of

Beside = Literal["plain", "full_sa", "full_share"]
BESIDE: tuple[str, ...] = get_args(Beside)
"""Networks that can be trained beside the candidates: without attention, one module per block, one per stage."""


@dataclass(frozen=True)
class SupernetConfig:
    """Which supernet is searched.

    Attributes:
        config: of its training.
        checkpoint: a trained one; None: it is trained in the search's own folder.
        seed: of its training; None: the config's.
        options: config keys to override, such as `{"val_dataloader.dataset.images": 2000}`, dotted or nested.
        bn: `"recalibrated"`, the default because its ranking agrees with training from scratch (see
            results/search/c100_study); `"running"`, as the authors' code. See `TrieEvaluator`.
        calibration_batch: images a batch of recalibration.
        precision: in which schemes are evaluated, see `TrieEvaluator`.
        split: `"val"`; `"test"` for tables of all schemes only, nothing is to be chosen by it.
    """

    config: str
    checkpoint: str | None = None
    seed: Natural | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    bn: Literal["recalibrated", "running"] = "recalibrated"
    calibration_batch: Positive = 256
    precision: Literal["float32", "bfloat16"] = "float32"
    split: Literal["val", "test"] = "val"

    def __post_init__(self) -> None:
        object.__setattr__(self, "options", dict(dotted(self.options)))


@dataclass(frozen=True)
class ObjectiveConfig:
    """What a search maximises.

    Attributes:
        kind: `"sparsity"`, see `Reward`; `"time"`, measured time in its place, see `TimeReward`.
        lambda1, lambda2, loss_weight: weights, see there.
        latency: for `"time"`, a file with a table of this network's block latencies; None: measured before the search.
        timing: for `"time"`, how to measure them.
    """

    kind: Literal["sparsity", "time"] = "sparsity"
    lambda1: int | float = Reward.lambda1
    lambda2: int | float = Reward.lambda2
    loss_weight: int | float = Reward.loss_weight
    latency: str | None = None
    timing: Timing = field(default_factory=Timing)

    def __post_init__(self) -> None:
        for key in ("latency", "timing") if self.kind != "time" else ():
            if getattr(self, key) not in (None, Timing()):
                raise UserInputError(f"key {key!r} is for kind='time' only, not for {self.kind!r}; leave it out")

    def build(self, table: LatencyTable | None) -> Reward | TimeReward:
        """The objective; `table` has the latencies of the blocks, for measured time."""
        weights = (self.lambda1, self.lambda2, self.loss_weight)
        if self.kind == "sparsity":
            return Reward(*weights)
        assert table is not None, "measured time needs a table"
        return TimeReward(table.per_block, *weights)


@dataclass(frozen=True)
class MethodConfig:
    """How it is searched.

    Attributes:
        method: a name of `list_methods`; None: the default one.
        budget: distinct schemes to evaluate.
        seed: of everything random in the search.
        args: further arguments of the method's constructor.
        objective: what is maximised.
    """

    budget: Positive
    method: str | None = None
    seed: Natural = 0
    args: Mapping[str, Any] = field(default_factory=dict)
    objective: ObjectiveConfig = field(default_factory=ObjectiveConfig)

    @property
    def name(self) -> str:
        """Of the method."""
        return self.method or DEFAULT_METHOD

    @property
    def timed(self) -> bool:
        """Whether measured time is part of the objective."""
        return self.objective.kind == "time"

    def build(self, objective: Objective) -> SearchMethod:
        """The method.

        Raises:
            UserInputError: unknown method or argument.
        """
        kind = get_method(self.method)
        parameters = inspect.signature(kind).parameters
        known = [name for name in parameters if name not in ("objective", "cost")]
        for key in self.args:
            if key not in known:
                raise UserInputError(
                    f"search.args has no key {key!r}, expected {', '.join(known) or 'none'}.{did_you_mean(key, known)}"
                )
        cost = {"cost": cost_of(objective)[0]} if "cost" in parameters else {}
        try:
            return kind(objective=objective, **self.args, **cost)
        except TypeError as error:
            raise UserInputError(f"search.args={dict(self.args)} do not fit method {self.name!r}: {error}") from error


@dataclass(frozen=True)
class StandaloneConfig:
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
    candidates: Annotated[int, Check("1 to 3", lambda number: 1 <= number <= 3)] = 3
    beside: tuple[Beside, ...] = ()
    seed: Natural | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    timing: Timing = field(default_factory=Timing)

    def __post_init__(self) -> None:
        object.__setattr__(self, "options", dict(dotted(self.options)))


@dataclass(frozen=True, kw_only=True)
class _Sections:
    supernet: SupernetConfig
    search: MethodConfig
    standalone: StandaloneConfig | None = None


@dataclass(frozen=True, kw_only=True)
class SearchConfig(_Sections):
    """A search from end to end; `standalone` None ends it with the search itself. `path` is the config's own file."""

    path: Path

    def file(self, name: str) -> Path:
        """A file that the config names: relative to the config's own folder."""
        return self.path.parent / name


def read_search_config(path: str | Path, options: Mapping[str, Any] | None = None) -> SearchConfig:
    """Reads a search config, a file or one of ours by name (see `find_config`), and applies dotted `key=value` options.

    Raises:
        UserInputError: no such file, a key that nothing reads, a value out of range.
    """
    return search_config_of(*opened_config(path, options))


def opened_config(path: str | Path, options: Mapping[str, Any] | None = None) -> tuple[Config, Path]:
    """What a search config's file holds, of whichever kind of search, with the options; and the file."""
    path = find_config(path, "search")
    config = read_config(path, path)
    config.merge_from_dict(dict(options or {}))
    return config, path


def search_config_of(config: Config, path: Path) -> SearchConfig:
    """The search that an opened config asks for; raises `UserInputError` as `read_search_config` does."""
    sections = read(_Sections, config.to_dict(), f"config {path}", strict=True)
    return SearchConfig(**vars(sections), path=path)


def dotted(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Nested keys as dotted ones, whichever way they were written."""
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from dotted(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value

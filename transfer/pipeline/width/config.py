"""What a width search's config says: the network, the searches, the fine-tuning. Imports no torch."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from mmengine.config import Config

from backbones.errors import UserInputError, did_you_mean
from backbones.schema import Check, Natural, Positive, read
from transfer.engine.config_check import apply_options, load_config
from transfer.pipeline.config import SearchConfig, dotted, opened_config, search_config_of
from transfer.search.width.keep import Keep, Rank
from transfer.search.width.methods import WidthMethod, get_width_method

_Share = Annotated[float, Check("a share of at least 0 and below 1", lambda value: 0 <= value < 1)]
_AboveZero = Annotated[float, Check("a number above 0", lambda value: value > 0)]
_Strength = Annotated[float, Check("a number of at least 0: a penalty, not a reward", lambda value: value >= 0)]

_NOT_INHERITED = ("name", "args", "equal_cost")
"""Keys of `width` that the searches beside it do not take over."""


@dataclass(frozen=True)
class DenseConfig:
    """The network at full width.

    Attributes:
        config: of its training; its model, data sets and batch size are also those of the search.
        weights: `"trained"`, in the search's own folder, where anything starts from it; `"card"`, those of the
            backbone's card.
        checkpoint: a trained one, instead.
        seed: of its training; None: the config's.
        options: config keys to override.
    """

    config: str
    weights: Literal["trained", "card"] = "trained"
    checkpoint: str | None = None
    seed: Natural | None = None
    options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.checkpoint is not None and self.weights == "card":
            raise UserInputError("key 'checkpoint' and weights='card' exclude each other; leave one out")
        object.__setattr__(self, "options", dict(dotted(self.options)))


@dataclass(frozen=True)
class WidthConfig:
    """One search for widths.

    Attributes:
        method: a name of `transfer.search.width.methods`.
        keep: how much of the network stays, see `Keep`.
        name: in results; default the method's.
        args: of the method's constructor.
        epochs: passes over the training data; for a method that splits them in halves, over pairs.
        equal_cost: instead of `epochs`, as many steps as the first search's images allow.
        start: `"dense"`, the trained network; `"scratch"`, as the thesis.
        rank: see `transfer.search.width.ranking.scaled`.
        min_keep: share of its channels that each site keeps in any case, at least 2.
        shrink: what the penalty alone would take off a gate in the whole search; see `gamma_of`.
        gamma: strength of the penalty itself, instead of `shrink`.
        lr, momentum, weight_decay: of SGD; gates have no weight decay.
        schedule: of the learning rate: `"constant"`, `"cosine"` or `"steps"`.
        seed: of everything random.
        checkpoint_interval: steps between checkpoints of the search.
    """

    method: str
    keep: Keep
    name: str | None = None
    args: Mapping[str, Any] = field(default_factory=dict)
    epochs: Positive = 10
    equal_cost: bool = False
    start: Literal["dense", "scratch"] = "dense"
    rank: Rank = "layer"
    min_keep: _Share = 0.1
    shrink: _Strength = 3.0
    gamma: _Strength | None = None
    lr: _AboveZero = 0.05
    momentum: _Share = 0.9
    weight_decay: _Strength = 1e-4
    schedule: Literal["constant", "cosine", "steps"] = "constant"
    seed: Natural = 0
    checkpoint_interval: Positive = 200

    @property
    def label(self) -> str:
        """Its name in results."""
        return self.name or self.method

    def build(self) -> WidthMethod:
        """The method.

        Raises:
            UserInputError: unknown method or argument.
        """
        kind = get_width_method(self.method)
        known = [] if kind.__init__ is object.__init__ else list(inspect.signature(kind).parameters)
        for key in self.args:
            if key not in known:
                raise UserInputError(
                    f"width.args has no key {key!r}, expected {', '.join(known) or 'none'}.{did_you_mean(key, known)}"
                )
        try:
            return kind(**self.args)
        except TypeError as error:
            raise UserInputError(f"width.args={dict(self.args)} do not fit method {self.method!r}: {error}") from error


@dataclass(frozen=True)
class DistillConfig:
    """How the pruned network learns from the whole one: see `tasks.classification.DistilledClassifier`."""

    kd_weight: _Strength = 1.0
    temperature: _AboveZero = 4.0
    t_squared: bool = False


@dataclass(frozen=True)
class FinetuneConfig:
    """Training of the pruned networks, from their warm starts.

    Attributes:
        config: of the trainings; its backbone is replaced.
        seed: of all trainings; None: the config's.
        options: config keys to override.
        distill: None: cross-entropy alone.
    """

    config: str
    seed: Natural | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    distill: DistillConfig | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "options", dict(dotted(self.options)))


@dataclass(frozen=True, kw_only=True)
class _Sections:
    dense: DenseConfig
    width: Mapping[str, Any]
    beside: tuple[Mapping[str, Any], ...] = ()
    finetune: FinetuneConfig | None = None


@dataclass(frozen=True, kw_only=True)
class WidthSearchConfig:
    """A width search from end to end.

    Attributes:
        dense: the network.
        searches: the search proper, and those beside it: each key that they leave out is as in the first.
        finetune: None ends it with the searches.
        path: the config's own file.
    """

    dense: DenseConfig
    searches: tuple[WidthConfig, ...]
    finetune: FinetuneConfig | None
    path: Path

    def file(self, name: str) -> Path:
        """A file that the config names: relative to the config's own folder."""
        return self.path.parent / name

    def dense_config(self) -> Config:
        """The config of the training at full width, with the search config's options."""
        return self._loaded(self.dense.config, self.dense.options)

    def finetune_config(self) -> Config:
        """The config of the fine-tuning, with the search config's options."""
        assert self.finetune is not None
        return self._loaded(self.finetune.config, self.finetune.options)

    def _loaded(self, name: str, options: Mapping[str, Any]) -> Config:
        found = load_config(self.file(name))
        apply_options(found, options)
        if "backbone" not in found.model:
            raise UserInputError(f"config {found.filename}: its model has no backbone, expected a Classifier")
        return found

    @property
    def distill(self) -> DistillConfig | None:
        """How pruned networks learn from the whole one."""
        return None if self.finetune is None else self.finetune.distill

    @property
    def needs_dense(self) -> bool:
        """Whether anything starts from the trained network, or learns from it."""
        return self.distill is not None or any(search.start == "dense" for search in self.searches)


def read_any_config(
    path: str | Path, options: Mapping[str, Any] | None = None, *, seed: int | None = None
) -> SearchConfig | WidthSearchConfig:
    """Reads a config of either kind of search, one of widths having a section `width`; `seed` replaces the search's."""
    config, file = opened_config(path, options)
    if seed is not None:
        config.merge_from_dict({f"{'width' if 'width' in config else 'search'}.seed": seed})
    return width_config_of(config, file) if "width" in config else search_config_of(config, file)


def width_config_of(config: Config, path: Path) -> WidthSearchConfig:
    """Reads a width search's config.

    Raises:
        UserInputError: a key that nothing reads, a value out of range, two searches of one name.
    """
    where = f"config {path}"
    sections = read(_Sections, config.to_dict(), where, strict=True)
    first = read(WidthConfig, sections.width, f"{where}, section 'width'", strict=True)
    common = {key: value for key, value in sections.width.items() if key not in _NOT_INHERITED}
    others = [
        read(WidthConfig, _over(common, own), f"{where}, beside[{number}]", strict=True)
        for number, own in enumerate(sections.beside)
    ]
    found = WidthSearchConfig(dense=sections.dense, searches=(first, *others), finetune=sections.finetune, path=path)
    _check(found, where)
    return found


def _over(common: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """The first search's keys below a search's own; a strength given in one way hides one given in the other."""
    hidden = ("gamma",) if "shrink" in own else ()
    return {**{key: value for key, value in common.items() if key not in hidden}, **own}


def _check(config: WidthSearchConfig, where: str) -> None:
    labels = [search.label for search in config.searches]
    for label in labels:
        if labels.count(label) > 1:
            raise UserInputError(f"{where}: two searches are called {label!r}; give one a 'name' of its own")
        if not label.replace("_", "").replace("-", "").isalnum():
            raise UserInputError(f"{where}: name {label!r}, expected letters, digits, '_' and '-': it names a folder")
    first, *others = config.searches
    if first.equal_cost:
        raise UserInputError(f"{where}: key 'width.equal_cost': the first search sets the cost; give it to one beside")
    for search in config.searches:
        method = search.build()
        if search.equal_cost and not method.gradients:
            raise UserInputError(f"{where}: {search.label} trains nothing, so it has no equal_cost; leave it out")
        if not method.gradients and search.start == "scratch":
            raise UserInputError(f"{where}: {search.label} trains nothing, so it needs start='dense'")
    if any(search.equal_cost for search in others) and not first.build().gradients:
        raise UserInputError(
            f"{where}: {first.label} trains nothing, so nothing can have its cost; leave equal_cost out"
        )

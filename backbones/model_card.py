"""The card of a trained task model: task, config, weights, the data behind it and what it reached. No torch."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from backbones import schema
from backbones.errors import UserInputError
from backbones.literals import read_assignments
from backbones.weights_file import Weights, find_weights

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]*(\.[a-z0-9_-]+)*")
_SCHEME = re.compile(r"[01]+(\.[01]+)*")


@dataclass(frozen=True)
class UsedBackbone:
    """The registered backbone in the model, and its connection scheme as text."""

    name: str
    scheme: str | None = None

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise UserInputError(f"key 'name' is {self.name!r}, expected a backbone's, such as 'resnet38.cifar100'")
        if self.scheme is not None and not _SCHEME.fullmatch(self.scheme):
            raise UserInputError(f"key 'scheme' is {self.scheme!r}, expected bits by stage, such as '1010.1010.1010'")


@dataclass(frozen=True)
class TrainingData:
    """What the model has seen: the data in words, the kind of images, and what the data's licence allows."""

    trained_on: str = "unstated"
    domain: str = "unstated"
    licence: str = "unstated"


@dataclass(frozen=True)
class Measured:
    """Metrics by name, measured by `command` on `data`; `intervals` holds lower and upper end of some of them."""

    command: str
    data: str
    metrics: Mapping[str, float] = field(hash=False)
    intervals: Mapping[str, tuple[float, float]] = field(default_factory=dict, hash=False)
    note: str = ""

    def __post_init__(self) -> None:
        if not self.metrics:
            raise UserInputError("key 'metrics' is empty, expected at least one")
        for name, (low, high) in self.intervals.items():
            if name not in self.metrics or not low <= self.metrics[name] <= high:
                raise UserInputError(
                    f"key 'intervals.{name}' is {low} to {high}, expected the ends around {self.metrics.get(name)}"
                )

    def __str__(self) -> str:
        said = []
        for name, value in self.metrics.items():
            ends = self.intervals.get(name)
            said.append(f"{name} {value:.4g}" + (f" ({ends[0]:.4g} to {ends[1]:.4g})" if ends else ""))
        return ", ".join(said)


@dataclass(frozen=True)
class StoredConfig:
    """The whole config as text of plain assignments, which are read and never run; `source` is the file's name."""

    text: str
    source: str = ""

    def __post_init__(self) -> None:
        if "model" not in self.values():
            raise UserInputError("key 'text' holds no 'model', expected a whole config")

    def values(self) -> dict[str, Any]:
        """The config as plain values."""
        return read_assignments(self.text, "key 'text'")


@dataclass(frozen=True, kw_only=True)
class ModelCard:
    """One trained task model. Validated on construction; read from and written to TOML.

    Attributes:
        name: lower case, such as `shha_r38_ean_se`.
        task: a folder of `tasks`, such as `counting`.
        summary: one line.
        noun: what a counter counts, as its config says.
        default: whether it is the model that is taken where none is named, one at most for each task.
        backbone: None where the model holds no registered one.
        data: what it was trained on.
        measured: what it reached.
        weights: their file beside the card, or where it comes from.
        config: of the model and its data.
        path: the card's file, None where it has none yet.

    Raises:
        UserInputError: names the key, what is wrong, what was expected.
    """

    name: str
    task: str
    summary: str = ""
    noun: str = "people"
    default: bool = False
    backbone: UsedBackbone | None = None
    data: TrainingData = TrainingData()
    measured: tuple[Measured, ...] = ()
    weights: Weights
    config: StoredConfig
    path: Path | None = field(default=None, compare=False, metadata=schema.NO_KEY)

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise UserInputError(
                f"key 'name' is {self.name!r}, expected lower case, letters, digits, '_', '-' and '.', such as "
                "'shha_r38_ean_se'"
            )

    def weights_path(self) -> Path:
        """Returns the file of the weights, after checking its SHA-256.

        Raises:
            UserInputError: it is missing, leaves the card's folder, or is another.
        """
        mend = f"run `tools/backbones.py fetch --url {self.weights.url} --sha256 {self.weights.sha256}`"
        return find_weights(self.weights, self.path, self.name, mend=mend)

    @classmethod
    def read(cls, path: str | Path) -> ModelCard:
        """Reads a card's TOML file; raises `UserInputError` that names the file and the key."""
        return cls.parse(schema.read_text(path, "a model's card"), path)

    @classmethod
    def parse(cls, text: str, path: str | Path) -> ModelCard:
        """The card that TOML text describes; `path` is where it lies, and stands in error messages."""
        return replace(schema.read(cls, schema.parse_toml(text, path), path, strict=True), path=Path(path))

    def to_toml(self) -> str:
        """The card as TOML; reading it back and writing it again gives the same bytes."""
        return schema.toml_text(self.to_dict())

    def to_dict(self) -> dict[str, Any]:
        """The card as plain values, in the order of the TOML file; what says nothing is left out."""
        return schema.write(self, short=True)

"""What `search.json` and `standalone.json` say, key by key, for those who act on it. Imports no torch."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar

from backbones.arch import get_arch
from backbones.errors import UserInputError
from backbones.scheme import ConnectionScheme
from transfer.search.outcome import FORMAT, SEARCH, STANDALONE

GO_ON = "finish the search with `tools/search.py CONFIG --work-dir WORK_DIR --resume`"
AGAIN = "let `tools/search.py` write it anew"

Percent = float

_T = TypeVar("_T")


@dataclass(frozen=True)
class Accuracy:
    """Of a trained network on one set of images, in percent."""

    top1: Percent
    top5: Percent


@dataclass(frozen=True)
class Training:
    """A stand-alone network that was trained and tested; an entry of `standalone.json`.

    Attributes:
        name: `candidate N`, or which network beside them it is: `plain`, `full_sa`, `full_share`.
        scheme: which blocks are connected.
        attention: None for a network without.
        config: that it was trained with, for `max_iters` iterations.
        val: on D_val, by which candidates are compared.
        test: on the test images.
        checkpoint: the file, in the work directory; `sha256` is its hash.
    """

    name: str
    scheme: ConnectionScheme
    sharing: str
    attention: str | None
    seed: int | None
    config: str
    max_iters: int
    val: Accuracy
    test: Accuracy
    checkpoint: str
    sha256: str

    @property
    def is_candidate(self) -> bool:
        """Whether the search found its scheme; else it stands beside it for comparison."""
        return self.name.startswith("candidate")


@dataclass(frozen=True)
class Supernet:
    """The supernet that was searched; None where nothing is known of its training."""

    sha256: str
    config: str | None
    beta: float | None
    seed: int | None
    max_iters: int | None
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Candidate:
    """One of the schemes that a search returned."""

    scheme: ConnectionScheme


@dataclass(frozen=True)
class Search:
    """A search that has ended; what `search.json` says of it and a card repeats."""

    method: str
    method_args: dict[str, Any]
    objective: dict[str, Any]
    budget: int | None
    evaluations: int | None
    seed: int
    arch: str
    attention: str | None
    attention_args: dict[str, Any]
    sharing: str
    num_classes: int
    in_channels: int
    data: str
    bn: str | None
    supernet: Supernet
    log_sha256: str
    candidates: tuple[Candidate, ...]


def read_search(work_dir: Path) -> Search:
    """Reads `search.json`.

    Raises:
        UserInputError: the search has not ended, or the file is no such record.
    """
    path = work_dir / SEARCH
    table = _json(path, "the search has not ended")
    return _read(Search, table, path, _depths(table, path))


def read_trainings(work_dir: Path, depths: tuple[int, ...]) -> tuple[list[Training], ConnectionScheme | None]:
    """Reads `standalone.json`: the trainings that have ended, and the scheme of the best candidate.

    Raises:
        UserInputError: no training has ended, or the file is no such record.
    """
    path = work_dir / STANDALONE
    table = _json(path, "no candidate has been trained to its end")
    entries = _value(table, "runs", "list", path, "")
    trainings = [_read(Training, entry, path, depths, f"runs[{i}].") for i, entry in enumerate(entries)]
    best = _value(table, "best", "str | None", path, "")
    return trainings, None if best is None else _scheme(best, "best", path, depths)


def _json(path: Path, missing: str) -> dict[str, Any]:
    """The object in a file of this format."""
    if not path.parent.is_dir():
        raise UserInputError(f"{path.parent}: no such folder, expected the work directory of `tools/search.py`")
    if not path.is_file():
        raise UserInputError(f"{path}: no such file: {missing}; {GO_ON}")
    try:
        table = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:  # of the encoding, or of JSON
        raise UserInputError(f"{path}: not valid JSON: {error}; {AGAIN}") from None
    if not isinstance(table, dict):
        raise UserInputError(f"{path}: is not a JSON object; {AGAIN}")
    if table.get("format") != FORMAT:
        raise UserInputError(
            f"{path}: key 'format' is {table.get('format')!r}, expected {FORMAT}: another version wrote it; {AGAIN}"
        )
    return table


def _depths(table: Mapping[str, Any], path: Path) -> tuple[int, ...]:
    arch = _value(table, "arch", "str", path, "")
    try:
        return get_arch(arch).depths
    except UserInputError as error:
        raise UserInputError(f"{path}: key 'arch': {error}") from None


def _scheme(text: str, key: str, path: Path, depths: tuple[int, ...]) -> ConnectionScheme:
    try:
        return ConnectionScheme.parse(text, depths)
    except UserInputError as error:
        raise UserInputError(f"{path}: key {key!r}: {error}; {AGAIN}") from None


def _number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


_KINDS: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "str": ("text", lambda value: isinstance(value, str)),
    "int": ("a whole number", lambda value: isinstance(value, int) and not isinstance(value, bool)),
    "float": ("a number", _number),
    "Percent": ("a number from 0 to 100", lambda value: _number(value) and 0 <= value <= 100),
    "dict[str, Any]": ("an object", lambda value: isinstance(value, dict)),
    "list": ("a list", lambda value: isinstance(value, list)),
}
_PARTS: dict[str, type] = {"Accuracy": Accuracy, "Supernet": Supernet}


def _read(cls: type[_T], table: Any, path: Path, depths: tuple[int, ...], prefix: str = "") -> _T:
    """Fills a record from a JSON object: each field is a key of it; other keys are left to other readers."""
    if not isinstance(table, dict):
        raise UserInputError(f"{path}: key {prefix.rstrip('.')!r} is {table!r}, expected an object; {AGAIN}")
    values: dict[str, Any] = {}
    for part in fields(cls):  # type: ignore[arg-type]
        key, kind = part.name, str(part.type)
        if key not in table and part.default_factory is not MISSING:
            continue
        if kind in _PARTS:
            values[key] = _read(
                _PARTS[kind], _value(table, key, "dict[str, Any]", path, prefix), path, depths, f"{prefix}{key}."
            )
        elif kind == "tuple[Candidate, ...]":
            entries = enumerate(_value(table, key, "list", path, prefix))
            values[key] = tuple(_read(Candidate, entry, path, depths, f"{prefix}{key}[{i}].") for i, entry in entries)
        elif kind == "ConnectionScheme":
            values[key] = _scheme(_value(table, key, "str", path, prefix), prefix + key, path, depths)
        else:
            values[key] = _value(table, key, kind, path, prefix)
    return cls(**values)


def _value(table: Mapping[str, Any], key: str, kind: str, path: Path, prefix: str) -> Any:
    kind, _, optional = kind.partition(" | ")
    expected, fits = _KINDS[kind]
    if key not in table:
        raise UserInputError(f"{path}: key {prefix + key!r} is missing, expected {expected}; {AGAIN}")
    value = table[key]
    if not fits(value) and not (optional and value is None):
        raise UserInputError(f"{path}: key {prefix + key!r} is {value!r}, expected {expected}; {AGAIN}")
    return value

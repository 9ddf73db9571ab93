"""What `search.json`, `standalone.json` and the log say, key by key: the one reader of a search's work directory.

Imports no torch.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar

from backbones.arch import get_arch
from backbones.errors import UserInputError
from backbones.scheme import ConnectionScheme
from transfer.search.log import LOG_NAME
from transfer.search.objective import FrontPoint
from transfer.search.problem import Evaluation

SEARCH, STANDALONE, INCREMENT = "search.json", "standalone.json", "increment.json"
FORMAT = 1
GO_ON = "finish the search with `tools/search.py CONFIG --work-dir WORK_DIR --resume`"
AGAIN = "let `tools/search.py` write it anew"

Percentages = Mapping[str, float]
"""Accuracies of a trained network in percent, `top1` and `top5`."""

_T = TypeVar("_T")


@dataclass(frozen=True)
class Entry:
    """A scheme, its evaluation by the supernet, and its value under the search's objective."""

    scheme: ConnectionScheme
    accuracy: float
    loss: float
    n: int
    value: float

    @property
    def evaluation(self) -> Evaluation:
        """What the log says of it."""
        return Evaluation(self.accuracy, self.loss, self.n)


@dataclass(frozen=True)
class Run:
    """A stand-alone network that was trained and tested; an entry of `standalone.json`.

    Attributes:
        name: `candidate N`, or which network beside them it is: `plain`, `full_sa`, `full_share`.
        scheme: which blocks are connected.
        attention: None for a network without.
        seed: None where nobody noted it.
        config: that it was trained with, for `max_iters` iterations.
        val: on D_val, by which candidates are compared.
        test: on the test images.
        checkpoint: the file, in the work directory; `sha256` is its hash.
        seconds: duration of the training, as far as known.
        options: keys of the config that were overridden; None where that was not recorded.
        amp: whether mixed precision was on; None where that was not recorded.
    """

    name: str
    scheme: ConnectionScheme
    sharing: str
    attention: str | None
    seed: int | None
    config: str
    max_iters: int
    val: Percentages
    test: Percentages
    checkpoint: str
    sha256: str
    seconds: float | None = None
    options: dict[str, Any] | None = None
    amp: bool | None = None

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
class Search:
    """A search that has ended.

    Attributes:
        order: the distinct schemes, in the order in which the search asked for them.
        best: by the objective, in the supernet.
        candidates: what it handed on to stand-alone training, best first.
        front: schemes that no other beats in both accuracy and cost.
        hypervolume: of the front, with its reference point; empty where none was recorded.
        trace: what the method noted as it went.
        values: all of `search.json`, as it is.
    """

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
    best: Entry
    candidates: tuple[Entry, ...]
    order: tuple[ConnectionScheme, ...]
    front: tuple[FrontPoint, ...] = ()
    hypervolume: dict[str, Any] = field(default_factory=dict)
    trace: tuple[dict[str, Any], ...] = ()
    values: dict[str, Any] = field(default_factory=dict, compare=False)

    @property
    def depths(self) -> tuple[int, ...]:
        """Blocks of each stage."""
        return get_arch(self.arch).depths


def read_search(work_dir: str | Path) -> Search:
    """Reads `search.json`.

    Raises:
        UserInputError: the search has not ended, or the file is no such record.
    """
    path = Path(work_dir) / SEARCH
    table = read_object(path, "the search has not ended")
    arch = _value(table, "arch", "str", path, "")
    try:
        depths = get_arch(arch).depths
    except UserInputError as error:
        raise UserInputError(f"{path}: key 'arch': {error}") from None
    return _read(Search, {**table, "values": table}, path, depths)


def read_runs(work_dir: str | Path, depths: tuple[int, ...]) -> tuple[tuple[Run, ...], ConnectionScheme | None]:
    """Reads `standalone.json`: the trainings that have ended, and the scheme of the best candidate.

    Raises:
        UserInputError: no training has ended, or the file is no such record.
    """
    path = Path(work_dir) / STANDALONE
    table = read_object(path, "no candidate has been trained to its end")
    entries = _value(table, "runs", "list", path, "")
    runs = tuple(_read(Run, entry, path, depths, f"runs[{i}].") for i, entry in enumerate(entries))
    best = _value(table, "best", "str | None", path, "")
    return runs, _scheme(best, "best", path, depths) if best else None


def read_evaluations(work_dir: str | Path, search: Search) -> dict[ConnectionScheme, Evaluation]:
    """Reads the log of a finished search: what it evaluated, and what may have been evaluated since.

    The log that the search left is known by its hash. Lines may have been added after it, none may have changed.

    Raises:
        UserInputError: the log is missing, was changed, is of another supernet, or lacks what the search asked for.
    """
    path = Path(work_dir) / LOG_NAME
    if not path.is_file():
        raise UserInputError(f"{path}: no such file, expected the log of the search; bring it back")
    data = path.read_bytes()
    if not _begins_with(data, search.log_sha256):
        raise UserInputError(
            f"{path}: sha256 is {hashlib.sha256(data).hexdigest()}, but key 'log_sha256' of {SEARCH} says "
            f"{search.log_sha256}, and no part from its beginning on has that either: it was changed since; bring back "
            "the original"
        )
    found: dict[ConnectionScheme, Evaluation] = {}
    for number, line in enumerate(data[: data.rfind(b"\n") + 1].splitlines(), 1):
        scheme, evaluation, supernet = _logged(line, search.depths, f"{path}, line {number}")
        if supernet != search.supernet.sha256:
            raise UserInputError(f"{path}, line {number}: is of another supernet than {SEARCH}")
        found[scheme] = evaluation
    absent = [scheme for scheme in search.order if scheme not in found]
    if absent or not search.order:
        raise UserInputError(f"{path}: lacks {len(absent)} of the {len(search.order)} schemes of {SEARCH}")
    return found


def _begins_with(log: bytes, sha256: str) -> bool:
    """Whether the log, or its first lines up to some line, have that hash."""
    running = hashlib.sha256()
    for line in log.splitlines(keepends=True):
        running.update(line)
        if running.hexdigest() == sha256:
            return True
    return False


def _logged(line: bytes, depths: tuple[int, ...], where: str) -> tuple[ConnectionScheme, Evaluation, str | None]:
    try:
        entry = json.loads(line)
        evaluation = Evaluation(float(entry["accuracy"]), float(entry["loss"]), int(entry["n"]))
        return ConnectionScheme.parse(entry["scheme"], depths), evaluation, entry["supernet_sha256"]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        what = f"no {error}" if isinstance(error, KeyError) else error
        raise UserInputError(f"{where}: no logged evaluation of this search: {what}; bring back the log") from error


def read_increments(work_dir: str | Path) -> tuple[Mapping[str, Any], ...]:
    """The rows of `increment.json`; none where it is not there.

    Raises:
        UserInputError: the file is not what `tools/benchmark.py increment` writes.
    """
    path = Path(work_dir) / INCREMENT
    if not path.is_file():
        return ()
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))["rows"]
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise TypeError("'rows' is no list of objects")
    except (KeyError, TypeError, ValueError) as error:
        what = f"no {error}" if isinstance(error, KeyError) else error
        raise UserInputError(
            f"{path}: {what}; expected what `tools/benchmark.py increment --out` writes, delete it to measure anew"
        ) from error
    return tuple(rows)


# ---- JSON, key by key


def read_object(path: Path, missing: str) -> dict[str, Any]:
    """The JSON object in a file of this format; `missing` says what it means that there is none.

    Raises:
        UserInputError: no such file or folder, no JSON object, or another format.
    """
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


def _scheme(text: str, key: str, path: Path, depths: tuple[int, ...]) -> ConnectionScheme:
    try:
        return ConnectionScheme.parse(text, depths)
    except UserInputError as error:
        raise UserInputError(f"{path}: key {key!r}: {error}; {AGAIN}") from None


def _number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


_KINDS: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "str": ("text", lambda value: isinstance(value, str)),
    "int": ("a whole number", lambda value: isinstance(value, int) and not isinstance(value, bool)),
    "float": ("a number", _number),
    "bool": ("true or false", lambda value: isinstance(value, bool)),
    "Percent": ("a number from 0 to 100", lambda value: _number(value) and 0 <= value <= 100),
    "dict[str, Any]": ("an object", lambda value: isinstance(value, dict)),
    "list": ("a list", lambda value: isinstance(value, list)),
}
_PARTS: dict[str, type] = {"Supernet": Supernet, "Entry": Entry, "FrontPoint": FrontPoint}


def _read(cls: type[_T], table: Any, path: Path, depths: tuple[int, ...], prefix: str = "") -> _T:
    """Fills a record from a JSON object: each field is a key of it; other keys are left to other readers."""
    if not isinstance(table, dict):
        raise UserInputError(f"{path}: key {prefix.rstrip('.')!r} is {table!r}, expected an object; {AGAIN}")
    values: dict[str, Any] = {}
    for part in fields(cls):  # type: ignore[arg-type]
        optional = part.default is not MISSING or part.default_factory is not MISSING
        if part.name in table or not optional:
            values[part.name] = _field(str(part.type), table, part.name, path, depths, prefix)
    return cls(**values)


def _field(kind: str, table: dict[str, Any], key: str, path: Path, depths: tuple[int, ...], prefix: str) -> Any:
    if kind.startswith("tuple["):
        inner = kind.removeprefix("tuple[").removesuffix(", ...]")
        entries = enumerate(_value(table, key, "list", path, prefix))
        return tuple(_field(inner, {f"{key}[{i}]": entry}, f"{key}[{i}]", path, depths, prefix) for i, entry in entries)
    if kind == "ConnectionScheme":
        return _scheme(_value(table, key, "str", path, prefix), prefix + key, path, depths)
    if kind == "Percentages":
        found = _value(table, key, "dict[str, Any]", path, prefix)
        return {name: _value(found, name, "Percent", path, f"{prefix}{key}.") for name in ("top1", "top5")}
    if kind in _PARTS:
        return _read(_PARTS[kind], _value(table, key, "dict[str, Any]", path, prefix), path, depths, f"{prefix}{key}.")
    return _value(table, key, kind, path, prefix)


def _value(table: Mapping[str, Any], key: str, kind: str, path: Path, prefix: str) -> Any:
    kind, _, optional = kind.partition(" | ")
    expected, fits = _KINDS[kind]
    if key not in table:
        raise UserInputError(f"{path}: key {prefix + key!r} is missing, expected {expected}; {AGAIN}")
    value = table[key]
    if not fits(value) and not (optional and value is None):
        raise UserInputError(f"{path}: key {prefix + key!r} is {value!r}, expected {expected}; {AGAIN}")
    return value

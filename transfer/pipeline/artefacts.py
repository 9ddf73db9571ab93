"""What `search.json`, `standalone.json` and `increment.json` say, one record each: who writes them and who reads them.

Imports no torch.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from backbones.arch import get_arch
from backbones.errors import UserInputError
from backbones.schema import is_number, load_json, read, write
from backbones.scheme import ConnectionScheme
from transfer.search.log import LOG_NAME, parse_log
from transfer.search.objective import FrontPoint
from transfer.search.problem import Evaluation

SEARCH, STANDALONE, INCREMENT, TABLE = "search.json", "standalone.json", "increment.json", "table.json.gz"
FORMAT = 1
GO_ON = "finish the search with `tools/search.py CONFIG --work-dir WORK_DIR --resume`"
AGAIN = "let `tools/search.py` write it anew"


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


@dataclass(frozen=True, kw_only=True)
class Run:
    """A stand-alone network that was trained and tested; an entry of `standalone.json`.

    Attributes:
        name: `candidate N` or `sample N`, or which network beside them it is: `plain`, `full_sa`, `full_share`.
        scheme: which blocks are connected.
        attention: None for a network without.
        seed: None where nobody noted it.
        config: that it was trained with, for `max_iters` iterations.
        options: keys of the config that were overridden; None where that was not recorded.
        amp: whether mixed precision was on; None where that was not recorded.
        val: on D_val, by which candidates are compared; `top1` and `top5` in percent.
        test: on the test images.
        checkpoint: the file, in the work directory; `sha256` is its hash.
        seconds: duration of the training, as far as known.
        picked: how a sample came to its scheme; empty for the networks of a search.
    """

    name: str
    scheme: ConnectionScheme
    sharing: str
    attention: str | None
    seed: int | None
    config: str
    options: Mapping[str, Any] | None = None
    amp: bool | None = None
    max_iters: int
    val: Mapping[str, Any]
    test: Mapping[str, Any]
    checkpoint: str
    sha256: str
    seconds: float | None = None
    picked: str = ""

    def __post_init__(self) -> None:
        for split, name in itertools.product(("val", "test"), ("top1", "top5")):
            value = getattr(self, split).get(name)
            if not is_number(value) or not 0 <= value <= 100:
                raise UserInputError(f"key '{split}.{name}' is {value!r}, expected a number from 0 to 100")

    @property
    def is_candidate(self) -> bool:
        """Whether the search found its scheme; else it stands beside it for comparison."""
        return self.name.startswith("candidate")


@dataclass(frozen=True)
class Standalone:
    """Stand-alone trainings that have ended, as `standalone.json` has them.

    Attributes:
        training: how all of them are trained; empty where an earlier version left it out.
        runs: those that have ended.
        best: scheme of the candidate with the greatest top-1 accuracy on D_val; None where no candidate has ended.
    """

    runs: tuple[Run, ...]
    best: ConnectionScheme | None
    training: Mapping[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """`standalone.json` in plain values."""
        return {
            "format": FORMAT,
            "training": self.training,
            "runs": list(map(_as_row, self.runs)),
            "best": self.best and str(self.best),
        }


@dataclass(frozen=True, kw_only=True)
class Supernet:
    """The supernet that was searched; None where nothing is known of its training."""

    config: str | None
    options: Mapping[str, Any] = field(default_factory=dict)
    sha256: str
    seed: int | None
    max_iters: int | None
    beta: float | None
    seconds: float | None = None


@dataclass(frozen=True, kw_only=True)
class Search:
    """A search that has ended, as `search.json` has it.

    Attributes:
        settings: all that an evaluation depended on.
        log_sha256: of the log when the search ended.
        evaluations: how many schemes the search asked for.
        fresh: how many of them were not in the log yet.
        seconds: duration.
        images: that the method itself showed to the supernet.
        best: by the objective, in the supernet.
        candidates: what it handed on to stand-alone training, best first.
        order: the distinct schemes, in the order in which the search asked for them.
        front: schemes that no other beats in both accuracy and cost.
        hypervolume: of the front: `value`, its reference point `accuracy` and `cost`, and `of`, what cost is; empty
            where none was recorded.
        trace: what the method noted as it went.
    """

    method: str
    method_args: dict[str, Any]
    objective: dict[str, Any]
    budget: int | None
    seed: int
    arch: str
    attention: str | None
    attention_args: dict[str, Any]
    sharing: str
    num_classes: int
    in_channels: int
    data: str
    bn: str | None
    settings: dict[str, Any] = field(default_factory=dict)
    supernet: Supernet
    log_sha256: str
    evaluations: int | None
    fresh: int | None = None
    seconds: float | None = None
    images: int = 0
    best: Entry
    candidates: tuple[Entry, ...]
    order: tuple[ConnectionScheme, ...]
    front: tuple[FrontPoint, ...] = ()
    hypervolume: dict[str, Any] = field(default_factory=dict)
    trace: tuple[dict[str, Any], ...] = ()

    @property
    def depths(self) -> tuple[int, ...]:
        """Blocks of each stage."""
        return get_arch(self.arch).depths

    @property
    def reference(self) -> tuple[str, str]:
        """The network that a ticket is held against, and its sharing: Full-SA, or Full-Share for a recurrent SAM.

        What passes state between blocks, as DIA, is one module for all of them (LTH4SA, Table II).
        """
        from backbones.attention import get_attention

        recurrent = self.attention is not None and get_attention(self.attention).recurrent
        return ("full_share", "stage") if recurrent else ("full_sa", "block")

    @property
    def values(self) -> dict[str, Any]:
        """`search.json` in plain values."""
        return {"format": FORMAT, **write(self)}


@dataclass(frozen=True)
class _Architecture:
    arch: str


@dataclass(frozen=True)
class _Increments:
    rows: tuple[dict[str, Any], ...]


def read_search(work_dir: str | Path) -> Search:
    """Reads `search.json`.

    Raises:
        UserInputError: the search has not ended, or the file is no such record.
    """
    path = Path(work_dir) / SEARCH
    table = read_object(path, "the search has not ended")
    arch = read(_Architecture, table, path, mend=AGAIN).arch
    try:
        depths = get_arch(arch).depths
    except UserInputError as error:
        raise UserInputError(f"{path}: key 'arch': {error}") from None
    return read(Search, table, path, mend=AGAIN, depths=depths)


def read_standalone(work_dir: str | Path, depths: tuple[int, ...] | None = None) -> Standalone:
    """Reads `standalone.json`; its schemes must be of `depths` blocks.

    Raises:
        UserInputError: no training has ended, or the file is no such record.
    """
    path = Path(work_dir) / STANDALONE
    table = read_object(path, "no candidate has been trained to its end")
    return read(Standalone, table, path, mend=AGAIN, depths=depths)


def read_runs(work_dir: str | Path, depths: tuple[int, ...]) -> tuple[tuple[Run, ...], ConnectionScheme | None]:
    """The trainings that have ended, and the scheme of the best candidate; see `read_standalone`."""
    found = read_standalone(work_dir, depths)
    return found.runs, found.best


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
    for number, line in enumerate(parse_log(data, path, depths=search.depths, mend="bring back the log"), 1):
        if line.supernet_sha256 != search.supernet.sha256:
            raise UserInputError(f"{path}, line {number}: is of another supernet than {SEARCH}")
        found[line.scheme] = line.evaluation
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


def read_increments(work_dir: str | Path) -> tuple[Mapping[str, Any], ...]:
    """The rows of `increment.json`; none where it is not there.

    Raises:
        UserInputError: the file is not what `tools/benchmark.py increment` writes.
    """
    path = Path(work_dir) / INCREMENT
    if not path.is_file():
        return ()
    mend = "expected what `tools/benchmark.py increment --out` writes, delete it to measure anew"
    return read(_Increments, load_json(path, missing="", mend=mend), path, mend=mend).rows


def read_object(path: Path, missing: str) -> dict[str, Any]:
    """The JSON object in a file of a search's work directory; `missing` says what it means that there is none.

    Raises:
        UserInputError: no such file or folder, no JSON object, or another format.
    """
    if not path.parent.is_dir():
        raise UserInputError(f"{path.parent}: no such folder, expected the work directory of `tools/search.py`")
    return load_json(path, missing=f"{missing}; {GO_ON}", mend=AGAIN, form=FORMAT)


def _as_row(run: Run) -> dict[str, Any]:
    """A run in plain values, without what was not recorded."""
    row = write(run)
    return {
        key: value for key, value in row.items() if not (key in ("options", "amp", "picked") and value in (None, ""))
    }

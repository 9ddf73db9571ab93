"""Training a sample of schemes from scratch, all alike, to hold the rankings of a supernet against.

WORK_DIR/standalone/<scheme>/    a training each, resumable
WORK_DIR/standalone.json         results, as a search's own: the runs are called `sample 1`, `sample 2`, ...
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config

from backbones.arch import get_arch
from backbones.errors import UserInputError
from backbones.files import sha256_file
from backbones.registry import get_card
from backbones.scheme import ConnectionScheme
from transfer.engine.allocator import keep_freed_memory
from transfer.engine.checkpoint import newest_checkpoint, write_atomically
from transfer.engine.evaluation import as_json
from transfer.engine.training import explained, locked, say
from transfer.pipeline.artefacts import FORMAT, SEARCH, STANDALONE, read_object
from transfer.pipeline.config import SearchPlan
from transfer.pipeline.engines import Engine, Serial
from transfer.pipeline.run import supernet_config
from transfer.pipeline.stages.standalone import Network, check_standalone, train_one
from transfer.search.known_problems import TableProblem

Picked = dict[ConnectionScheme, str]
"""Schemes in the order in which they are trained, each with how it was picked."""


@dataclass(frozen=True)
class SampledNetwork:
    """What all networks of a sample have in common: that of a search config's supernet."""

    depths: tuple[int, ...]
    attention: str
    sharing: str

    @classmethod
    def of(cls, supernet: Config) -> SampledNetwork:
        """Reads the config of a supernet; raises `UserInputError` where its backbone has no attention."""
        backbone = supernet.model.backbone
        card = get_card(backbone.name)
        attention = backbone.get("attention", card.attention)
        if attention is None:
            raise UserInputError(f"config {supernet.filename}: its backbone has no attention to connect")
        return cls(get_arch(card.arch).depths, attention, backbone.get("sharing", card.sharing))


# ---- picking schemes


def given(texts: Iterable[str], depths: Sequence[int]) -> Picked:
    """Schemes that are named one by one.

    Args:
        texts: schemes, with or without dots, or files with one a line; what follows it on the line, and `#`, is left
            out.
        depths: blocks of each stage.

    Raises:
        UserInputError: neither a file nor a scheme of these depths.
    """
    picked: Picked = {}
    for text in texts:
        if not Path(text).is_file():
            picked[ConnectionScheme.parse(text, depths)] = "given"
            continue
        for number, line in enumerate(Path(text).read_text(encoding="utf-8").splitlines(), 1):
            words = line.partition("#")[0].split()
            if not words:
                continue
            try:
                picked[ConnectionScheme.parse(words[0], depths)] = "given"
            except UserInputError as error:
                raise UserInputError(f"{text}, line {number}: {error}") from None
    return picked


def spread(table: str | Path, number: int, depths: Sequence[int]) -> Picked:
    """Schemes at equal quantiles of a table's accuracies: in the middle of each of `number` parts of equal size.

    That makes a systematic sample of all schemes, as wide as the ranking, with nothing drawn by chance. Equal
    accuracies are ranked by their loss, and then by the scheme. The order jumps over the ranking, so that the first
    few are spread over it too.

    Raises:
        UserInputError: no table, one of another network, or more parts than schemes.
    """
    problem = TableProblem.load(table)
    if problem.depths != tuple(depths):
        raise UserInputError(f"{table}: its schemes are of {problem.depths} blocks, expected {tuple(depths)}")
    _check_number(number, len(problem.table), f"--spread {table} {number}")
    ranked = sorted(problem.table, key=lambda s: (problem.table[s].accuracy, -problem.table[s].loss, s.bits))
    places = [int((2 * part + 1) * len(ranked) / (2 * number)) for part in range(number)]
    digits = number.bit_length()
    order = sorted(range(number), key=lambda part: f"{part:0{digits}b}"[::-1])
    return {ranked[places[part]]: f"spread over {Path(table).name}" for part in order}


def drawn(number: int, seed: int, depths: Sequence[int]) -> Picked:
    """Distinct schemes out of all, each as likely as any other; raises `UserInputError` for more than there are."""
    _check_number(number, 2 ** sum(depths), f"--random {number}")
    generator, picked = torch.Generator().manual_seed(seed), Picked()
    while len(picked) < number:
        picked.setdefault(ConnectionScheme.random(depths, 0.5, generator), f"random, seed {seed}")
    return picked


def _check_number(number: int, most: int, what: str) -> None:
    if not 1 <= number <= most:
        raise UserInputError(f"{what}: expected 1 to {most} schemes")


# ---- training them


def train_sample(
    plan: SearchPlan, picked: Picked, work_dir: str | Path, *, amp: bool = False, engine: Engine | None = None
) -> int:
    """Trains each scheme from scratch and tests it, as far as that is not done, and returns the exit status.

    What was trained in the folder before stays in its `standalone.json`, which is written anew after each training.
    A training that was stopped goes on from its checkpoint.

    Args:
        plan: a search config, for its supernet's network and its stand-alone trainings.
        picked: the schemes.
        work_dir: of this sample; not a search's, which keeps its own trainings only.
        amp: mixed precision.
        engine: where they are trained; default in this process.

    Raises:
        UserInputError: wrong input, or the folder's trainings were begun in another way.
        RunError: the folder is in use.
    """
    folder, engine = Path(work_dir), engine or Serial()
    keep_freed_memory()
    if plan.standalone is None:
        raise UserInputError(f"config {plan.path}: has no section 'standalone', which says how to train from scratch")
    if (folder / SEARCH).exists():
        raise UserInputError(f"{folder}: holds a search, which keeps its own trainings only; choose another --work-dir")
    check_standalone(plan)
    SampledNetwork.of(supernet_config(plan))
    with locked(folder), explained(folder):
        rows = _finished(folder, _how(plan, amp))
        say(f"{len(picked)} schemes, {sum(str(scheme) in rows for scheme in picked)} of them are trained already")
        if status := _train_missing(plan, picked, folder, rows, amp, engine):
            return status
        for scheme in picked:
            row = rows[str(scheme)]
            say(f"{row['name']}  {scheme}  val top-1 {row['val']['top1']:.2f}  test top-1 {row['test']['top1']:.2f}")
    return 0


def _train_missing(
    plan: SearchPlan, picked: Picked, folder: Path, rows: dict[str, dict[str, Any]], amp: bool, engine: Engine
) -> int:
    """Trains what `rows` lack, adds it there and to the file, and returns the exit status."""
    training, supernet = _how(plan, amp), supernet_config(plan)
    network = SampledNetwork.of(supernet)
    missing = {scheme: how for scheme, how in picked.items() if str(scheme) not in rows}
    _write(folder, training, rows)  # before anything is trained: what is resumed must be of the same kind
    numbers = [row["name"].split()[-1] for row in rows.values()]
    first = 1 + max((int(number) for number in numbers if number.isdigit()), default=0)
    networks = [Network(f"sample {i}", scheme, network.sharing) for i, scheme in enumerate(missing, first)]
    jobs = [(plan, folder, supernet, one, network.attention, amp) for one in networks]
    for (scheme, how), (row, status) in zip(missing.items(), engine.run(train_one, jobs), strict=False):
        if status:
            return int(status)
        rows[str(scheme)] = {**row, "picked": how}
        _write(folder, training, rows)
    return 0


def _how(plan: SearchPlan, amp: bool) -> dict[str, Any]:
    """How all networks are trained, in plain values."""
    assert plan.standalone is not None
    return {
        "config": str(plan.file(plan.standalone.config)),
        "options": as_json(dict(plan.standalone.options)),
        "amp": amp,
        "seed": plan.standalone.seed,
        "supernet": str(plan.supernet.config),
    }


def _finished(folder: Path, training: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The rows of an earlier part of this sample by their scheme, if their checkpoints are still there.

    Raises:
        UserInputError: they were trained in another way.
    """
    path = folder / STANDALONE
    if not path.is_file():
        return {}
    record = read_object(path, "nothing has been trained yet")
    begun = record["runs"] or any(map(newest_checkpoint, (folder / "standalone").glob("*")))
    for key, asked in training.items() if begun else ():
        before = record.get("training", {}).get(key)
        same = Path(str(before)).name == Path(asked).name if key in ("config", "supernet") else before == asked
        if not same:
            raise UserInputError(
                f"{path}: its networks were trained with {key} {before!r}, now it is {asked!r}; go on as it was "
                "begun, or choose another --work-dir"
            )
    return {row["scheme"]: row for row in record["runs"] if _whole(folder / row["checkpoint"], row["sha256"])}


def _whole(checkpoint: Path, sha256: str) -> bool:
    return checkpoint.is_file() and sha256_file(checkpoint) == sha256


def _write(folder: Path, training: Mapping[str, Any], rows: Mapping[str, dict[str, Any]]) -> None:
    record = {"format": FORMAT, "training": training, "runs": list(rows.values()), "best": None}
    write_atomically(folder / STANDALONE, (json.dumps(as_json(record), indent=2) + "\n").encode())

"""Training a sample of schemes from scratch, all alike, to hold the rankings of a supernet against.

WORK_DIR/standalone/<scheme>/    a training each, resumable
WORK_DIR/standalone.json         results, as a search's own: the runs are called `sample 1`, `sample 2`, ...
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config

from backbones.arch import get_arch
from backbones.errors import UserInputError
from backbones.registry import get_card
from backbones.scheme import ConnectionScheme
from transfer.engine.workdir import WorkDir
from transfer.pipeline.artefacts import SEARCH, Run
from transfer.pipeline.config import SearchConfig
from transfer.pipeline.engines import Engine, Serial
from transfer.pipeline.run import run_stages
from transfer.pipeline.stages.base import SearchRun, begun
from transfer.pipeline.stages.describe import attention_of
from transfer.pipeline.stages.standalone import Network, TrainNetworks, training_config
from transfer.pipeline.stages.supernet import supernet_config
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
        attention = attention_of(supernet)
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


def drawn_at(number: int, seed: int, ratio: float, depths: Sequence[int]) -> Picked:
    """Distinct schemes of one connection ratio (LTH4SA, Fig. 2), each as likely as any other of it.

    Args:
        number: how many.
        seed: of what is drawn.
        ratio: share of connected blocks, 0 to 1; rounded to whole blocks.
        depths: blocks of each stage.

    Raises:
        UserInputError: no ratio, or more schemes than there are of it.
    """
    what, blocks = f"--random-at {number} {seed} {ratio:g}", sum(depths)
    if not 0 <= ratio <= 1:
        raise UserInputError(f"{what}: expected a ratio from 0 to 1 last")
    connected = round(ratio * blocks)
    _check_number(number, math.comb(blocks, connected), what)
    generator, picked = torch.Generator().manual_seed(seed), Picked()
    while len(picked) < number:
        bits = torch.zeros(blocks, dtype=torch.int)
        bits[torch.randperm(blocks, generator=generator)[:connected]] = 1
        how = f"random, {connected} of {blocks} connected, seed {seed}"
        picked.setdefault(ConnectionScheme.from_bits(bits.tolist(), tuple(depths)), how)
    return picked


def _check_number(number: int, most: int, what: str) -> None:
    if not 1 <= number <= most:
        raise UserInputError(f"{what}: expected 1 to {most} schemes")


# ---- training them


class TrainSample(TrainNetworks):
    """Trains schemes that were picked; what was trained in the folder before stays in its `standalone.json`."""

    def __init__(self, picked: Picked) -> None:
        self.picked = picked

    def networks(self, run: SearchRun, finished: Sequence[Run]) -> list[Network]:
        """What has been trained, and what is new, numbered on."""
        known = {one.scheme for one in finished}
        numbers = [one.name.split()[-1] for one in finished]
        first = 1 + max((int(number) for number in numbers if number.isdigit()), default=0)
        missing = [(scheme, how) for scheme, how in self.picked.items() if scheme not in known]
        sharing = SampledNetwork.of(supernet_config(run.config)).sharing
        new = [Network(f"sample {i}", scheme, sharing, how) for i, (scheme, how) in enumerate(missing, first)]
        return [*map(Network.of, finished), *new]

    def training(self, run: SearchRun) -> dict[str, Any]:
        """How all networks are trained, and of which supernet's kind they are."""
        return {**super().training(run), "supernet": run.config.supernet.config}


def train_sample(
    config: SearchConfig, picked: Picked, work_dir: str | Path, *, amp: bool = False, engine: Engine | None = None
) -> int:
    """Trains each scheme from scratch and tests it, as far as that is not done, and returns the exit status.

    A training that was stopped goes on from its checkpoint.

    Args:
        config: a search config, for its supernet's network and its stand-alone trainings.
        picked: the schemes.
        work_dir: of this sample; not a search's, which keeps its own trainings only.
        amp: mixed precision.
        engine: where they are trained; default in this process.

    Raises:
        UserInputError: wrong input, or the folder's trainings were begun in another way.
        RunError: the folder is in use.
    """
    folder = Path(work_dir)
    training_config(config)
    SampledNetwork.of(supernet_config(config))
    if (folder / SEARCH).exists():
        raise UserInputError(f"{folder}: holds a search, which keeps its own trainings only; choose another --work-dir")
    return run_stages(SearchRun(config, WorkDir(folder, begun), amp, engine or Serial()), [TrainSample(picked)])

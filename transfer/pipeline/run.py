"""A search from end to end (EAN, Algorithm 1): supernet, search, stand-alone training of what was found.

Each stage leaves its result in the search's folder, and is not done again: a search that was stopped goes on where it
was.

    supernet/           training of the supernet, unless the config names a trained one
    latency.json        for the objective of measured time: the increment of each block
    evaluations.jsonl   every evaluated scheme
    search.json         the search's result
    table.json.gz       after an exhaustive one: every scheme of the network
    standalone/         trainings of the candidates, and of the networks beside them
    standalone.json     their results
    increment.json      their time increments
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from transfer.engine.allocator import keep_freed_memory
from transfer.engine.workdir import WorkDir
from transfer.pipeline.config import SearchConfig
from transfer.pipeline.engines import Engine, Serial
from transfer.pipeline.stages.base import SearchRun, Stage, begun
from transfer.pipeline.stages.increments import TimeNetworks
from transfer.pipeline.stages.latency import MeasureLatency, given_table
from transfer.pipeline.stages.search import SearchSchemes
from transfer.pipeline.stages.standalone import TrainCandidates, training_config
from transfer.pipeline.stages.supernet import TrainSupernet, given_checkpoint, supernet_config
from transfer.pipeline.trained import refuse_begun
from transfer.search.objective import Reward
from transfer.search.supernet import beta_of

STAGES: tuple[Stage, ...] = (TrainSupernet(), MeasureLatency(), SearchSchemes(), TrainCandidates(), TimeNetworks())


def run_search(
    config: SearchConfig,
    work_dir: str | Path,
    *,
    resume: bool = False,
    amp: bool = False,
    engine: Engine | None = None,
) -> int:
    """Does what a search config says, and returns the exit status: 0, or 128 + the number of a signal that stopped it.

    Args:
        config: see `transfer.pipeline.config.read_search_config`.
        work_dir: where everything goes; one search at a time.
        resume: go on with what the folder holds; otherwise it must not hold a search.
        amp: mixed precision in the trainings; schemes are evaluated as `supernet.precision` says.
        engine: where evaluations and stand-alone trainings run (`transfer.pipeline.engines`); default in this process.

    Raises:
        UserInputError: wrong input, or a folder with another search.
        RunError: the folder is in use, the disk is full.
    """
    folder = Path(work_dir)
    check_config(config)
    refuse_begun(folder, begun(folder), resume=resume)
    return run_stages(SearchRun(config, WorkDir(folder, begun), amp, engine or Serial()), STAGES)


def run_stages(run: SearchRun, stages: Sequence[Stage]) -> int:
    """Carries out the stages that are wanted and not done yet; returns the exit status."""
    keep_freed_memory()
    with run.folder.locked(), run.folder.explained():
        for stage in stages:
            if stage.wanted(run):
                if not stage.done(run) and (status := stage.make(run)):
                    return status
                stage.report(run)
    return 0


def check_config(config: SearchConfig) -> None:
    """Raises `UserInputError` for what is wrong: it should be said now, not after hours of training."""
    config.search.build(Reward())
    beta_of(supernet_config(config))
    given_checkpoint(config)
    given_table(config)
    if config.standalone is not None:
        training_config(config)

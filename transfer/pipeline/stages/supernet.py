"""The supernet's training.

supernet/    the training, unless the config names a trained one
"""

from __future__ import annotations

from pathlib import Path

from mmengine.config import Config

from transfer.engine.config_check import apply_options, load_config
from transfer.engine.console import say
from transfer.engine.training import train
from transfer.pipeline.config import SearchConfig
from transfer.pipeline.stages.base import SearchRun, Stage
from transfer.pipeline.trained import checkpoint_of, given_file, is_trained
from transfer.search.supernet import SupernetProblem

SUPERNET = "supernet"


def supernet_config(config: SearchConfig) -> Config:
    """The config of the supernet's training, with the search config's options."""
    found = load_config(config.file(config.supernet.config))
    apply_options(found, config.supernet.options)
    return found


def given_checkpoint(config: SearchConfig) -> Path | None:
    """The trained supernet that the config names, None where it names none; raises `UserInputError` if it is gone."""
    if config.supernet.checkpoint is None:
        return None
    return given_file(config.path, "supernet.checkpoint", config.file(config.supernet.checkpoint))


def trained_supernet(run: SearchRun) -> Path:
    """The checkpoint of the supernet that is searched."""
    return given_checkpoint(run.config) or checkpoint_of(run.file(SUPERNET))


def supernet_problem(run: SearchRun) -> SupernetProblem:
    """The trained supernet as a search problem."""
    asked = run.config.supernet
    return SupernetProblem(
        supernet_config(run.config),
        trained_supernet(run),
        bn=asked.bn,
        split=asked.split,
        calibration_batch=asked.calibration_batch,
        precision=asked.precision,
        seed=run.config.search.seed,
    )


class TrainSupernet(Stage):
    """Trains the supernet in the run's folder."""

    def wanted(self, run: SearchRun) -> bool:
        """Where the config names no trained one."""
        return run.config.supernet.checkpoint is None

    def done(self, run: SearchRun) -> bool:
        """All its iterations."""
        return is_trained(run.file(SUPERNET), supernet_config(run.config).train_cfg.max_iters)

    def make(self, run: SearchRun) -> int:
        """As far as it is not trained yet."""
        say("training the supernet")
        asked = run.config.supernet
        return train(
            supernet_config(run.config), work_dir=run.file(SUPERNET), resume=True, seed=asked.seed, amp=run.amp
        )

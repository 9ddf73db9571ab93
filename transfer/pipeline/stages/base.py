"""What every stage of a search shares: the run that it is part of, and what makes it a stage."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from transfer.engine.checkpoint import newest_checkpoint
from transfer.engine.workdir import WorkDir
from transfer.pipeline.artefacts import SEARCH, STANDALONE
from transfer.pipeline.config import SearchConfig
from transfer.pipeline.engines import Engine
from transfer.search.log import LOG_NAME


def begun(folder: Path) -> list[str]:
    """What a search, or a sample, has left in a folder that is worth keeping."""
    log, trainings = folder / LOG_NAME, (folder / "standalone").glob("*")
    there = {
        LOG_NAME: log.exists() and log.stat().st_size > 0,
        SEARCH: (folder / SEARCH).exists(),
        STANDALONE: (folder / STANDALONE).exists(),
        "supernet": newest_checkpoint(folder / "supernet") is not None,
        "standalone": any(map(newest_checkpoint, trainings)),
    }
    return [name for name, worth in there.items() if worth]


@dataclass(frozen=True)
class SearchRun:
    """A search that is carried out.

    Attributes:
        config: what is asked for.
        folder: where everything goes.
        amp: mixed precision in the trainings.
        engine: where evaluations and stand-alone trainings run.
    """

    config: SearchConfig
    folder: WorkDir
    amp: bool
    engine: Engine

    def file(self, name: str) -> Path:
        """A file or folder of the run's own."""
        return self.folder.path / name


class Stage:
    """Turns artefacts in the run's folder into another one."""

    def wanted(self, run: SearchRun) -> bool:
        """Whether the config asks for it."""
        return True

    def done(self, run: SearchRun) -> bool:
        """Whether its artefact is there; raises `UserInputError` where it is that of another search."""
        raise NotImplementedError

    def make(self, run: SearchRun) -> int:
        """Makes it, going on where it was stopped; returns the exit status, 0 or 128 + a signal's number."""
        raise NotImplementedError

    def report(self, run: SearchRun) -> None:
        """Says what came of it."""

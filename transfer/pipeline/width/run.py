"""A width search from end to end (RARTS thesis, Algorithm 3): training, search, removal, fine-tuning.

Each stage leaves its result in the search's folder, and is not done again: a search that was stopped goes on where it
was, to the same end.

    dense/            training at full width, unless the config names trained weights
    searches/<name>/  a search each: `search.pth` while it goes on, `pruned.pth` when it has ended
    widths.json       what was found
    finetuned/<name>/ trainings of the pruned networks
    finetuned.json    their results
"""

from __future__ import annotations

from pathlib import Path

from transfer.engine.allocator import keep_freed_memory
from transfer.engine.checkpoint import newest_checkpoint
from transfer.engine.workdir import WorkDir
from transfer.pipeline.trained import refuse_begun
from transfer.pipeline.width.artefacts import FINETUNED, WIDTHS
from transfer.pipeline.width.config import WidthSearchConfig
from transfer.pipeline.width.dense import DENSE, WidthRun, check_network, given_weights, train_dense
from transfer.pipeline.width.finetune import check_finetuning, finetune, report_finetunes
from transfer.pipeline.width.search import SEARCHES, report_widths, search_widths


def begun(folder: Path) -> list[str]:
    """What a width search has left in a folder that is worth keeping."""
    trainings = [folder / DENSE, *(folder / "finetuned").glob("*")]
    there = {
        WIDTHS: (folder / WIDTHS).exists(),
        FINETUNED: (folder / FINETUNED).exists(),
        SEARCHES: any((folder / SEARCHES).glob("*/*.pth")),
        "trainings": any(map(newest_checkpoint, trainings)),
    }
    return [name for name, worth in there.items() if worth]


def run_width_search(
    config: WidthSearchConfig, work_dir: str | Path, *, resume: bool = False, amp: bool = False
) -> int:
    """Does what a width search's config says; returns the exit status: 0, or 128 + the number of a signal.

    Args:
        config: see `transfer.pipeline.width.config.read_any_config`.
        work_dir: where everything goes; one search at a time.
        resume: go on with what the folder holds; otherwise it must not hold a search.
        amp: mixed precision in trainings and searches.

    Raises:
        UserInputError: wrong input, or a folder with another search.
        RunError: the folder is in use, the disk is full, a loss is not finite.
    """
    folder = Path(work_dir)
    check_config(config)
    refuse_begun(folder, begun(folder), resume=resume)
    keep_freed_memory()
    run = WidthRun(config, WorkDir(folder, begun), amp)
    with run.folder.locked(), run.folder.explained():
        if status := train_dense(run) or search_widths(run):
            return status
        report_widths(run)
        if status := finetune(run):
            return status
        report_finetunes(run)
    return 0


def check_config(config: WidthSearchConfig) -> None:
    """Raises `UserInputError` for what is wrong: it should be said now, not after hours of training."""
    check_network(config)
    given_weights(config)
    check_finetuning(config)

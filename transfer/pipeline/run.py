"""A search from end to end (EAN, Algorithm 1): supernet, search, stand-alone training of what was found.

Each part leaves its result in the search's folder, and is not done again: a search that was stopped goes on where it
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

import json
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config

from backbones.errors import RunError, UserInputError
from backbones.files import disk_full, sha256_file
from backbones.scheme import ConnectionScheme
from transfer.engine.allocator import keep_freed_memory
from transfer.engine.checkpoint import newest_checkpoint, write_atomically
from transfer.engine.compat import load_foreign_checkpoint
from transfer.engine.config_check import apply_options, load_config
from transfer.engine.evaluation import as_json
from transfer.engine.progress import duration
from transfer.engine.training import explained, locked, say, train
from transfer.measure.latency import LATENCY
from transfer.pipeline.artefacts import SEARCH, STANDALONE, read_search
from transfer.pipeline.config import SearchPlan
from transfer.pipeline.describe import describe_objective, describe_search, front_lines, network_of
from transfer.pipeline.engines import Engine, Serial
from transfer.pipeline.stages.standalone import check_standalone, train_candidates
from transfer.pipeline.stages.times import given_table, latency_table, table_of_supernet, write_increments
from transfer.search.known_problems import TableProblem
from transfer.search.log import LOG_NAME, LoggedProblem
from transfer.search.problem import Evaluation, SearchProblem
from transfer.search.supernet import SupernetProblem, beta_of

TABLE = "table.json.gz"


def run_search(
    plan: SearchPlan, work_dir: str | Path, *, resume: bool = False, amp: bool = False, engine: Engine | None = None
) -> int:
    """Does what a search config says, and returns the exit status: 0, or 128 + the number of a signal that stopped it.

    Args:
        plan: see `transfer.pipeline.config.read_plan`.
        work_dir: where everything goes; one search at a time.
        resume: go on with what the folder holds; otherwise it must not hold a search.
        amp: mixed precision in the trainings. Schemes are always evaluated in full precision.
        engine: where evaluations and stand-alone trainings run (`transfer.pipeline.engines`); default in this process.

    Raises:
        UserInputError: wrong input, or a folder with another search.
        RunError: the folder is in use, the disk is full.
    """
    folder, engine = Path(work_dir), engine or Serial()
    keep_freed_memory()
    _check_plan(plan)
    _check_folder(folder, resume)
    with locked(folder), _nothing_useless_left(folder), explained(folder), _room(folder):
        config, checkpoint, status = _supernet(plan, folder, amp)
        if status:
            return status
        if not (folder / SEARCH).is_file():
            _search(plan, folder, config, checkpoint, engine)
        found = read_result(folder)
        _check_same_search(plan, found, checkpoint, folder)
        for line in front_lines(found):
            say(line)
        say(f"best scheme {found['best']['scheme']}: accuracy {found['best']['accuracy']:.2f} on D_val in the supernet")
        return _standalone(plan, folder, config, found, amp, engine)


def _standalone(
    plan: SearchPlan, folder: Path, config: Config, found: dict[str, Any], amp: bool, engine: Engine
) -> int:
    """Trains what the search found, as far as the plan wants that, and times it; returns the exit status."""
    if plan.standalone is None:
        return 0
    status = train_candidates(plan, folder, config, found, amp, engine)
    if not status:
        write_increments(plan, folder, config, found)
    return status


def read_result(folder: str | Path) -> dict[str, Any]:
    """What a finished search left in `search.json`.

    Raises:
        UserInputError: not there, or not written by this program.
    """
    return read_search(folder).values


# ---- before and around


def _check_plan(plan: SearchPlan) -> None:
    """What is wrong should be said now, not after hours of training."""
    plan.search.check()
    beta_of(supernet_config(plan))
    given_table(plan)
    if plan.standalone is not None:
        check_standalone(plan)


def _begun(folder: Path) -> list[str]:
    """What a search has left in a folder that is worth keeping."""
    found = [name for name in (SEARCH, STANDALONE) if (folder / name).exists()]
    log = folder / LOG_NAME
    if log.exists() and log.stat().st_size:
        found.insert(0, LOG_NAME)
    if newest_checkpoint(folder / "supernet") is not None:
        found.append("supernet")
    return found


def _check_folder(folder: Path, resume: bool) -> None:
    begun = _begun(folder)
    if begun and not resume:
        raise UserInputError(
            f"{folder}: holds a search already ({', '.join(begun)}): continue with --resume, or choose another "
            "--work-dir"
        )


@contextmanager
def _nothing_useless_left(folder: Path) -> Iterator[None]:
    """Removes what this run put into the folder if it ends with `UserInputError` before there was anything to keep."""
    before = set(folder.iterdir())
    try:
        yield
    except UserInputError:
        if not _begun(folder):
            for entry in set(folder.iterdir()) - before:
                shutil.rmtree(entry, ignore_errors=True) if entry.is_dir() else entry.unlink(missing_ok=True)
        raise


@contextmanager
def _room(folder: Path) -> Iterator[None]:
    """Turns a full disk into one line that says what is safe."""
    try:
        yield
    except OSError as error:
        if not disk_full(error):
            raise
        safe = ", ".join(_begun(folder)) or "nothing yet"
        raise RunError(
            f"{folder}: the disk is full ({error.strerror}); safe there: {safe}; make room and go on with --resume"
        ) from error


# ---- supernet and search


def supernet_config(plan: SearchPlan) -> Config:
    """The config of the supernet's training, with the plan's options."""
    config = load_config(plan.file(plan.supernet.config))
    apply_options(config, plan.supernet.options)
    return config


def _supernet(plan: SearchPlan, folder: Path, amp: bool) -> tuple[Config, Path, int]:
    """The trained supernet: the one that the plan names, or one trained here."""
    config = supernet_config(plan)
    if plan.supernet.checkpoint is not None:
        checkpoint = plan.file(plan.supernet.checkpoint)
        if not checkpoint.is_file():
            raise UserInputError(f"{plan.path}: supernet.checkpoint={checkpoint}, no such file")
        return config, checkpoint, 0
    trained = newest_checkpoint(folder / "supernet")
    if trained is None or load_foreign_checkpoint(trained)["meta"]["iter"] < config.train_cfg.max_iters:
        say("training the supernet")
        status = train(config, work_dir=folder / "supernet", resume=True, seed=plan.supernet.seed, amp=amp)
        if status:
            return config, folder, status
        trained = newest_checkpoint(folder / "supernet")
    if trained is None:
        raise UserInputError(f"{folder / 'supernet'}: the training wrote no checkpoint; does its config have a hook?")
    return supernet_config(plan), trained, 0


def _search(plan: SearchPlan, folder: Path, config: Config, checkpoint: Path, engine: Engine) -> None:
    problem: Any = SupernetProblem(
        config,
        checkpoint,
        bn=plan.supernet.bn,
        split=plan.supernet.split,
        calibration_batch=plan.supernet.calibration_batch,
        seed=plan.search.seed,
    )
    table = None
    if plan.search.timed:
        table = table_of_supernet(plan, folder, problem, network_of(config, problem.supernet))
        problem.settings["latency_sha256"] = sha256_file(folder / LATENCY)  # the log belongs to this table
        say(f"latency: {table}")
    method, objective = plan.search.build(table)
    problem = engine.wrap(problem)
    with LoggedProblem(problem, folder) as logged:
        known = f", {len(logged)} schemes are in the log" if len(logged) else ""
        say(f"searching with {plan.search.name}, {plan.search.budget} schemes{known}")
        reporting = Reporting(logged, plan.search.budget)
        result = method.search(reporting, plan.search.budget, torch.Generator().manual_seed(plan.search.seed))
        say(f"searched {len(result.log)} schemes in {duration(result.seconds)}")
        record = describe_search(plan, config, checkpoint, problem, objective, result, logged)
    if len(result.log) == 2 ** sum(problem.depths):
        TableProblem.from_log(folder).save(folder / TABLE)
    write_atomically(folder / SEARCH, (json.dumps(as_json(record), indent=2) + "\n").encode())


class Reporting:
    """A problem that says how far its search has come, at most every `every` seconds."""

    def __init__(self, problem: SearchProblem, budget: int, every: float = 10.0) -> None:
        self.problem, self.budget, self.every, self.depths = problem, budget, every, problem.depths
        self._seen: dict[ConnectionScheme, Evaluation] = {}
        self._said = time.monotonic()

    def __getattr__(self, name: str) -> Any:
        if name == "problem":  # not set yet: nothing to ask
            raise AttributeError(name)
        return getattr(self.problem, name)

    def evaluate(self, schemes: Sequence[ConnectionScheme]) -> list[Evaluation]:
        """As the problem's."""
        found = self.problem.evaluate(schemes)
        self._seen.update(zip(schemes, found, strict=True))
        if time.monotonic() - self._said >= self.every:
            self._said = time.monotonic()
            best, evaluation = max(self._seen.items(), key=lambda item: item[1].accuracy)
            say(f"{len(self._seen)}/{self.budget} schemes  greatest accuracy {evaluation.accuracy:.2f} of {best}")
        return found


def _check_same_search(plan: SearchPlan, found: dict[str, Any], checkpoint: Path, folder: Path) -> None:
    """Refuses to go on from a result of another supernet or another search."""
    asked = {
        "method": plan.search.name,
        "method_args": as_json(dict(plan.search.args)),
        "budget": plan.search.budget,
        "seed": plan.search.seed,
        "bn": plan.supernet.bn,
        "objective": describe_objective(
            plan.search.build(latency_table(plan, folder) if plan.search.timed else None)[1]
        ),
    }
    for key, value in asked.items():
        if found[key] != value:
            raise UserInputError(
                f"{folder / SEARCH}: {key} is {found[key]!r} there and {value!r} in {plan.path}; choose another "
                "--work-dir, or the config that it was begun with"
            )
    if found["supernet"]["sha256"] != sha256_file(checkpoint):
        raise UserInputError(
            f"{folder / SEARCH}: belongs to another supernet than {checkpoint}; choose another --work-dir"
        )

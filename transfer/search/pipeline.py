"""A search from end to end (EAN, Algorithm 1): supernet, search, stand-alone training of what was found.

Each part leaves its result in the search's folder, and is not done again: a search that was stopped goes on where it
was.

    supernet/           training of the supernet, unless the config names a trained one
    evaluations.jsonl   every evaluated scheme
    search.json         the search's result
    table.json.gz       after an exhaustive one: every scheme of the network
    standalone/         trainings of the candidates, and of the networks beside them
    standalone.json     their results
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config

from backbones._files import sha256_file
from backbones.errors import UserInputError
from backbones.registry import get_card
from backbones.scheme import ConnectionScheme
from transfer.engine.allocator import keep_freed_memory
from transfer.engine.checkpoint import newest_checkpoint, write_atomically
from transfer.engine.compat import load_foreign_checkpoint
from transfer.engine.config_check import apply_options, load_config
from transfer.engine.progress import duration, training_seconds
from transfer.engine.testing import as_json
from transfer.engine.training import explained, locked, nothing_left_behind, say, train
from transfer.search.engines import Engine, Serial
from transfer.search.landscapes import TableProblem
from transfer.search.ledger import Record, SearchResult
from transfer.search.log import LOG_NAME, LoggedProblem
from transfer.search.methods import DEFAULT_METHOD
from transfer.search.plan import SearchPlan
from transfer.search.problem import Evaluation, SearchProblem
from transfer.search.standalone import STANDALONE, train_candidates
from transfer.search.supernet import SupernetProblem

SEARCH = "search.json"
TABLE = "table.json.gz"
FORMAT = 1


def run_search(
    plan: SearchPlan, work_dir: str | Path, *, resume: bool = False, amp: bool = False, engine: Engine | None = None
) -> int:
    """Does what a search config says, and returns the exit status: 0, or 128 + the number of a signal that stopped it.

    Args:
        plan: see `transfer.search.plan.read_plan`.
        work_dir: where everything goes; one search at a time.
        resume: go on with what the folder holds; otherwise it must not hold a search.
        amp: mixed precision in the trainings. Schemes are always evaluated in full precision.
        engine: where evaluations and stand-alone trainings run (`transfer.search.engines`); default in this process.

    Raises:
        UserInputError: wrong input, or a folder with another search.
        RunError: the folder is in use, the disk is full.
    """
    folder, engine = Path(work_dir), engine or Serial()
    keep_freed_memory()
    plan.search.build()  # what is wrong with it should be said now, not after the supernet's training
    _check_folder(folder, resume)
    with locked(folder), nothing_left_behind(folder), explained(folder):
        config, checkpoint, status = _supernet(plan, folder, amp)
        if status:
            return status
        if not (folder / SEARCH).is_file():
            _search(plan, folder, config, checkpoint, engine)
        found = read_result(folder)
        _check_same_search(plan, found, checkpoint, folder)
        say(f"best scheme {found['best']['scheme']}: accuracy {found['best']['accuracy']:.2f} on D_val in the supernet")
        return train_candidates(plan, folder, config, found, amp, engine) if plan.standalone else 0


def read_result(folder: str | Path) -> dict[str, Any]:
    """What a finished search left in `search.json`.

    Raises:
        UserInputError: not there, or not written by this program.
    """
    path = Path(folder) / SEARCH
    if not path.is_file():
        raise UserInputError(f"{path}: not there, expected a finished search; finish it with tools/search.py --resume")
    try:
        found = json.loads(path.read_text())
        if found["format"] != FORMAT:
            raise ValueError(f"format {found['format']}, expected {FORMAT}")
        return dict(found)
    except (ValueError, KeyError, TypeError) as error:
        raise UserInputError(f"{path}: not the result of a search ({error}); search again in another folder") from error


def _check_folder(folder: Path, resume: bool) -> None:
    begun = [name for name in (LOG_NAME, SEARCH, STANDALONE) if (folder / name).exists()]
    if newest_checkpoint(folder / "supernet") is not None:
        begun.append("supernet")
    if begun and not resume:
        raise UserInputError(
            f"{folder}: holds a search already ({', '.join(begun)}): continue with --resume, or choose another "
            "--work-dir"
        )


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
    method, _ = plan.search.build()
    problem: Any = SupernetProblem(
        config,
        checkpoint,
        bn=plan.supernet.bn,
        split=plan.supernet.split,
        calibration_batch=plan.supernet.calibration_batch,
        seed=plan.search.seed,
    )
    problem = engine.wrap(problem)
    with LoggedProblem(problem, folder) as logged:
        known = f", {len(logged)} schemes are in the log" if len(logged) else ""
        say(f"searching with {plan.search.method or DEFAULT_METHOD}, {plan.search.budget} schemes{known}")
        reporting = Reporting(logged, plan.search.budget)
        result = method.search(reporting, plan.search.budget, torch.Generator().manual_seed(plan.search.seed))
        say(f"searched {len(result.log)} schemes in {duration(result.seconds)}")
        record = _record(plan, problem, result, logged, checkpoint)
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


def _record(
    plan: SearchPlan, problem: Any, result: SearchResult, logged: LoggedProblem, checkpoint: Path
) -> dict[str, Any]:
    """Everything that `search.json` says."""
    settings, net = dict(problem.settings), problem.supernet
    meta = load_foreign_checkpoint(checkpoint)["meta"]
    card = get_card(meta["backbone"])
    return {
        "format": FORMAT,
        "method": plan.search.method or DEFAULT_METHOD,
        "method_args": dict(plan.search.args),
        "objective": {"type": "Reward", **asdict(plan.search.build()[1])},  # type: ignore[call-overload]
        "budget": plan.search.budget,
        "seed": plan.search.seed,
        "arch": net.arch.name,
        "attention": card.attention,
        "attention_args": dict(card.attention_args),
        "sharing": net.sharing,
        "num_classes": net.num_classes,
        "in_channels": net.conv1.in_channels,
        "data": settings.get("data", {}).get("name"),
        "bn": plan.supernet.bn,
        "settings": settings,
        "supernet": {
            "config": str(plan.supernet.config),
            "options": dict(plan.supernet.options),
            "sha256": settings["supernet_sha256"],
            "seed": meta.get("seed"),
            "max_iters": meta["iter"],
            **_from_training(plan, checkpoint),
        },
        "log_sha256": sha256_file(logged.path),
        "evaluations": len(result.log),
        "fresh": logged.fresh,
        "seconds": result.seconds,
        "images": result.images,
        "best": _as_row(result.best),
        "candidates": [_as_row(record) for record in result.candidates],
        "order": [str(record.scheme) for record in result.log],
        "front": [{"scheme": str(p.scheme), "accuracy": p.accuracy, "cost": p.cost} for p in result.front],
        "trace": list(result.trace),
    }


def _from_training(plan: SearchPlan, checkpoint: Path) -> dict[str, Any]:
    """How the supernet was trained, as far as its folder and config say."""
    hooks = [hook for hook in supernet_config(plan).get("custom_hooks", []) if hook["type"] == "SupernetHook"]
    beta = hooks[0].get("beta", 0.5) if hooks else None
    return {"beta": beta, "seconds": training_seconds(checkpoint.parent)}


def _as_row(record: Record) -> dict[str, Any]:
    return {"scheme": str(record.scheme), **asdict(record.evaluation), "value": record.value}


def _check_same_search(plan: SearchPlan, found: dict[str, Any], checkpoint: Path, folder: Path) -> None:
    """Refuses to go on from a result of another supernet or another search."""
    asked = {
        "method": plan.search.method or DEFAULT_METHOD,
        "method_args": as_json(dict(plan.search.args)),
        "budget": plan.search.budget,
        "seed": plan.search.seed,
        "bn": plan.supernet.bn,
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

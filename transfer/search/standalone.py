"""Stand-alone training of a search's candidates, and of the networks that they are compared with."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmengine.config import Config

from backbones._files import sha256_file
from backbones.errors import UserInputError
from backbones.scheme import ConnectionScheme
from transfer.engine.checkpoint import newest_checkpoint, write_atomically
from transfer.engine.compat import load_foreign_checkpoint
from transfer.engine.config_check import apply_options, load_config
from transfer.engine.progress import numbers, training_seconds
from transfer.engine.testing import as_json, evaluate
from transfer.engine.training import say, train
from transfer.search.engines import Engine
from transfer.search.plan import SearchPlan, StandalonePlan

STANDALONE = "standalone.json"
FORMAT = 1


@dataclass(frozen=True)
class Network:
    """A network to train from scratch: its name in the results, its scheme, and how it shares modules."""

    name: str
    scheme: ConnectionScheme
    sharing: str

    @property
    def folder(self) -> str:
        """Of its training, under `standalone/`."""
        return str(self.scheme).replace(".", "_") + ("_block" if self.sharing == "block" else "")


def networks(
    plan: StandalonePlan, candidates: Sequence[str], sharing: str, depths: tuple[int, ...]
) -> Iterator[Network]:
    """The candidates, best first, then the networks beside them."""
    for number, text in enumerate(candidates[: plan.candidates], 1):
        yield Network(f"candidate {number}", ConnectionScheme.parse(text, depths), sharing)
    full, none = ConnectionScheme.full(depths), ConnectionScheme.empty(depths)
    beside = {"plain": (none, "stage"), "full_sa": (full, "block"), "full_share": (full, "stage")}
    for name in plan.beside:
        yield Network(name, *beside[name])


def standalone_config(plan: SearchPlan, supernet: Config, network: Network) -> Config:
    """The config of one training: the supernet's backbone with a fixed scheme, in the plan's own training config.

    Raises:
        UserInputError: a config for another architecture.
    """
    assert plan.standalone is not None
    config = load_config(plan.file(plan.standalone.config))
    apply_options(config, plan.standalone.options)
    if "backbone" not in config.model:
        raise UserInputError(f"config {config.filename}: its model has no backbone, expected a Classifier")
    backbone = deepcopy(supernet.model.backbone.to_dict())
    backbone.pop("supernet", None)
    backbone.update(scheme=str(network.scheme), sharing=network.sharing, init="scratch")
    config.model.backbone = backbone
    return config


def train_candidates(
    plan: SearchPlan, folder: Path, supernet: Config, found: dict[str, Any], amp: bool, engine: Engine
) -> int:
    """Trains what is not trained yet, writes `standalone.json` after each, and returns the exit status.

    The best candidate is the one of the greatest top-1 accuracy on D_val. Test figures are recorded, never chosen by.
    """
    assert plan.standalone is not None
    depths = ConnectionScheme.parse(found["best"]["scheme"]).depths
    schemes = [row["scheme"] for row in found["candidates"]]
    wanted = list(networks(plan.standalone, schemes, found["sharing"], depths))
    runs: list[dict[str, Any]] = []
    jobs = [(plan, folder, supernet, network, found["attention"], amp) for network in wanted]
    for row, status in engine.run(train_one, jobs):
        if status:
            return int(status)
        runs.append(row)
        candidates = [run for run in runs if run["name"].startswith("candidate")]
        best = max(candidates, key=lambda run: run["val"]["top1"])["scheme"]
        record = {"format": FORMAT, "runs": runs, "best": best}
        write_atomically(folder / STANDALONE, (json.dumps(as_json(record), indent=2) + "\n").encode())
    say("\n".join(f"{run['name']}  {run['scheme']}  test top-1 {run['test']['top1']:.2f}" for run in runs))
    return 0


def train_one(
    plan: SearchPlan, folder: Path, supernet: Config, network: Network, attention: str, amp: bool
) -> tuple[dict[str, Any], int]:
    """Trains and evaluates one network, as far as that is not done; returns its row and the exit status."""
    assert plan.standalone is not None
    known = _known(folder, network, plan.file(plan.standalone.config))
    if known is not None:
        return known, 0
    say(f"training {network.name}, scheme {network.scheme}, from scratch")
    config = standalone_config(plan, supernet, network)
    work_dir = folder / "standalone" / network.folder
    status = train(config, work_dir=work_dir, resume=True, seed=plan.standalone.seed, amp=amp)
    return ({}, status) if status else (_row(plan, folder, supernet, network, attention), 0)


def _known(folder: Path, network: Network, config: Path) -> dict[str, Any] | None:
    """The finished run of a network, from an earlier part of this search."""
    path = folder / STANDALONE
    for run in json.loads(path.read_text())["runs"] if path.is_file() else ():
        if (run["scheme"], run["sharing"], run["config"]) == (str(network.scheme), network.sharing, str(config)):
            checkpoint = folder / run["checkpoint"]
            if checkpoint.is_file() and sha256_file(checkpoint) == run["sha256"]:
                return {**run, "name": network.name}
    return None


def _row(plan: SearchPlan, folder: Path, supernet: Config, network: Network, attention: str) -> dict[str, Any]:
    """Evaluates a finished training on D_val and on the test images."""
    work_dir = folder / "standalone" / network.folder
    checkpoint = newest_checkpoint(work_dir)
    if checkpoint is None:
        raise UserInputError(f"{work_dir}: the training wrote no checkpoint; does its config have a checkpoint hook?")
    metrics = {}
    for split in ("val", "test"):
        config = standalone_config(plan, supernet, network)
        for part in ("dataloader", "evaluator", "cfg") if split == "val" else ():
            config[f"test_{part}"] = config[f"val_{part}"]
        record = evaluate(config, checkpoint, work_dir=work_dir / split)
        metrics[split] = numbers(record["metrics"])
    meta = load_foreign_checkpoint(checkpoint)["meta"]
    assert plan.standalone is not None
    return {
        "name": network.name,
        "scheme": str(network.scheme),
        "sharing": network.sharing,
        "attention": attention if network.scheme.connected else None,
        "seed": meta.get("seed"),
        "config": str(plan.file(plan.standalone.config)),
        "max_iters": meta["iter"],
        **metrics,
        "checkpoint": str(checkpoint.relative_to(folder)),
        "sha256": sha256_file(checkpoint),
        "seconds": training_seconds(work_dir),
    }

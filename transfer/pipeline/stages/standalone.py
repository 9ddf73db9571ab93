"""Stand-alone training of a search's candidates, and of the networks that they are compared with."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmengine.config import Config

from backbones.errors import UserInputError
from backbones.files import sha256_file
from backbones.scheme import ConnectionScheme
from transfer.engine.checkpoint import newest_checkpoint, write_atomically
from transfer.engine.compat import load_foreign_checkpoint
from transfer.engine.config_check import apply_options, load_config
from transfer.engine.evaluation import as_json, evaluate
from transfer.engine.progress import numbers, training_seconds
from transfer.engine.training import say, train
from transfer.pipeline.artefacts import FORMAT, STANDALONE, read_object
from transfer.pipeline.config import SearchPlan, StandalonePlan
from transfer.pipeline.engines import Engine


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


def check_standalone(plan: SearchPlan) -> Config:
    """The config of the stand-alone trainings, with the plan's options.

    Raises:
        UserInputError: no such file, an option that nothing reads, or a model without a backbone.
    """
    assert plan.standalone is not None
    config = load_config(plan.file(plan.standalone.config))
    apply_options(config, plan.standalone.options)
    if "backbone" not in config.model:
        raise UserInputError(f"config {config.filename}: its model has no backbone, expected a Classifier")
    return config


def standalone_config(plan: SearchPlan, supernet: Config, network: Network) -> Config:
    """The config of one training: the supernet's backbone with a fixed scheme, in the plan's own training config.

    Raises:
        UserInputError: a config for another architecture.
    """
    config = check_standalone(plan)
    backbone = deepcopy(supernet.model.backbone.to_dict())
    backbone.pop("supernet", None)
    backbone.update(scheme=str(network.scheme), sharing=network.sharing, init="scratch")
    config.model.backbone = backbone
    return config


def wanted_networks(plan: SearchPlan, found: Mapping[str, Any]) -> list[Network]:
    """What a finished search has trained: its candidates, and what the plan names beside them."""
    assert plan.standalone is not None
    depths = ConnectionScheme.parse(found["best"]["scheme"]).depths
    return list(networks(plan.standalone, [row["scheme"] for row in found["candidates"]], found["sharing"], depths))


def train_candidates(
    plan: SearchPlan, folder: Path, supernet: Config, found: Mapping[str, Any], amp: bool, engine: Engine
) -> int:
    """Trains what is not trained yet, writes `standalone.json` after each, and returns the exit status.

    The best candidate is the one of the greatest top-1 accuracy on D_val. Test figures are recorded, never chosen by.

    Raises:
        UserInputError: the folder's trainings were begun with another config, options, seed or precision.
    """
    training, wanted = _training(plan, amp), wanted_networks(plan, found)
    known = _begun(folder, training)
    # By folder, because a candidate may be one of the networks beside it.
    rows = {network.folder: row for network in wanted if (row := _known(folder, network, known))}
    missing = {network.folder: network for network in wanted if network.folder not in rows}
    _write(folder, training, wanted, rows)  # before anything is trained: what is resumed must be of the same kind
    jobs = [(plan, folder, supernet, network, found["attention"], amp) for network in missing.values()]
    for place, (row, status) in zip(missing, engine.run(train_one, jobs), strict=True):
        if status:
            return int(status)
        rows[place] = row
        _write(folder, training, wanted, rows)
    for network in wanted:
        say(f"{network.name}  {network.scheme}  test top-1 {rows[network.folder]['test']['top1']:.2f}")
    return 0


def _write(
    folder: Path, training: Mapping[str, Any], wanted: Sequence[Network], rows: Mapping[str, dict[str, Any]]
) -> None:
    """Writes `standalone.json`, the rows in the order of `wanted`."""
    runs = [{**rows[network.folder], "name": network.name} for network in wanted if network.folder in rows]
    candidates = [run for run in runs if run["name"].startswith("candidate")]
    best = max(candidates, key=lambda run: run["val"]["top1"])["scheme"] if candidates else None
    record = {"format": FORMAT, "training": training, "runs": runs, "best": best}
    write_atomically(folder / STANDALONE, (json.dumps(as_json(record), indent=2) + "\n").encode())


def _training(plan: SearchPlan, amp: bool) -> dict[str, Any]:
    """How all networks are trained, in plain values."""
    assert plan.standalone is not None
    config = plan.file(plan.standalone.config)
    options = as_json(dict(plan.standalone.options))
    return {"config": str(config), "options": options, "amp": amp, "seed": plan.standalone.seed}


def _begun(folder: Path, training: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The finished runs of an earlier part of this search; refuses those that were trained in another way."""
    path = folder / STANDALONE
    if not path.is_file():
        return []
    record = read_object(path, "nothing has been trained yet")
    runs = list(record["runs"])
    if not runs and not any(map(newest_checkpoint, (folder / "standalone").glob("*"))):
        return []
    for before in (record.get("training", {}), *runs):
        for key, asked in training.items():
            # Records of earlier versions lack keys, and a run's seed may be its config's.
            if key not in before or (key == "seed" and asked is None):
                continue
            same = Path(before[key]).name == Path(asked).name if key == "config" else before[key] == asked
            if not same:
                raise UserInputError(
                    f"{path}: {_NAMES[key]} is {before[key]!r} there and {asked!r} now; go on as it was begun, or "
                    "choose another --work-dir"
                )
    return runs


_NAMES = {"config": "standalone.config", "options": "standalone.options", "amp": "--amp", "seed": "standalone.seed"}


def _known(folder: Path, network: Network, runs: Sequence[dict[str, Any]]) -> dict[str, Any] | None:
    """The finished run of a network, if its checkpoint is still there."""
    for run in runs:
        if (run["scheme"], run["sharing"]) == (str(network.scheme), network.sharing):
            checkpoint = folder / run["checkpoint"]
            if checkpoint.is_file() and sha256_file(checkpoint) == run["sha256"]:
                return run
    return None


def train_one(
    plan: SearchPlan, folder: Path, supernet: Config, network: Network, attention: str, amp: bool
) -> tuple[dict[str, Any], int]:
    """Trains and evaluates one network, as far as that is not done; returns its row and the exit status."""
    assert plan.standalone is not None
    say(f"training {network.name}, scheme {network.scheme}, from scratch")
    config = standalone_config(plan, supernet, network)
    work_dir = folder / "standalone" / network.folder
    status = train(config, work_dir=work_dir, resume=True, seed=plan.standalone.seed, amp=amp)
    return ({}, status) if status else (_row(plan, folder, supernet, network, attention, amp), 0)


def _row(
    plan: SearchPlan, folder: Path, supernet: Config, network: Network, attention: str, amp: bool
) -> dict[str, Any]:
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
    training = _training(plan, amp)
    return {
        "name": network.name,
        "scheme": str(network.scheme),
        "sharing": network.sharing,
        "attention": attention if network.scheme.connected else None,
        "seed": meta.get("seed"),
        "config": training["config"],
        "options": training["options"],
        "amp": training["amp"],
        "max_iters": meta["iter"],
        **metrics,
        "checkpoint": str(checkpoint.relative_to(folder)),
        "sha256": sha256_file(checkpoint),
        "seconds": training_seconds(work_dir),
    }

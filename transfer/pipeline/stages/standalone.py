"""Stand-alone training: of a search's candidates and of the networks beside them, or of a sample of schemes.

standalone/<scheme>/    a training each
standalone.json         their results, written anew after each
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mmengine.config import Config

from backbones.errors import UserInputError
from backbones.files import sha256_file
from backbones.schema import as_json, write_json
from backbones.scheme import ConnectionScheme
from transfer.engine.checkpoint import newest_checkpoint
from transfer.engine.compat import load_foreign_checkpoint
from transfer.engine.config_check import apply_options, load_config
from transfer.engine.console import say
from transfer.engine.evaluation import evaluate
from transfer.engine.progress import numbers, training_seconds
from transfer.engine.training import train
from transfer.pipeline.artefacts import STANDALONE, Run, Search, Standalone, read_search, read_standalone
from transfer.pipeline.config import SearchConfig, StandaloneConfig
from transfer.pipeline.stages.base import SearchRun, Stage
from transfer.pipeline.stages.describe import attention_of
from transfer.pipeline.stages.supernet import supernet_config
from transfer.pipeline.trained import checkpoint_of

_OPTIONS = {
    "config": "standalone.config",
    "options": "standalone.options",
    "amp": "--amp",
    "seed": "standalone.seed",
    "supernet": "supernet.config",
}
"""What says how networks are trained, by the key in `standalone.json`."""


@dataclass(frozen=True)
class Network:
    """A network to train from scratch: its name in the results, its scheme, its sharing, how it was picked."""

    name: str
    scheme: ConnectionScheme
    sharing: str
    picked: str = ""

    @property
    def folder(self) -> str:
        """Of its training, under `standalone/`."""
        return str(self.scheme).replace(".", "_") + ("_block" if self.sharing == "block" else "")

    @classmethod
    def of(cls, run: Run) -> Network:
        """The network of a training that has ended."""
        return cls(run.name, run.scheme, run.sharing, run.picked)


def asked_of(config: SearchConfig) -> StandaloneConfig:
    """The section on stand-alone trainings; raises `UserInputError` where there is none."""
    if config.standalone is None:
        raise UserInputError(f"config {config.path}: has no section 'standalone', which says how to train from scratch")
    return config.standalone


def training_config(config: SearchConfig) -> Config:
    """The config of the stand-alone trainings, with the search config's options.

    Raises:
        UserInputError: no such file, an option that nothing reads, or a model without a backbone.
    """
    asked = asked_of(config)
    found = load_config(config.file(asked.config))
    apply_options(found, asked.options)
    if "backbone" not in found.model:
        raise UserInputError(f"config {found.filename}: its model has no backbone, expected a Classifier")
    return found


def network_config(config: SearchConfig, network: Network) -> Config:
    """The config of one training: the supernet's backbone with a fixed scheme, in the stand-alone training's config.

    Raises:
        UserInputError: a config for another architecture.
    """
    found = training_config(config)
    backbone = deepcopy(supernet_config(config).model.backbone.to_dict())
    backbone.pop("supernet", None)
    backbone.update(scheme=str(network.scheme), sharing=network.sharing, init="scratch")
    found.model.backbone = backbone
    return found


def networks_of(asked: StandaloneConfig, search: Search) -> Iterator[Network]:
    """What a finished search has trained: its candidates, best first, then the networks beside them."""
    for number, entry in enumerate(search.candidates[: asked.candidates], 1):
        yield Network(f"candidate {number}", entry.scheme, search.sharing)
    full, none = ConnectionScheme.full(search.depths), ConnectionScheme.empty(search.depths)
    beside = {"plain": (none, "stage"), "full_sa": (full, "block"), "full_share": (full, "stage")}
    for name in asked.beside:
        yield Network(name, *beside[name])


class TrainNetworks(Stage):
    """Trains networks from scratch, all alike, each as far as it is not done."""

    def networks(self, run: SearchRun, finished: Sequence[Run]) -> list[Network]:
        """The networks that `standalone.json` is to hold, in its order; `finished` are those that have been trained."""
        raise NotImplementedError

    def training(self, run: SearchRun) -> dict[str, Any]:
        """How all networks are trained, in plain values."""
        return _training(run.config, run.amp)

    def done(self, run: SearchRun) -> bool:
        """All networks; raises `UserInputError` where the folder's were begun with another config or precision."""
        finished = self._finished(run)
        return list(map(Network.of, finished)) == self.networks(run, finished)

    def make(self, run: SearchRun) -> int:
        """Trains what is not trained yet, and writes `standalone.json` after each.

        The best candidate is the one of the greatest top-1 accuracy on D_val. Test figures are recorded, never chosen
        by.
        """
        finished = self._finished(run)
        wanted = self.networks(run, finished)
        # By folder, because a candidate may be one of the networks beside it.
        known = {Network.of(one).folder: one for one in finished}
        runs = {network.folder: known[network.folder] for network in wanted if network.folder in known}
        missing = {network.folder: network for network in wanted if network.folder not in runs}
        say(f"{len(wanted)} networks to train from scratch, {len(wanted) - len(missing)} of them are trained already")
        self._write(run, wanted, runs)  # before anything is trained: what is resumed must be of the same kind
        jobs = [(run.config, run.folder.path, network, run.amp) for network in missing.values()]
        for place, (one, status) in zip(missing, run.engine.run(train_network, jobs), strict=True):
            if one is None:
                return int(status)
            runs[place] = one
            self._write(run, wanted, runs)
        return 0

    def report(self, run: SearchRun) -> None:
        """The accuracies of each network."""
        for one in read_standalone(run.folder.path).runs:
            accuracies = f"val top-1 {one.val['top1']:.2f}  test top-1 {one.test['top1']:.2f}"
            say(f"{one.name}  {one.scheme}  {accuracies}")

    def _finished(self, run: SearchRun) -> list[Run]:
        """The networks that an earlier part trained, if their checkpoints are still there."""
        path, folder = run.file(STANDALONE), run.folder.path
        if not path.is_file():
            return []
        before = read_standalone(folder)
        if before.runs or any(map(newest_checkpoint, (folder / "standalone").glob("*"))):
            _check_alike(path, before, self.training(run))
        return [one for one in before.runs if _whole(folder / one.checkpoint, one.sha256)]

    def _write(self, run: SearchRun, wanted: Sequence[Network], runs: Mapping[str, Run]) -> None:
        """Writes `standalone.json`, the runs in the order of `wanted`."""
        ended = [(network, runs[network.folder]) for network in wanted if network.folder in runs]
        rows = tuple(replace(one, name=network.name, picked=network.picked) for network, one in ended)
        best = max((row for row in rows if row.is_candidate), key=lambda row: row.val["top1"], default=None)
        found = Standalone(rows, None if best is None else best.scheme, self.training(run))
        write_json(run.file(STANDALONE), found.as_dict())


class TrainCandidates(TrainNetworks):
    """Trains a search's best candidates, and the networks beside them."""

    def wanted(self, run: SearchRun) -> bool:
        """Where the config has a section for it."""
        return run.config.standalone is not None

    def networks(self, run: SearchRun, finished: Sequence[Run]) -> list[Network]:
        """The candidates, best first, then the networks beside them."""
        return list(networks_of(asked_of(run.config), read_search(run.folder.path)))


def train_network(config: SearchConfig, folder: Path, network: Network, amp: bool) -> tuple[Run | None, int]:
    """Trains and evaluates one network, as far as that is not done; returns what came of it and the exit status."""
    say(f"training {network.name}, scheme {network.scheme}, from scratch")
    work_dir = folder / "standalone" / network.folder
    seed = asked_of(config).seed
    status = train(network_config(config, network), work_dir=work_dir, resume=True, seed=seed, amp=amp)
    return (None, status) if status else (_evaluated(config, folder, network, amp), 0)


def _evaluated(config: SearchConfig, folder: Path, network: Network, amp: bool) -> Run:
    """Evaluates a finished training on D_val and on the test images."""
    work_dir = folder / "standalone" / network.folder
    checkpoint = checkpoint_of(work_dir)
    metrics = {}
    for split in ("val", "test"):
        testing = network_config(config, network)
        for part in ("dataloader", "evaluator", "cfg") if split == "val" else ():
            testing[f"test_{part}"] = testing[f"val_{part}"]
        record = evaluate(testing, checkpoint, work_dir=work_dir / split)
        metrics[split] = numbers(record["metrics"])
    meta, training = load_foreign_checkpoint(checkpoint)["meta"], _training(config, amp)
    return Run(
        name=network.name,
        scheme=network.scheme,
        sharing=network.sharing,
        attention=attention_of(supernet_config(config)) if network.scheme.connected else None,
        seed=meta.get("seed"),
        config=training["config"],
        options=training["options"],
        amp=amp,
        max_iters=meta["iter"],
        val=metrics["val"],
        test=metrics["test"],
        checkpoint=str(checkpoint.relative_to(folder)),
        sha256=sha256_file(checkpoint),
        seconds=training_seconds(work_dir),
    )


def _training(config: SearchConfig, amp: bool) -> dict[str, Any]:
    asked = asked_of(config)
    path = str(config.file(asked.config))
    return {"config": path, "options": as_json(asked.options), "amp": amp, "seed": asked.seed}


def _whole(checkpoint: Path, sha256: str) -> bool:
    return checkpoint.is_file() and sha256_file(checkpoint) == sha256


def _check_alike(path: Path, before: Standalone, training: Mapping[str, Any]) -> None:
    """Refuses trainings that were begun in another way; what an earlier version did not record is taken as the same."""
    runs = [{"config": one.config, "options": one.options, "amp": one.amp, "seed": one.seed} for one in before.runs]
    recorded = [before.training, *({key: there for key, there in run.items() if there is not None} for run in runs)]
    for kind, key in ((kind, key) for kind in recorded for key in training if key in kind):
        there, here = kind[key], training[key]
        if key == "seed" and here is None and kind is not before.training:
            continue  # each run notes the seed of its config
        same = Path(str(there)).name == Path(str(here)).name if key in ("config", "supernet") else there == here
        if not same:
            raise UserInputError(
                f"{path}: {_OPTIONS[key]} is {there!r} there and {here!r} now; go on as it was begun, or choose "
                "another --work-dir"
            )

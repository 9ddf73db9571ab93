"""The searches for widths, one after the other.

searches/<name>/search.pth    a search that goes on
searches/<name>/pruned.pth    what it left, with recalibrated statistics: the warm start of its fine-tuning
widths.json                   all that have ended, written anew after each
"""

from __future__ import annotations

import io
import time
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from backbones.errors import UserInputError
from backbones.files import sha256_file
from backbones.integrity import remove_with_hash, write_with_hash
from backbones.registry import get_card
from backbones.schema import as_json, write, write_json
from backbones.sites import prune
from backbones.trunk import Trunk
from transfer.engine.amp import native_bfloat16
from transfer.engine.checkpoint import plain
from transfer.engine.compat import load_foreign_checkpoint
from transfer.engine.console import duration, resume_command, say
from transfer.engine.loops import StopRequest
from transfer.engine.progress import training_seconds
from transfer.pipeline.width.artefacts import WIDTHS, Dense, Found, WidthSearch, read_widths
from transfer.pipeline.width.config import WidthConfig
from transfer.pipeline.width.dense import Ground, WidthRun
from transfer.search.width.methods import WidthMethod
from transfer.search.width.ranking import Order, choose, cost_of, scaled
from transfer.search.width.removal import folded, recalibrated, top1
from transfer.search.width.shrinking import NOISE, gamma_of, rate_of, shrink_of
from transfer.search.width.space import Descent, Space
from transfer.search.width.training import WidthTraining

SEARCHES = "searches"


def search_widths(run: WidthRun) -> int:
    """Carries out the searches that have not ended; returns the exit status, 0 or 128 + a signal's number."""
    before = read_widths(run.folder.path) if run.file(WIDTHS).is_file() else None
    known = {} if before is None else {row.name: row for row in before.rows}
    _check_same(run, known)
    done = {name: row for name, row in known.items() if _whole(run, row)}
    missing = [search for search in run.config.searches if search.label not in done]
    if before is not None and not missing:
        return 0
    ground = Ground(run)
    found = _described(run, ground)
    if before is not None and before.dense.sha256 != found.dense.sha256:
        raise UserInputError(f"{run.file(WIDTHS)}: belongs to another network at full width; choose another --work-dir")
    for search in missing:
        row, status = _One(run, ground, search).carried_out(found)
        if row is None:
            return status
        done[search.label] = row
        rows = tuple(done[other.label] for other in run.config.searches if other.label in done)
        write_json(run.file(WIDTHS), WidthSearch(**{**vars(found), "rows": rows}).values)
        remove_with_hash(run.file(SEARCHES) / search.label / "search.pth")
    return 0


def report_widths(run: WidthRun) -> None:
    """A line for each search."""
    found = read_widths(run.folder.path)
    for row in found.rows:
        dense = "" if found.dense.top1 is None else f", at full width {found.dense.top1:.2f}"
        say(
            f"{row.name}: {row.channels:.3f} of the channels, {row.macs / found.dense.macs:.3f} of the MACs "
            f"({row.macs:,}), {row.parameters / found.dense.parameters:.3f} of the parameters ({row.parameters:,}); "
            f"val top-1 {row.top1_pruned:.2f} as cut, {row.top1_recalibrated:.2f} with recalibrated statistics{dense}; "
            f"{row.images:,} images seen"
        )


def _described(run: WidthRun, ground: Ground) -> WidthSearch:
    """What `widths.json` says beside its rows."""
    net = ground.net(run.config.searches[0]).eval()
    card, cost, asked = get_card(ground.config.model.backbone.name), cost_of(net, ground.size), run.config.dense
    trained = ground.weights
    options = ground.config.model.backbone
    attention = options.get("attention", card.attention)
    dense = Dense(
        config=asked.config,
        options=as_json(asked.options),
        sha256=ground.sha256,
        macs=cost.macs,
        parameters=cost.parameters,
        **({} if trained is None else _trained(ground, trained)),
    )
    return WidthSearch(
        backbone=card.name,
        arch=net.arch.name,
        attention=attention,
        attention_args=dict(options.get("attention_args", card.attention_args if attention == card.attention else {})),
        sharing=getattr(net, "sharing", None) if attention else None,
        scheme=str(net.scheme) if attention else None,
        num_classes=net.num_classes or 0,
        in_channels=net.conv1.in_channels,
        size=ground.size,
        data=str(ground.val.metainfo.get("name", "")),
        dense=dense,
    )


def _trained(ground: Ground, weights: Path) -> dict[str, Any]:
    meta = load_foreign_checkpoint(weights).get("meta", {})
    return {
        "seed": meta.get("seed"),
        "max_iters": meta.get("iter"),
        "seconds": training_seconds(weights.parent),
        "top1": top1(ground.trained(), ground.val),
    }


@dataclass
class _One:
    """One search."""

    run: WidthRun
    ground: Ground
    search: WidthConfig

    def __post_init__(self) -> None:
        self.method: WidthMethod = self.search.build()
        self.folder = self.run.file(SEARCHES) / self.search.label
        self.streams = self.ground.streams(self.method, self.search.seed)
        self.steps = self._steps()
        self.rate = rate_of(self.search.schedule, self.search.lr, max(self.steps, 1))
        self.gamma = self._gamma()

    def _steps(self) -> int:
        if not self.method.gradients:
            return 0
        if not self.search.equal_cost:
            return self.search.epochs * self.streams[0].per_epoch
        first = _One(self.run, self.ground, self.run.config.searches[0])
        return max(1, round(first.images / (self.method.gradients * self.streams[0].batch_size)))

    @property
    def images(self) -> int:
        """That it shows to its networks in all."""
        return self.steps * self.method.gradients * self.streams[0].batch_size

    def _gamma(self) -> float:
        if not self.steps or not self.method.penalised:
            return 0.0
        if self.search.gamma is not None:
            return self.search.gamma
        return gamma_of(self.search.shrink, self.rate, self.steps, self.search.momentum)

    def carried_out(self, beside: WidthSearch) -> tuple[Found | None, int]:
        """What came of it, None where a signal stopped it; and the exit status."""
        started, space = time.monotonic(), self._space()
        training = None
        if self.steps:
            training, signum = self._trained(space)
            if signum:
                return None, 128 + signum
        found = self._removed(space, training, beside)
        seconds = time.monotonic() - started
        say(f"{self.search.label}: searched in {duration(seconds)}")
        return Found(**found, seconds=seconds), 0

    def _space(self) -> Space:
        search = self.search
        scratch = search.start == "scratch"
        return Space(
            self.ground.net(search),
            Descent(search.lr, search.momentum, search.weight_decay, self.gamma),
            other=(lambda: self.ground.net(search, second=True)) if scratch else None,
            memory_format=self.ground.memory_format,
            amp=self.run.amp and native_bfloat16(torch.device(self.ground.device).type),
        )

    def _trained(self, space: Space) -> tuple[WidthTraining, int]:
        """The search, gone on with where it was stopped; and the signal that stops it now, 0 for none."""
        search, file = self.search, self.folder / "search.pth"
        training = WidthTraining(self.method, space, self.streams, self.steps, self.rate, search.seed)
        if file.is_file():
            saved = load_foreign_checkpoint(file)
            if saved["meta"].get("search") != self._settings():
                raise UserInputError(
                    f"{file}: was begun with other settings or data; go on with those, or choose another --work-dir"
                )
            training.resume(saved["search"])
        said = f", step {training.step} of them is done" if training.step else ""
        strength = f", gamma {self.gamma:.3g} (shrink {self._shrink:.3g})" if self.method.penalised else ""
        say(f"searching widths with {search.label}: {self.steps:,} steps{strength}{said}")
        request = StopRequest()

        def save() -> None:
            file.parent.mkdir(parents=True, exist_ok=True)
            _write(file, {"meta": {"search": self._settings()}, "search": training.state()})

        with request.caught():
            training.run(lambda: bool(request.signum), save, search.checkpoint_interval)
        if training.step < self.steps:
            say(f"stopped after step {training.step}; checkpoint {file}; continue with: {resume_command()}")
            return training, request.signum
        return training, 0

    @property
    def _shrink(self) -> float:
        return shrink_of(self.gamma, self.rate, self.steps, self.search.momentum)

    def _settings(self) -> dict[str, Any]:
        """All that the steps depend on, in plain values."""
        asked = {key: value for key, value in _asked(self.search).items() if key not in _NOT_OF_STEPS}
        size, sizes = self.streams[0].batch_size, [len(stream.part) for stream in self.streams]
        own = {"steps": self.steps, "batch": size, "images": sizes, "dense": self.ground.sha256, "amp": self.run.amp}
        return {**asked, **own, "backbone": str(self.ground.config.model.backbone.name)}

    def _removed(self, space: Space, training: WidthTraining | None, beside: WidthSearch) -> dict[str, Any]:
        """Cuts out the least channels; returns the fields of `Found`."""
        scores = self.method.scores(space, torch.Generator().manual_seed(self.search.seed))
        if training is not None and training.moved < NOISE:
            say(
                f"{self.search.label}: only {100 * training.moved:.1f} % of the channels' scores have moved: the "
                "ranking is noise; raise shrink, epochs or lr"
            )
        pruned = self._pruned(space, scores)
        as_cut = top1(pruned, self.ground.val)
        ready = recalibrated(pruned, self.ground.calibration)
        file = self.folder / "pruned.pth"
        file.parent.mkdir(parents=True, exist_ok=True)
        meta = {"backbone": beside.backbone, "widths": str(ready.widths)}
        _write(file, {"meta": meta, "state_dict": dict(ready.state_dict())})
        cost = cost_of(ready, self.ground.size)
        trained: dict[str, Any] = {}
        if training is not None:
            trained = {"steps": self.steps, "moved": training.moved, "trace": tuple(training.trace)}
        if training is not None and self.method.penalised:
            trained |= {"gamma": self.gamma, "shrink": self._shrink}
        return {
            "name": self.search.label,
            "asked": _asked(self.search),
            **trained,
            "images": space.images,
            "widths": str(ready.widths),
            "channels": ready.widths.kept(ready.arch.inner),
            "macs": cost.macs,
            "parameters": cost.parameters,
            "top1_pruned": as_cut,
            "top1_recalibrated": top1(ready, self.ground.val),
            "checkpoint": str(file.relative_to(self.run.folder.path)),
            "sha256": sha256_file(file),
        }

    def _pruned(self, space: Space, scores: list[Tensor]) -> Trunk:
        gates = self.method.gates(space)
        net = deepcopy(space.net) if gates is None else folded(space.net, gates)
        rank = "global" if self.method.comparable else self.search.rank
        order = Order(scaled(scores, rank), self.search.min_keep)
        return prune(net, choose(net, order, self.search.keep, self.ground.size, scores))


_NOT_OF_STEPS = ("name", "keep", "rank", "min_keep", "checkpoint_interval", "epochs", "equal_cost")
"""Keys of a search that its steps do not depend on, or only by their number."""

_NOT_OF_RESULT = ("checkpoint_interval",)


def _asked(search: WidthConfig) -> dict[str, Any]:
    return dict(as_json({key: value for key, value in write(search).items() if key not in _NOT_OF_RESULT}))


def _whole(run: WidthRun, row: Found) -> bool:
    path = run.file(row.checkpoint)
    return path.is_file() and sha256_file(path) == row.sha256


def _check_same(run: WidthRun, known: dict[str, Found]) -> None:
    """Refuses to go on from results of other settings."""
    for search in run.config.searches:
        if (row := known.get(search.label)) is None:
            continue
        for key, here in _asked(search).items():
            if (there := row.asked.get(key)) != here:
                raise UserInputError(
                    f"{run.file(WIDTHS)}: {key} of {search.label} is {there!r} there and {here!r} in "
                    f"{run.config.path}; choose another --work-dir, or the config that it was begun with"
                )


def _write(path: Path, content: dict[str, Any]) -> None:
    buffer = io.BytesIO()
    torch.save(plain(content), buffer)
    write_with_hash(path, buffer.getvalue())

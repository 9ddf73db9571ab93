"""The network at full width: its training, its weights, its data.

dense/    the training, unless its weights are given
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import torch
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.model import BaseModel
from mmengine.registry import DATASETS, MODELS

from backbones.errors import UserInputError
from backbones.files import sha256_file
from backbones.registry import get_card
from backbones.trunk import Trunk
from backbones.weights import load_weights
from transfer.engine.backbone import registered_backbones, without_initial_weights
from transfer.engine.console import say
from transfer.engine.training import train
from transfer.engine.workdir import WorkDir
from transfer.pipeline.trained import checkpoint_of, given_file, is_trained
from transfer.pipeline.width.config import WidthConfig, WidthSearchConfig
from transfer.search.supernet.problem import Batches
from transfer.search.width.data import Stream, halves
from transfer.search.width.methods import WidthMethod

DENSE = "dense"
_CALIBRATION_BATCH = 256


@dataclass(frozen=True)
class WidthRun:
    """A width search that is carried out: what is asked for, where everything goes, mixed precision."""

    config: WidthSearchConfig
    folder: WorkDir
    amp: bool

    def file(self, name: str) -> Path:
        """A file or folder of the run's own."""
        return self.folder.path / name


def given_weights(config: WidthSearchConfig) -> Path | None:
    """The weights at full width that need no training, None where there are none; raises `UserInputError` if gone."""
    asked = config.dense
    if asked.weights == "card":
        return get_card(config.dense_config().model.backbone.name).weights_path()
    if asked.checkpoint is None:
        return None
    return given_file(config.path, "dense.checkpoint", config.file(asked.checkpoint))


def dense_weights(run: WidthRun) -> Path:
    """The weights at full width, once they are there."""
    return given_weights(run.config) or checkpoint_of(run.file(DENSE))


def train_dense(run: WidthRun) -> int:
    """Trains the network at full width, as far as that is wanted and not done; returns the exit status."""
    if not run.config.needs_dense or given_weights(run.config) is not None:
        return 0
    config, place = run.config.dense_config(), run.file(DENSE)
    if is_trained(place, config.train_cfg.max_iters):
        return 0
    say("training the network at full width")
    return train(config, work_dir=place, resume=True, seed=run.config.dense.seed, amp=run.amp)


def backbone_of(config: Config) -> dict[str, Any]:
    """A config's backbone without what says where its weights come from."""
    found = cast(dict[str, Any], deepcopy(config.model.backbone.to_dict()))
    return {key: value for key, value in found.items() if key not in ("init", "weights", "pretrained", "supernet")}


class Ground:
    """The network and the data that all searches of a run begin with.

    Args:
        run: the run, its weights at full width there where they are needed.
    """

    def __init__(self, run: WidthRun) -> None:
        self.config, self.device = run.config.dense_config(), get_device()
        self.weights = dense_weights(run) if run.config.needs_dense else None
        self.sha256 = None if self.weights is None else sha256_file(self.weights)
        self.model = self._built(0)

    def net(self, search: WidthConfig, *, second: bool = False) -> Trunk:
        """A network as a search begins with; `second`: the other one, where each begins with its own."""
        return self.trained() if search.start == "dense" else network_in(self._built(2 * search.seed + second))

    def trained(self) -> Trunk:
        """A network with the weights at full width."""
        assert self.weights is not None
        net = network_in(self._built(0))
        load_whole(net, self.weights)
        return net

    def _built(self, seed: int) -> BaseModel:
        with torch.random.fork_rng(devices=[]), without_initial_weights():
            torch.manual_seed(seed)
            return MODELS.build(self.config.model).to(self.device)

    @property
    def memory_format(self) -> torch.memory_format:
        """Of images."""
        return getattr(self.model, "memory_format", torch.contiguous_format)

    @cached_property
    def val(self) -> Batches:
        """D_val, in its order."""
        return self._batches("val_dataloader")

    @cached_property
    def calibration(self) -> Batches:
        """Images of D_train as they are evaluated, in batches of one size."""
        dataset = DATASETS.build(_needed(self.config, "calibration_dataset"))
        images = len(dataset)
        batch = next(size for size in range(min(images, _CALIBRATION_BATCH), 0, -1) if images % size == 0)
        return Batches(dataset, self.model.data_preprocessor, batch)

    @cached_property
    def size(self) -> int:
        """Side of the images, in pixels."""
        images, _ = next(iter(self.val))
        return int(images.shape[-1])

    @cached_property
    def _train(self) -> Any:
        return DATASETS.build(_needed(self.config, "train_dataloader")["dataset"])

    def streams(self, method: WidthMethod, seed: int) -> tuple[Stream, Stream]:
        """The batches of a method's training and validation loss, both of D_train: two halves, or twice the same."""
        loader, size = self.config.train_dataloader, len(self._train)
        parts = halves(size, seed) if method.halves else (None,)
        workers = loader.get("num_workers", 0)
        preprocessor = self.model.data_preprocessor
        made = [
            Stream(self._train, preprocessor, loader["batch_size"], 2 * seed + n, part=part, num_workers=workers)
            for n, part in enumerate(parts)
        ]
        return made[0], made[-1]

    def _batches(self, key: str) -> Batches:
        loader = _needed(self.config, key)
        workers = loader.get("num_workers", 0)
        dataset = DATASETS.build(loader["dataset"])
        return Batches(dataset, self.model.data_preprocessor, loader["batch_size"], num_workers=workers)


def network_in(model: BaseModel) -> Trunk:
    """The one network of a model, with a classifier; raises `UserInputError` where there is no such."""
    nets = registered_backbones(model)
    if len(nets) != 1 or nets[0].num_classes is None or nets[0].supernet:
        raise UserInputError(
            "the model's widths cannot be searched, expected one RegisteredBackbone with a classifier, and not as a "
            "supernet; choose a Classifier with a fixed scheme"
        )
    net: Trunk = nets[0]
    return net


def check_network(config: WidthSearchConfig) -> None:
    """Raises `UserInputError` where the config's network does not build, or its widths cannot be searched."""
    with torch.device("meta"), without_initial_weights():
        network_in(MODELS.build(config.dense_config().model))


def load_whole(net: Trunk, path: Path) -> None:
    """Loads weights, the classifier included; raises `UserInputError` where any are missing or of another shape."""
    report = load_weights(net, path, init="full")
    wrong = [*(f"{key} is missing" for key in report.missing), *map(str, report.mismatched)]
    if wrong:
        raise UserInputError(f"{path}: does not fit the network: {wrong[0]}; take the config that it was trained with")


def _needed(config: Config, key: str) -> Mapping[str, Any]:
    if not config.get(key):
        raise UserInputError(f"config {config.filename}: has no {key!r}, which searching its widths needs")
    return cast(Mapping[str, Any], config[key])

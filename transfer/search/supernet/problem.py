"""A trained supernet as a search problem, with the images that it is evaluated on and trained further with."""

from __future__ import annotations

from collections.abc import Iterator, Sequence, Sized
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.device import get_device
from mmengine.model import BaseModel
from mmengine.registry import DATASETS, MODELS
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, Sampler

from backbones.errors import UserInputError
from backbones.files import sha256_file
from backbones.scheme import ConnectionScheme
from transfer.engine.backbone import without_initial_weights
from transfer.engine.checkpoint import check_same_model, plain
from transfer.engine.compat import load_foreign_checkpoint
from transfer.engine.config_check import load_config
from transfer.engine.sampling import EpochIndex
from transfer.search.problem import Evaluation
from transfer.search.supernet.evaluator import Batch, TrieEvaluator
from transfer.search.supernet.training import supernet_of


class _EpochSampler(Sampler):
    """One epoch's order of the images at `places`; augmentation sees the epoch."""

    def __init__(self, places: Sequence[int], seed: int | None) -> None:
        self.places, self.seed, self.epoch = places, seed, 0

    def __len__(self) -> int:
        return len(self.places)

    def __iter__(self) -> Iterator[int]:
        if self.seed is None:
            return iter(self.places)
        order = np.random.default_rng((self.seed, self.epoch)).permutation(len(self.places))
        return iter([EpochIndex(self.places[index], self.epoch) for index in order])


class Batches:
    """Normalised images and labels of a data set, batch after batch; can be iterated any number of times.

    Args:
        dataset: items as `tasks.classification` has them.
        preprocessor: the model's; it also moves to the device.
        batch_size: images a batch.
        num_workers: processes that read.
        seed: shuffle, and drop the last batch if it is smaller; each iteration is the next epoch, from 0. None: the
            data set's own order, all of it.
        places: of the images in the data set; default all.
    """

    def __init__(
        self,
        dataset: Dataset,
        preprocessor: nn.Module,
        batch_size: int,
        *,
        num_workers: int = 0,
        seed: int | None = None,
        places: Sequence[int] | None = None,
    ) -> None:
        if batch_size < 1:
            raise UserInputError(f"batch_size={batch_size}: expected at least 1")
        self.preprocessor, self.batch_size = preprocessor, batch_size
        # torch's `Dataset` declares no length, because those that can only be iterated have none.
        self.sampler = _EpochSampler(range(len(cast(Sized, dataset))) if places is None else places, seed)
        self.images = len(self.sampler)
        self.metainfo: dict[str, Any] = dict(getattr(dataset, "metainfo", {}))
        self._loader = DataLoader(
            dataset,
            batch_size,
            sampler=self.sampler,
            num_workers=num_workers,
            collate_fn=pseudo_collate,
            drop_last=seed is not None and self.images > batch_size,
        )

    def __len__(self) -> int:
        return len(self._loader)

    def __iter__(self) -> Iterator[Batch]:
        for data in self._loader:
            ready: dict[str, Tensor] = self.preprocessor(data)
            yield ready["inputs"], ready["labels"]
        self.sampler.epoch += 1


class SupernetProblem:
    """A trained supernet as a search problem (`transfer.search.problem.SearchProblem`).

    The config is the one that the supernet was trained with. Schemes are evaluated on its `val_dataloader`, which is
    D_val; `calibration_dataset` says which images of D_train recalibration takes its statistics from. How many images
    of each there are is the data sets' `images`.

    Args:
        config: config file of the supernet's training, or what was read from it.
        checkpoint: the trained supernet.
        bn: `"recalibrated"`, on the config's `calibration_dataset`, or `"running"` (see `TrieEvaluator`).
        split: `"val"`; `"test"` evaluates on the config's `test_dataloader`, for tables only: never search on it.
        calibration_batch: images a calibration batch, a divisor of their number.
        precision: in which schemes are evaluated, see `TrieEvaluator`.
        seed: of the order in which the loaders for gradient methods shuffle.
        device: where to compute; default mmengine's choice.

    Attributes:
        depths: blocks of each stage.
        supernet: the network itself, for methods that train it or look at its weights. The evaluator has a copy.
        evaluator: counts block evaluations.
        settings: everything that an evaluation depends on, the checkpoint's SHA-256 included, in plain values.

    Raises:
        UserInputError: no such file, a config without a needed key, a model that is no supernet, a checkpoint of
            another model.
    """

    def __init__(
        self,
        config: str | Path | Config,
        checkpoint: str | Path,
        *,
        bn: str = "recalibrated",
        split: str = "val",
        calibration_batch: int = 256,
        precision: str = "float32",
        seed: int = 0,
        device: str | None = None,
    ) -> None:
        if split not in ("val", "test"):
            raise UserInputError(f"split={split!r}: expected 'val', or 'test' for a table")
        self._config = config if isinstance(config, Config) else load_config(config)
        self._seed = seed
        self._model = _trained(self._config, checkpoint).to(device or get_device())
        self.supernet = supernet_of(self._model)
        self.depths: tuple[int, ...] = self.supernet.arch.depths
        scored = self._batches(f"{split}_dataloader")
        calibration = self._calibration(calibration_batch) if bn == "recalibrated" else None
        self.evaluator = TrieEvaluator(
            self.supernet,
            scored,
            bn=bn,
            calibration=calibration,
            precision=precision,
            channels_last=getattr(self._model, "memory_format", None) is torch.channels_last,
        )
        self.settings: dict[str, Any] = {
            "supernet_sha256": sha256_file(Path(checkpoint)),
            "arch": self.supernet.arch.name,
            "sharing": self.supernet.sharing,
            "bn": bn,
            "data": plain(scored.metainfo),
            "calibration": None
            if calibration is None
            else {**plain(calibration.metainfo), "batch": calibration.batch_size},
        }
        if precision != "float32":  # left out else, so that logs from before there was a choice go on
            self.settings["precision"] = precision

    def evaluate(self, schemes: Sequence[ConnectionScheme]) -> list[Evaluation]:
        """One evaluation a scheme, in the given order: accuracy in percent, loss, number of images."""
        return self.evaluator.evaluate(schemes)

    @cached_property
    def train_loader(self) -> Batches:
        """D_train as in the supernet's training: augmented, shuffled; each iteration is an epoch."""
        return self._batches("train_dataloader", seed=self._seed)

    @cached_property
    def val_loader(self) -> Batches:
        """D_val shuffled, in batches of the training's size; each iteration is an epoch."""
        return self._batches("val_dataloader", seed=self._seed + 1, batch_size=self.train_loader.batch_size)

    @cached_property
    def halves(self) -> tuple[Batches, Batches]:
        """D_train cut by chance into two halves, each augmented and shuffled as in the supernet's training.

        Of an odd number of images one is in neither half.
        """
        order = np.random.default_rng(self._seed).permutation(self.train_loader.images).tolist()
        half = len(order) // 2
        first, second = order[:half], order[half : 2 * half]
        return (
            self._batches("train_dataloader", seed=self._seed, places=first),
            self._batches("train_dataloader", seed=self._seed + 1, places=second),
        )

    def _batches(
        self,
        key: str,
        *,
        seed: int | None = None,
        batch_size: int | None = None,
        places: Sequence[int] | None = None,
    ) -> Batches:
        loader = _needed(self._config, key)
        return Batches(
            DATASETS.build(loader["dataset"]),
            self._model.data_preprocessor,
            batch_size or loader["batch_size"],
            num_workers=loader.get("num_workers", 0),
            seed=seed,
            places=places,
        )

    def _calibration(self, batch_size: int) -> Batches:
        dataset = DATASETS.build(_needed(self._config, "calibration_dataset"))
        batch_size = min(batch_size, len(dataset))
        if batch_size < 1 or len(dataset) % batch_size:
            raise UserInputError(
                f"calibration_batch={batch_size} does not divide the {len(dataset)} calibration images: all batches "
                "weigh the same, choose a divisor or change calibration_dataset.images"
            )
        workers = _needed(self._config, "val_dataloader").get("num_workers", 0)
        return Batches(dataset, self._model.data_preprocessor, batch_size, num_workers=workers)


def _needed(config: Config, key: str) -> Any:
    if not config.get(key):
        raise UserInputError(f"config {config.filename}: has no {key!r}, which searching its supernet needs")
    return config[key]


def _trained(config: Config, checkpoint: str | Path) -> BaseModel:
    """The config's model with the checkpoint's weights, in inference mode."""
    with without_initial_weights():
        model = MODELS.build(config.model)
    supernet_of(model)
    model.load_state_dict(check_same_model(model, load_foreign_checkpoint(checkpoint), checkpoint))
    return model.eval()

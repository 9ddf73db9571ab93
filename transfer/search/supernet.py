"""Training a supernet, one random connection scheme an iteration, and searching the trained one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.device import get_device
from mmengine.hooks import Hook
from mmengine.registry import DATASETS, HOOKS, MODELS
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, Sampler

from backbones.errors import UserInputError
from backbones.files import sha256_file
from backbones.resnet import AttentionResNet
from backbones.scheme import ConnectionScheme
from transfer.engine.backbone import registered_backbones, without_initial_weights
from transfer.engine.checkpoint import bare, check_same_model, plain
from transfer.engine.compat import load_foreign_checkpoint
from transfer.engine.config_check import load_config
from transfer.engine.sampling import EpochIndex
from transfer.search.evaluator import Batch, TrieEvaluator
from transfer.search.problem import Evaluation

SANDWICH_DRAWS = 2

# Keeps the schemes apart from everything else that is drawn from (seed, iteration).
_STREAM = 0x5C4E3E


def schemes_at(
    iteration: int,
    seed: int,
    depths: Sequence[int],
    *,
    beta: float = 0.5,
    complement: bool = False,
    sandwich: bool = False,
) -> tuple[ConnectionScheme, ...]:
    """The connection schemes that an iteration of supernet training runs; a pure function.

    >>> [str(scheme) for scheme in schemes_at(3, 0, (2, 2), complement=True)]
    ['10.11', '01.00']

    Args:
        iteration: counted from 0.
        seed: of the training.
        depths: blocks of each stage.
        beta: probability of a connection (EAN, Algorithm 1).
        complement: run the scheme and its complement, so that every block is trained both ways equally often.
        sandwich: the sandwich rule (Yu and Huang, ICCV 2019): all connected, none, and two random schemes.
    """
    words = np.random.SeedSequence((abs(seed), iteration, _STREAM)).generate_state(1)
    generator = torch.Generator().manual_seed(int(words[0]))
    if sandwich:
        drawn = [ConnectionScheme.random(depths, beta, generator) for _ in range(SANDWICH_DRAWS)]
        return (ConnectionScheme.full(depths), ConnectionScheme.empty(depths), *drawn)
    scheme = ConnectionScheme.random(depths, beta, generator)
    return (scheme, scheme.complement()) if complement else (scheme,)


@HOOKS.register_module()
class SupernetHook(Hook):
    """Gives the supernet its connection scheme before each training iteration (see `schemes_at`).

    All processes set the same one. Validation sees the scheme that the config gives the backbone; by default all
    blocks are connected. Run on several processes with `find_unused_parameters=True`: a module that an iteration's
    scheme leaves out gets no gradient.

    Args:
        beta: probability of a connection, in (0, 1].
        complement: each scheme together with its complement, for the mean of both losses.
        sandwich: the sandwich rule, for the mean of the four losses.

    Raises:
        UserInputError: `beta` outside (0, 1], both options at once, a model that is no supernet or (with either
            option) cannot run several schemes an iteration.
    """

    priority = "HIGH"

    def __init__(self, beta: float = 0.5, complement: bool = False, sandwich: bool = False) -> None:
        check_beta(beta)
        if complement and sandwich:
            raise UserInputError("SupernetHook: complement and sandwich exclude each other, choose one")
        self.options: dict[str, Any] = {"beta": beta, "complement": complement, "sandwich": sandwich}

    def before_train(self, runner: Any) -> None:
        """Checks the model, and keeps the scheme that the config gave it."""
        self.model = bare(runner.model)
        self.net = supernet_of(self.model)
        self.given = self.net.scheme
        if (self.options["complement"] or self.options["sandwich"]) and not hasattr(self.model, "schemes"):
            raise UserInputError(
                f"SupernetHook: {type(self.model).__name__} runs one scheme an iteration; leave complement and "
                "sandwich out, or train a Classifier"
            )

    def before_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        """Sets the schemes of this iteration."""
        schemes = schemes_at(runner.iter, int(runner.seed or 0), self.net.arch.depths, **self.options)
        self.net.scheme = schemes[0]
        if len(schemes) > 1:
            self.model.schemes = schemes

    def before_val(self, runner: Any) -> None:
        """Back to the scheme of the config."""
        if hasattr(self, "given"):
            self.net.scheme = self.given

    def after_train(self, runner: Any) -> None:
        """Back to the scheme of the config."""
        self.net.scheme = self.given


def check_beta(beta: Any) -> None:
    """Raises `UserInputError` where `beta` is no connection probability that trains anything."""
    if isinstance(beta, bool) or not isinstance(beta, (int, float)) or not 0 < beta <= 1:
        raise UserInputError(f"SupernetHook.beta={beta!r}: expected a probability above 0, up to 1")


def beta_of(config: Config) -> float | None:
    """The connection probability that a supernet's config trains with; None where no hook of it draws schemes.

    Raises:
        UserInputError: it is outside (0, 1].
    """
    for hook in config.get("custom_hooks") or ():
        if hook.get("type") == "SupernetHook":
            beta = hook.get("beta", 0.5)
            check_beta(beta)
            return float(beta)
    return None


def supernet_of(model: nn.Module) -> AttentionResNet:
    """The network inside a model's registered backbone; raises `UserInputError` where it is no supernet."""
    nets = registered_backbones(bare(model))
    if len(nets) != 1 or not nets[0].supernet:
        raise UserInputError(
            "the model is no supernet, expected one RegisteredBackbone with attention and supernet=True "
            "(model.backbone.supernet)"
        )
    return nets[0]


class _EpochSampler(Sampler):
    """One epoch's order; augmentation sees the epoch."""

    def __init__(self, size: int, seed: int | None) -> None:
        self.size, self.seed, self.epoch = size, seed, 0

    def __len__(self) -> int:
        return self.size

    def __iter__(self) -> Iterator[int]:
        if self.seed is None:
            return iter(range(self.size))
        order = np.random.default_rng((self.seed, self.epoch)).permutation(self.size)
        return iter([EpochIndex(int(index), self.epoch) for index in order])


class Batches:
    """Normalised images and labels of a data set, batch after batch; can be iterated any number of times.

    Args:
        dataset: items as `tasks.classification` has them.
        preprocessor: the model's; it also moves to the device.
        batch_size: images a batch.
        num_workers: processes that read.
        seed: shuffle, and drop the last batch if it is smaller; each iteration is the next epoch, from 0. None: the
            data set's own order, all of it.
    """

    def __init__(
        self,
        dataset: Dataset,
        preprocessor: nn.Module,
        batch_size: int,
        *,
        num_workers: int = 0,
        seed: int | None = None,
    ) -> None:
        if batch_size < 1:
            raise UserInputError(f"batch_size={batch_size}: expected at least 1")
        self.preprocessor, self.batch_size = preprocessor, batch_size
        self.images = len(dataset)  # type: ignore[arg-type]
        self.metainfo: dict[str, Any] = dict(getattr(dataset, "metainfo", {}))
        self.sampler = _EpochSampler(self.images, seed)
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

    def _batches(self, key: str, *, seed: int | None = None, batch_size: int | None = None) -> Batches:
        loader = _needed(self._config, key)
        return Batches(
            DATASETS.build(loader["dataset"]),
            self._model.data_preprocessor,
            batch_size or loader["batch_size"],
            num_workers=loader.get("num_workers", 0),
            seed=seed,
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


def _trained(config: Config, checkpoint: str | Path) -> nn.Module:
    """The config's model with the checkpoint's weights, in inference mode."""
    with without_initial_weights():
        model = MODELS.build(config.model)
    supernet_of(model)
    model.load_state_dict(check_same_model(model, load_foreign_checkpoint(checkpoint), checkpoint))
    return model.eval()

"""Batches of a data set as a function of the step, so that a search can go on from any step."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, cast

import numpy as np
from mmengine.dataset import pseudo_collate
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, Sampler

from backbones.errors import UserInputError
from transfer.engine.sampling import EpochIndex

Batch = tuple[Tensor, Tensor]


class _Steps(Sampler):
    """The indices of one batch after the other, from a step on."""

    def __init__(self, stream: Stream, start: int, stop: int) -> None:
        self.stream, self.start, self.stop = stream, start, stop

    def __len__(self) -> int:
        return self.stop - self.start

    def __iter__(self) -> Iterator[list[EpochIndex]]:
        return (self.stream.indices(step) for step in range(self.start, self.stop))


class Stream:
    """Normalised images and labels, shuffled anew each epoch; an epoch's last, smaller batch is left out.

    Args:
        dataset: items as `tasks.classification` has them.
        preprocessor: the model's.
        batch_size: images a batch; at most all.
        seed: of the shuffling.
        part: the images that belong to it; default all.
        num_workers: processes that read.

    Attributes:
        per_epoch: batches of an epoch.
    """

    def __init__(
        self,
        dataset: Dataset,
        preprocessor: nn.Module,
        batch_size: int,
        seed: int,
        *,
        part: Sequence[int] | np.ndarray | None = None,
        num_workers: int = 0,
    ) -> None:
        self.dataset, self.preprocessor, self.seed, self.num_workers = dataset, preprocessor, seed, num_workers
        # torch's `Dataset` declares no length, because those that can only be iterated have none.
        self.part = np.arange(len(cast(Any, dataset))) if part is None else np.asarray(part)
        if not len(self.part):
            raise UserInputError(f"{type(dataset).__name__}: no images to train on, expected at least one")
        self.batch_size = min(batch_size, len(self.part))
        self.per_epoch = len(self.part) // self.batch_size

    def indices(self, step: int) -> list[EpochIndex]:
        """Which images a step sees: a function of it and of the seed alone."""
        epoch, place = divmod(step, self.per_epoch)
        order = np.random.default_rng((self.seed, epoch)).permutation(self.part)
        batch = order[place * self.batch_size : (place + 1) * self.batch_size]
        return [EpochIndex(int(index), epoch) for index in batch]

    def batches(self, start: int, stop: int) -> Iterator[Batch]:
        """Those of steps `start` to `stop`."""
        loader = DataLoader(
            self.dataset,
            batch_sampler=_Steps(self, start, stop),
            num_workers=self.num_workers,
            collate_fn=pseudo_collate,
        )
        for data in loader:
            ready: dict[str, Tensor] = self.preprocessor(data)
            yield ready["inputs"], ready["labels"]


def halves(size: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Two halves of 0, ..., size - 1, drawn from `seed`, each ascending; of an odd number one is left out."""
    order = np.random.default_rng((seed, 0x4A1F)).permutation(size)
    half = size // 2
    return np.sort(order[:half]), np.sort(order[half : 2 * half])

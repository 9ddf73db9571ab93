"""An endless stream of sample indices whose position can be saved and set."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import random
import signal
import sys
from collections.abc import Iterator, Sized
from types import FrameType

import numpy as np
import torch
from mmengine.dist import get_dist_info
from mmengine.registry import DATA_SAMPLERS, FUNCTIONS
from torch.utils.data import Sampler

from backbones.errors import UserInputError
from transfer.cli import ENDING


class EpochIndex(int):
    """An index into a data set that also knows its epoch, so that augmentation can depend on (seed, epoch, index).

    It is an `int` wherever one is expected, and survives the way to a worker process.
    """

    epoch: int

    def __new__(cls, index: int, epoch: int = 0) -> EpochIndex:
        value = super().__new__(cls, index)
        value.epoch = epoch
        return value

    def __reduce__(self) -> tuple[type[EpochIndex], tuple[int, int]]:
        return type(self), (int(self), self.epoch)


@DATA_SAMPLERS.register_module()
class ResumableSampler(Sampler):
    """Endless epochs of a data set; each one is a permutation drawn from (seed, epoch) alone.

    Position p of the stream belongs to epoch `p // len(dataset)`. Of `world_size` processes, the one with rank r reads
    the positions r, r + world_size, ... beyond `position`.

    Args:
        dataset: what is sampled; only its length matters.
        shuffle: permute each epoch; otherwise 0, 1, 2, ...
        seed: the stream's seed, the same in all processes.

    Attributes:
        position: samples that all processes together have used up; set it before iterating to continue from there.
    """

    def __init__(self, dataset: Sized, shuffle: bool = True, seed: int | None = 0) -> None:
        self.size = len(dataset)
        if not self.size:
            raise UserInputError(f"{type(dataset).__name__}: the data set is empty, expected at least one sample")
        self.shuffle, self.seed, self.position = shuffle, 0 if seed is None else int(seed), 0
        self.rank, self.world_size = get_dist_info()

    def order(self, epoch: int) -> np.ndarray:
        """Indices (len(dataset),) of one epoch, in order."""
        if not self.shuffle:
            return np.arange(self.size)
        return np.random.default_rng((self.seed, epoch)).permutation(self.size)

    def __iter__(self) -> Iterator[EpochIndex]:
        position, current, order = self.position + self.rank, -1, np.empty(0, int)
        while True:
            epoch, offset = divmod(position, self.size)
            if epoch != current:
                current, order = epoch, self.order(epoch)
            yield EpochIndex(int(order[offset]), epoch)
            position += self.world_size

    def __len__(self) -> int:
        """Samples of one epoch in this process, rounded up."""
        return -(-self.size // self.world_size)


# What a data worker has left to live after the first SIGTERM, in seconds.
LINGER = 10
_PR_SET_PDEATHSIG = 1


@FUNCTIONS.register_module()
def init_worker(worker_id: int) -> None:
    """Prepares a data worker: seeded by torch's seed for it, deaf to all but SIGTERM, for which it is hard of hearing.

    Terminals and job schedulers signal the whole process group, but the main process needs its workers up to the
    checkpoint. A second SIGTERM, or `LINGER` seconds, end a worker for good, and so does the end of the process that
    started it (on Linux; elsewhere torch's own watch, in some seconds).
    """
    seed = torch.initial_seed() % 2**32
    random.seed(seed)
    np.random.seed(seed)
    for signum in {signal.SIGINT, *ENDING} - {signal.SIGTERM}:
        signal.signal(signum, signal.SIG_IGN)
    _die_with_parent()
    if hasattr(signal, "alarm"):
        signal.signal(signal.SIGTERM, _end_soon)


def _die_with_parent() -> None:
    """Asks Linux for SIGKILL when the process that started this one ends, be it by SIGKILL itself."""
    if not sys.platform.startswith("linux"):
        return
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL))
    parent = multiprocessing.parent_process()
    if parent is not None and os.getppid() != parent.pid:  # it ended before it was asked for
        os._exit(1)


def _end_soon(signum: int, frame: FrameType | None) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.alarm(LINGER)

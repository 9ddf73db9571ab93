"""Random choices of search methods, all from a `torch.Generator`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


def numpy_generator(generator: torch.Generator) -> np.random.Generator:
    """A NumPy generator whose seed `generator` draws: one draw, whatever follows."""
    return np.random.default_rng(draw_seed(generator))


def draw_seed(generator: torch.Generator) -> int:
    """A seed for a library that wants one."""
    return int(torch.randint(2**31 - 1, (), generator=generator))


@contextmanager
def seeded(generator: torch.Generator) -> Iterator[None]:
    """Inside, modules initialise themselves from a seed that `generator` draws; the global generator is left alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(draw_seed(generator))
        yield

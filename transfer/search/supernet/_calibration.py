"""Batch normalisation statistics for every node of a scheme trie, kept apart from the network's own.

A supernet's running statistics are averages over the schemes that it was trained with, so they fit no single scheme.
Recalibration replaces them by those of the very scheme, as `torch.optim.swa_utils.update_bn` computes them: averages,
over the calibration batches, of each batch's mean and (unbiased) variance. The statistics of a block depend on the
bits before it alone, so schemes with a common prefix share them as they share activations.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

Statistics = dict[_BatchNorm, dict[str, Tensor]]
"""What a node keeps: for each normalisation that runs there, the buffers of `torch.nn.BatchNorm2d`."""


def norms_of(*modules: nn.Module | None) -> list[_BatchNorm]:
    """The batch normalisations of some modules that keep statistics."""
    found = [norm for module in modules if module is not None for norm in module.modules()]
    return [norm for norm in found if isinstance(norm, _BatchNorm) and norm.running_mean is not None]


@contextmanager
def collecting(net: nn.Module) -> Iterator[None]:
    """Inside, `net` normalises by the batch and adds the batch's statistics to the buffers in place; else it infers."""
    norms = norms_of(net)
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.training, norm.momentum = True, None  # None: the plain average over batches
    try:
        yield
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.training, norm.momentum = False, momentum


def bind(norms: list[_BatchNorm], statistics: Statistics) -> None:
    """Makes `norms` use, and while collecting update, the statistics of one node; missing ones start from nothing.

    Only for a copy of the network: its buffers are replaced.
    """
    for norm in norms:
        if norm not in statistics:
            mean, var = norm.running_mean, norm.running_var
            assert mean is not None and var is not None  # `norms_of` gives those that keep statistics
            statistics[norm] = {
                "running_mean": torch.zeros_like(mean),
                "running_var": torch.ones_like(var),
                # On the CPU, where reading it back for the average's weight does not wait for the device.
                "num_batches_tracked": torch.zeros((), dtype=torch.long),
            }
        norm._buffers.update(statistics[norm])

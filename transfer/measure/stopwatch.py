"""Times schemes and trained networks on this machine, each in turns with what it is held against.

A round runs every pair, its two networks one right after the other, and every second round runs all in reverse. So each
ratio is of neighbours in time, each network comes as often first as second, and errors of the ratios have nothing in
common, which a sum of them would add up.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import nn

from backbones.memory_format import to_memory_format
from backbones.resnet import AttentionResNet
from backbones.scheme import ConnectionScheme
from transfer.measure.latency import Increment, LatencyTable
from transfer.measure.machine import describe_machine
from transfer.measure.timed_models import Settings, prepare
from transfer.measure.timing import Timing, paired_ratio

RANDOM_SCHEMES = 6
"""Schemes of connection probability 0.5, beside the one of all blocks, that sums are held against."""

_WARM_UP = 2


def measure_latency(
    net: AttentionResNet,
    size: tuple[int, int, int],
    network: Mapping[str, Any],
    timing: Timing | None = None,
    *,
    memory_format: torch.memory_format = torch.contiguous_format,
    seed: int = 0,
) -> LatencyTable:
    """Times each block connected alone, some random schemes and all blocks connected, in turns with the plain network.

    One network runs all of them, so that nothing differs but the connections.

    Args:
        net: a supernet; a copy of it is timed where it is.
        size: (C, H, W) of its images.
        network: what it is, for the table.
        timing: how.
        memory_format: of images and weights.
        seed: of the random schemes and the resampling.
    """
    timing, depths = timing or Timing(), net.arch.depths
    plain, full = ConnectionScheme.empty(depths), ConnectionScheme.full(depths)
    blocks = [ConnectionScheme.from_bits(row, depths) for row in np.eye(sum(depths), dtype=int).tolist()]
    generator = torch.Generator().manual_seed(seed)
    drawn = [ConnectionScheme.random(depths, 0.5, generator) for _ in range(RANDOM_SCHEMES)]
    whole = [scheme for scheme in dict.fromkeys((full, *drawn)) if scheme != plain]
    wanted = list(dict.fromkeys((*blocks, *whole)))

    net = to_memory_format(copy.deepcopy(net).requires_grad_(False).eval(), memory_format)
    device = next(net.parameters()).device
    images = torch.randn(timing.batch, *size, device=device).contiguous(memory_format=memory_format)

    def run_with(scheme: ConnectionScheme) -> None:
        net.scheme = scheme
        net(images)

    steps = {scheme: partial(run_with, scheme) for scheme in (plain, *wanted)}
    times = _paired([(steps[plain], steps[scheme]) for scheme in wanted], timing, device)
    found = {scheme: _increment(own, others, seed) for scheme, (others, own) in zip(wanted, times, strict=True)}
    return LatencyTable(
        network={**network, "size": list(size)},
        timing=timing,
        ms_per_image=1000 * float(np.median([others for others, _ in times])) / timing.batch,
        blocks=tuple(found[scheme] for scheme in blocks),
        schemes={scheme: found[scheme] for scheme in whole},
        machine=describe_machine(device),
    )


def time_networks(
    networks: Mapping[str, Callable[[], nn.Module]],
    pairs: Sequence[tuple[str, str | None]],
    size: tuple[int, int, int],
    timing: Timing | None = None,
    *,
    memory_format: torch.memory_format = torch.contiguous_format,
    device: str | torch.device = "cpu",
    seed: int = 0,
) -> list[dict[str, Any]]:
    """Times networks side by side; returns a row for each pair of a name and what it is held against.

    Times do not depend on trained weights: networks are built anew, with statistics of batch normalisation that fit.

    Args:
        networks: what builds each, by name.
        pairs: names, each with the name to hold it against; None where there is nothing.
        size: (C, H, W) of the images.
        timing: how.
        memory_format: of images and weights.
        device: where.
        seed: of weights, images and resampling.

    Returns:
        Rows with keys as of `measure_increments`: `name`, `mode` (`eager`), `batch`, `size`, `ms_per_image`, `against`,
        `increment_percent`, `ci95`, `parameters`, `memory_format`, `rounds`, `clock`, `threads`.
    """
    timing = timing or Timing()
    settings = Settings(timing.batch, timing.rounds, timing.clock, seed=seed, device=str(device))
    made = (prepare(name, build, size, ["eager"], settings, memory_format) for name, build in networks.items())
    models = {model.name: model for (model,) in made}
    times = _paired([(models[against or name].run, models[name].run) for name, against in pairs], timing, device)
    rows = []
    for (name, against), (others, own) in zip(pairs, times, strict=True):
        nothing = {"increment_percent": None, "ci95": None}
        held = nothing if against is None else _increment(own, others, seed).as_dict()
        rows.append({**models[name].as_row(own, timing), "against": against, **held})
    return rows


def _paired(
    pairs: Sequence[tuple[Callable[[], object], Callable[[], object]]], timing: Timing, device: str | torch.device
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Seconds (rounds,) of both in each pair."""
    times = _times([step for pair in pairs for step in pair], timing, device).T
    return [(times[2 * place], times[2 * place + 1]) for place in range(len(pairs))]


def _times(steps: Sequence[Callable[[], object]], timing: Timing, device: str | torch.device) -> np.ndarray:
    """Seconds (rounds, steps)."""
    with torch.inference_mode():
        return timing.seconds(steps, warm_up=_WARM_UP, device=device)


def _increment(times: np.ndarray, against: np.ndarray, seed: int) -> Increment:
    ratio = paired_ratio(times, against, seed).percent
    return Increment(ratio.median, (ratio.low, ratio.high))

"""The inference-time increment of networks over a plain one: Eq. 7 of EAN, Eq. 9 of LTH4SA, `(t_att - t_org) / t_org`.

The papers time 1,000 forwards of batch 50, one network after the other. Here networks take turns, and what is
compared is the ratio within a round, so that other load on the machine falls on both.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from transfer.engine.allocator import keep_freed_memory
from transfer.measure.networks import Network, find_network, reference_of
from transfer.measure.timed_models import Contender, Settings, check_modes, prepare, times_of
from transfer.measure.timing import paired_ratio


def measure_increments(
    names: Sequence[str],
    *,
    against: str | None = None,
    size: int | None = None,
    modes: Sequence[str] = ("eager", "deployed"),
    settings: Settings | None = None,
) -> list[dict[str, Any]]:
    """Times networks side by side with the plain ones; each mode is held against the same mode of the plain network.

    Args:
        names: registered names and configs of tasks; the networks that they are held against come by themselves.
        against: name or config of the network to hold all of them against; default the plain one of the same make,
            for a config the same model on the plain trunk.
        size: side of the pictures; default the card's, for configs that of the training crops.
        modes: some of `eager`, `deployed`, `compiled`.
        settings: how to time.

    Returns:
        Rows with `name`, `mode`, `batch`, `size`, `ms_per_image` (median), `against`, `increment_percent` (from the
        median ratio) with its `ci95` and its value in each of `repeats`, `published_percent` by source,
        `time_against_eager` (of the same plain network, as people run it) with `time_against_eager_ci95`,
        `parameters`, `top1`, `peak_memory_mb`, `memory_format`, `difference` from the eager outputs, `rounds`,
        `clock` and `threads`.

    Raises:
        UserInputError: a name, mode or number that is not known or does not fit.
    """
    check_modes(modes)
    keep_freed_memory()  # or every large map would be mapped anew, which is malloc's time, not the network's
    settings = settings or Settings()
    networks = {name: find_network(name) for name in names}
    references = {name: reference_of(network, against) for name, network in networks.items()}
    everything = {network.name: network for network in (*references.values(), *networks.values())}
    contenders = [
        contender
        for network in everything.values()
        for contender in prepare(network.name, network.build, network.size if size is None else size, modes, settings)
    ]
    times = times_of(contenders, settings)
    held_against = {name: reference.name for name, reference in references.items() if reference.name != name}
    table = _Table(contenders, times, held_against, everything, settings)
    return [table.row(contender) for contender in contenders]


class _Table:
    """Rows from times (repeats, rounds, contenders)."""

    def __init__(
        self,
        contenders: Sequence[Contender],
        times: np.ndarray,
        against: dict[str, str],
        networks: dict[str, Network],
        settings: Settings,
    ) -> None:
        self.against, self.networks, self.settings = against, networks, settings
        self.times = {(c.name, c.mode): times[:, :, column] for column, c in enumerate(contenders)}

    def row(self, contender: Contender) -> dict[str, Any]:
        name, network, settings = contender.name, self.networks[contender.name], self.settings
        seconds = np.median(self.times[name, contender.mode])
        return {
            "name": name,
            "mode": contender.mode,
            "batch": settings.batch,
            "size": contender.size,
            "ms_per_image": 1000 * float(seconds) / settings.batch,
            "against": self.against.get(name),
            **self._increment(contender),
            "published_percent": dict(network.published),
            **self._against_eager(contender),
            "parameters": contender.parameters,
            "top1": network.top1,
            "peak_memory_mb": contender.peak_memory / 1e6,
            "memory_format": contender.memory_format,
            "difference": contender.difference,
            "rounds": settings.rounds * settings.repeats,
            "clock": settings.clock,
            "threads": torch.get_num_threads(),
        }

    def _increment(self, contender: Contender) -> dict[str, Any]:
        reference = self.against.get(contender.name)
        if reference is None:
            return {"increment_percent": None, "ci95": None, "repeats": []}
        own, others = self.times[contender.name, contender.mode], self.times[reference, contender.mode]
        ratio = paired_ratio(own.ravel(), others.ravel(), self.settings.seed).percent
        return {
            "increment_percent": ratio.median,
            "ci95": [ratio.low, ratio.high],
            "repeats": [100 * (float(np.median(a / b)) - 1) for a, b in zip(own, others, strict=True)],
        }

    def _against_eager(self, contender: Contender) -> dict[str, Any]:
        eager = self.times.get((self.against.get(contender.name, contender.name), "eager"))
        if eager is None:
            return {"time_against_eager": None, "time_against_eager_ci95": None}
        own = self.times[contender.name, contender.mode]
        ratio = paired_ratio(own.ravel(), eager.ravel(), self.settings.seed)
        return {"time_against_eager": ratio.median, "time_against_eager_ci95": [ratio.low, ratio.high]}

"""The inference-time increment of networks over a plain one: Eq. 7 of EAN, Eq. 9 of LTH4SA, `(t_att - t_org) / t_org`.

The papers time 1,000 forwards of batch 50, one network after the other. Here networks take turns, and what is
compared is the ratio within a round, so that other load on the machine falls on both.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from transfer.engine.allocator import keep_freed_memory
from transfer.measure.networks import TimedNetwork, find_network, reference_of
from transfer.measure.timed_models import Settings, TimedModel, check_modes, prepare, times_of
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
        size: side of the images; default the card's, for configs that of the training crops.
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

    def side(network: TimedNetwork) -> int:
        return network.size if size is None else size

    models = [
        model
        for network in everything.values()
        for model in prepare(network.name, network.build, (3, side(network), side(network)), modes, settings)
    ]
    times = {(m.name, m.mode): s for m, s in zip(models, np.moveaxis(times_of(models, settings), 2, 0), strict=True)}
    held = {name: reference.name for name, reference in references.items() if reference.name != name}
    return [_row(model, everything[model.name], held.get(model.name), times, settings) for model in models]


def _row(
    model: TimedModel,
    network: TimedNetwork,
    against: str | None,
    times: Mapping[tuple[str, str], np.ndarray],
    settings: Settings,
) -> dict[str, Any]:
    """A row from the seconds (repeats, rounds) of each network and mode."""
    own = times[model.name, model.mode]
    return {
        **model.as_row(own, settings),
        "against": against,
        **_increment(own, times[against, model.mode] if against else None, settings.seed),
        "published_percent": dict(network.published),
        **_against_eager(own, times.get((against or model.name, "eager")), settings.seed),
        "top1": network.top1,
        "peak_memory_mb": model.peak_memory() / 1e6,
        "difference": model.difference(),
    }


def _increment(own: np.ndarray, others: np.ndarray | None, seed: int) -> dict[str, Any]:
    if others is None:
        return {"increment_percent": None, "ci95": None, "repeats": []}
    ratio = paired_ratio(own.ravel(), others.ravel(), seed).percent
    repeats = [100 * (float(np.median(a / b)) - 1) for a, b in zip(own, others, strict=True)]
    return {**ratio.as_row("increment_percent", "ci95"), "repeats": repeats}


def _against_eager(own: np.ndarray, eager: np.ndarray | None, seed: int) -> dict[str, Any]:
    if eager is None:
        return {"time_against_eager": None, "time_against_eager_ci95": None}
    return paired_ratio(own.ravel(), eager.ravel(), seed).as_row("time_against_eager")

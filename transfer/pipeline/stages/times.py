"""Measured times in a search's folder: the latency of single blocks before it, the trained networks' increments after.

latency.json      for the objective of measured time; measured once, or a copy of the file that the config names
increment.json    time increments of the trained networks over the plain one, and against Full-SA
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.registry import MODELS
from torch import nn

from backbones.attention import get_attention
from backbones.errors import RunError, UserInputError
from backbones.registry import get_card
from backbones.resnet import AttentionResNet
from backbones.scheme import ConnectionScheme
from transfer.engine.backbone import registered_backbones, without_initial_weights
from transfer.engine.checkpoint import write_atomically
from transfer.engine.evaluation import as_json
from transfer.engine.training import say
from transfer.measure.latency import LATENCY, LatencyTable
from transfer.measure.machine import describe_machine
from transfer.measure.stopwatch import measure_latency, time_networks
from transfer.pipeline.artefacts import INCREMENT, read_increments
from transfer.pipeline.config import SearchPlan
from transfer.pipeline.stages.standalone import Network, standalone_config, wanted_networks

# ---- single blocks


def given_table(plan: SearchPlan) -> LatencyTable | None:
    """The table that the config names, None where it names none.

    Raises:
        UserInputError: no such file, or no such table.
    """
    name = plan.search.objective.get("latency") if plan.search.timed else None
    if name is None:
        return None
    table = LatencyTable.read(plan.file(str(name)))
    plan.search.build(table)  # its times must add up to something
    return table


def latency_table(plan: SearchPlan, folder: Path, measure: Callable[[], LatencyTable] | None = None) -> LatencyTable:
    """The search's table: the one in its folder, else the one that the config names, else one that is measured now.

    Args:
        plan: the search.
        folder: of the search, which gets the table.
        measure: makes one; None: the search has ended, its table must be there.

    Raises:
        UserInputError: the folder's table is missing, or another one than the config names.
        RunError: what was measured is noise.
    """
    stored, given = folder / LATENCY, given_table(plan)
    if stored.is_file():
        table = LatencyTable.read(stored)
        if given is not None and given.blocks != table.blocks:
            raise UserInputError(
                f"{stored}: the search was begun with another table than search.objective.latency of {plan.path}; "
                "leave that out, or choose another --work-dir"
            )
        return table
    if measure is None:
        raise UserInputError(f"{stored}: no such file, but the search that has ended used it; bring it back")
    if given is None:
        say("measuring the latency of each block")
    table = measure() if given is None else given
    if given is None and not sum(table.per_block) > 0:
        raise RunError(
            f"the time increments of single blocks add up to {sum(table.per_block):.2f} %, so noise hides them: raise "
            "search.objective.timing.rounds or batch, or wait for a quieter machine"
        )
    write_atomically(stored, (json.dumps(as_json(table.as_dict()), indent=2) + "\n").encode())
    return table


def table_of_supernet(plan: SearchPlan, folder: Path, problem: Any, network: Mapping[str, Any]) -> LatencyTable:
    """The table for a supernet, at the size of the pictures that its schemes are evaluated on.

    Args:
        plan: the search.
        folder: of the search.
        problem: a `SupernetProblem`.
        network: what its network is, in plain values.

    Raises:
        UserInputError: the table is of another network.
    """
    evaluator = problem.evaluator
    images, _ = next(iter(evaluator.batches))
    size = tuple(images.shape[1:])

    def measure() -> LatencyTable:
        return measure_latency(evaluator.net, size, network, plan.search.timing, memory_format=evaluator.memory_format)

    table = latency_table(plan, folder, measure)
    named = plan.search.objective.get("latency") or folder / LATENCY
    table.check_network({**as_json(dict(network)), "size": list(size)}, named)
    return table


# ---- trained networks


def write_increments(plan: SearchPlan, folder: Path, supernet: Config, found: Mapping[str, Any]) -> None:
    """Measures the trained networks' time increments and writes `increment.json`, unless it has them all.

    Every network is held against the plain one, and against Full-SA, or for DIA, which has no such form, Full-Share:
    the figure that the ticket hypothesis asks for. Rows are named as runs in `standalone.json`. Rows that others wrote
    into the file are kept.
    """
    assert plan.standalone is not None
    networks = _timed_networks(plan, found)
    reference = _reference(found)
    pairs = [(name, None if name == "plain" else "plain") for name in networks]
    pairs += [(name, reference) for name in networks if name not in ("plain", reference)]
    known, schemes = read_increments(folder), {name: str(network.scheme) for name, network in networks.items()}
    have = {(row.get("name"), row.get("scheme"), row.get("against")) for row in known}
    if have.issuperset((name, schemes[name], against) for name, against in pairs):
        return
    say("measuring the time increments of the trained networks")
    configs = {name: standalone_config(plan, supernet, network) for name, network in networks.items()}
    some, device = next(iter(configs.values())), get_device()
    rows = time_networks(
        {name: lambda config=config: _network(config) for name, config in configs.items()},
        pairs,
        _size(some, found),
        plan.standalone.timing,
        memory_format=torch.channels_last if some.model.get("channels_last") else torch.contiguous_format,
        device=device,
    )
    rows = [{**row, "scheme": schemes[row["name"]], "sharing": networks[row["name"]].sharing} for row in rows]
    taken = {(row["name"], row["against"], row["mode"]) for row in rows}
    rows += [dict(row) for row in known if (row.get("name"), row.get("against"), row.get("mode")) not in taken]
    content = {"machine": describe_machine(device), "rows": rows}
    write_atomically(folder / INCREMENT, (json.dumps(as_json(content), indent=2) + "\n").encode())
    for row in rows:
        if row["against"] == "plain":
            low, high = row["ci95"]
            say(f"{row['name']}: time {row['increment_percent']:+.2f} % (95 % interval {low:+.2f} to {high:+.2f})")


def _reference(found: Mapping[str, Any]) -> str:
    return "full_share" if get_attention(found["attention"]).recurrent else "full_sa"


def _timed_networks(plan: SearchPlan, found: Mapping[str, Any]) -> dict[str, Network]:
    """The plain network, the reference, and all that are trained, by name."""
    depths = ConnectionScheme.parse(found["best"]["scheme"]).depths
    reference = _reference(found)
    sharing = "stage" if reference == "full_share" else "block"
    ends = (
        Network("plain", ConnectionScheme.empty(depths), "stage"),
        Network(reference, ConnectionScheme.full(depths), sharing),
    )
    return {network.name: network for network in (*ends, *wanted_networks(plan, found))}


def _size(config: Config, found: Mapping[str, Any]) -> tuple[int, int, int]:
    """(C, H, W) of the card's input."""
    side = get_card(config.model.backbone.name).input.size
    return int(found["in_channels"]), side, side


def _network(config: Config) -> AttentionResNet:
    """The classifier's network by itself."""
    with without_initial_weights():
        model: nn.Module = MODELS.build(config.model)
    (backbone,) = registered_backbones(model)
    return backbone

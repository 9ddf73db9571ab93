"""Time increments of the trained networks.

increment.json    over the plain network, and against Full-SA
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import torch
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.registry import MODELS
from torch import nn

from backbones.registry import get_card
from backbones.resnet import AttentionResNet
from backbones.schema import write_json
from backbones.scheme import ConnectionScheme
from transfer.engine.backbone import registered_backbones, without_initial_weights
from transfer.engine.console import say
from transfer.measure.machine import describe_machine
from transfer.measure.stopwatch import time_networks
from transfer.pipeline.artefacts import INCREMENT, Search, read_increments, read_search
from transfer.pipeline.config import StandaloneConfig
from transfer.pipeline.stages.base import SearchRun, Stage
from transfer.pipeline.stages.standalone import Network, asked_of, network_config, networks_of


@dataclass(frozen=True)
class _Pairs:
    """Networks by name, and each with what it is held against: the plain one, and Full-SA.

    DIA has no Full-SA; Full-Share stands in its place. These are the figures that the ticket hypothesis asks for.
    """

    networks: dict[str, Network]
    against: list[tuple[str, str | None]]

    @classmethod
    def of(cls, asked: StandaloneConfig, search: Search) -> _Pairs:
        reference, sharing = search.reference
        ends = (
            Network("plain", ConnectionScheme.empty(search.depths), "stage"),
            Network(reference, ConnectionScheme.full(search.depths), sharing),
        )
        networks = {network.name: network for network in (*ends, *networks_of(asked, search))}
        against: list[tuple[str, str | None]] = [(name, None if name == "plain" else "plain") for name in networks]
        against += [(name, reference) for name in networks if name not in ("plain", reference)]
        return cls(networks, against)


class TimeNetworks(Stage):
    """Measures the networks side by side. Rows are named as runs in `standalone.json`; those of others are kept."""

    def wanted(self, run: SearchRun) -> bool:
        """Where networks are trained."""
        return run.config.standalone is not None

    def done(self, run: SearchRun) -> bool:
        """Every pair is measured."""
        pairs = _Pairs.of(asked_of(run.config), read_search(run.folder.path))
        rows = read_increments(run.folder.path)
        have = {(row.get("name"), row.get("scheme"), row.get("against")) for row in rows}
        return have.issuperset((name, str(pairs.networks[name].scheme), against) for name, against in pairs.against)

    def make(self, run: SearchRun) -> int:
        """Measures all pairs."""
        say("measuring the time increments of the trained networks")
        asked, search = asked_of(run.config), read_search(run.folder.path)
        pairs = _Pairs.of(asked, search)
        configs = {name: network_config(run.config, network) for name, network in pairs.networks.items()}
        some, device = next(iter(configs.values())), get_device()
        measured = time_networks(
            {name: partial(_network, config) for name, config in configs.items()},
            pairs.against,
            _size(some, search),
            asked.timing,
            memory_format=torch.channels_last if some.model.get("channels_last") else torch.contiguous_format,
            device=device,
        )
        rows = []
        for row in measured:
            network = pairs.networks[row["name"]]
            rows.append({**row, "scheme": str(network.scheme), "sharing": network.sharing})
        taken = {(row["name"], row["against"], row["mode"]) for row in rows}
        known = read_increments(run.folder.path)
        rows += [dict(row) for row in known if (row.get("name"), row.get("against"), row.get("mode")) not in taken]
        write_json(run.file(INCREMENT), {"machine": describe_machine(device), "rows": rows})
        return 0

    def report(self, run: SearchRun) -> None:
        """The increment of each network over the plain one."""
        for row in read_increments(run.folder.path):
            if row.get("against") == "plain" and row.get("ci95"):
                low, high = row["ci95"]
                say(f"{row['name']}: time {row['increment_percent']:+.2f} % (95 % interval {low:+.2f} to {high:+.2f})")


def _size(config: Config, search: Search) -> tuple[int, int, int]:
    """(C, H, W) of the card's input."""
    side = get_card(config.model.backbone.name).input.size
    return search.in_channels, side, side


def _network(config: Config) -> AttentionResNet:
    """The classifier's network by itself."""
    with without_initial_weights():
        model: nn.Module = MODELS.build(config.model)
    (backbone,) = registered_backbones(model)
    return backbone

"""The networks that are timed, by registered name or by a task's config, each with the plain one it is held against."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import torch
from mmengine.config import Config
from mmengine.model import revert_sync_batchnorm
from mmengine.registry import MODELS, DefaultScope
from torch import nn

from backbones.card import BackboneCard
from backbones.errors import UserInputError
from backbones.registry import create_backbone, get_card, list_backbones
from transfer.engine.backbone import without_initial_weights
from transfer.engine.config_check import load_config, scope_of

Net = TypeVar("Net", bound=nn.Module)

UPSTREAM = ("imagenet", "cifar100")
"""What cards call the data of figures for classification."""

DATA = {
    "cifar-100-python": "cifar100",
    "imagenet": "imagenet",
    "ShanghaiTech/part_A": "shha",
    "ShanghaiTech/part_B": "shhb",
    "VOCdevkit/VOC2012": "voc2012",
}
"""What cards call the data of figures, by a config's `data_root`."""

_SCHEME_OPTIONS = ("attention", "attention_args", "sharing", "scheme", "supernet")


@dataclass(frozen=True)
class TimedNetwork:
    """What can be built, put to a size, and timed.

    Attributes:
        name: registered name, or path of a config.
        size: side of the images in pixels, by default.
        build: makes the network, with random weights.
        reference: name of the plain network of the same make, None where there is none.
        published: increments in percent that were printed, each by its source.
        top1: accuracy in percent, measured or else published; None where there is none.
    """

    name: str
    size: int
    build: Callable[[], nn.Module] = field(repr=False)
    reference: str | None
    published: Mapping[str, float]
    top1: float | None = None


def find_network(name: str) -> TimedNetwork:
    """The network called `name`: a config where the name ends in `.py`, else a registered backbone.

    Raises:
        UserInputError: neither is there (with close matches).
    """
    if name.endswith(".py"):
        return _of_config(name, load_config(name))
    return _of_card(get_card(name))


def reference_of(network: TimedNetwork, against: str | None = None) -> TimedNetwork:
    """The network that `network` is held against: `against`, else the plain one of the same make.

    Raises:
        UserInputError: there is no plain one.
    """
    if against is not None:
        return find_network(against)
    if network.reference is None:
        raise UserInputError(f"{network.name}: no plain network of its kind is known; name one with --against")
    if network.name.endswith(".py"):
        return _on_plain_trunk(network.name, load_config(network.name), network.reference)
    return find_network(network.reference)


def settle(model: Net, batch: torch.Tensor) -> Net:
    """Sets the running statistics of batch normalisation by one batch, and puts the model in eval mode.

    Under random weights maps would grow from block to block; numbers out of all proportion take their own time.
    """
    norms = [module for module in model.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    momenta = [norm.momentum for norm in norms]
    model.train()
    for norm in norms:
        norm.train()  # even where the network keeps its statistics
        norm.momentum = 1.0
    with torch.no_grad():
        model(batch)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    model.eval()
    return model


# ---- registered backbones


def _of_card(card: BackboneCard) -> TimedNetwork:
    classes = card.parameters.num_classes if card.parameters else None
    return TimedNetwork(
        name=card.name,
        size=card.input.size,
        build=lambda: create_backbone(card.name, num_classes=classes or 1000),
        reference=_plain_name(card),
        published=_published(card, UPSTREAM),
        top1=_top1(card),
    )


def _plain_name(card: BackboneCard) -> str | None:
    """The registered plain network of a card's architecture and input, at full width.

    Of several, which take the same time, the one of the same tag, or else one with published figures.
    """
    plain = [
        other
        for other in _cards(f"{card.arch}.*")
        if not other.attention and not other.widths and (other.genotype, other.input) == (card.genotype, card.input)
    ]
    tag = card.name.rpartition(".")[2]
    plain.sort(key=lambda other: (other.name.rpartition(".")[2] != tag, not other.published))
    return plain[0].name if plain else None


def _cards(pattern: str) -> Iterator[BackboneCard]:
    return map(get_card, list_backbones(pattern))


def _published(card: BackboneCard, data: tuple[str, ...]) -> dict[str, float]:
    return {
        figures.source: figures.values["time_increment_percent"]
        for figures in card.published
        if figures.data in data and "time_increment_percent" in figures.values
    }


def _top1(card: BackboneCard) -> float | None:
    for figures in (*card.measured, *card.published):
        if "top1" in figures.values:
            return figures.values["top1"]
    return None


# ---- configs of tasks


def _of_config(name: str, config: Config) -> TimedNetwork:
    card, data = _card_of(config), _data_of(config)
    return TimedNetwork(
        name=name,
        size=_crop_size(name, config),
        build=lambda: _build(config),
        reference=_plain_name(card) if card else None,
        published=_published(card, (data,)) if card else {},
        top1=_top1(card) if card and data in UPSTREAM else None,
    )


def _on_plain_trunk(name: str, config: Config, plain: str) -> TimedNetwork:
    """The config's network with the plain trunk in its backbone's place."""
    for option in _SCHEME_OPTIONS:
        config.model.backbone.pop(option, None)
    config.model.backbone.name = plain
    return TimedNetwork(f"{name} on {plain}", _crop_size(name, config), lambda: _build(config), None, {})


def _build(config: Config) -> nn.Module:
    with without_initial_weights(), DefaultScope.overwrite_default_scope(scope_of(config)):
        return revert_sync_batchnorm(MODELS.build(config.model))


def _card_of(config: Config) -> BackboneCard | None:
    backbone: Any = config.model.get("backbone") or {}
    return get_card(backbone.name) if backbone.get("type") == "RegisteredBackbone" else None


def _data_of(config: Config) -> str:
    dataset = (config.get("test_dataloader") or {}).get("dataset") or {}
    root = Path(dataset.get("data_root") or "").as_posix()
    return next((data for end, data in DATA.items() if root.endswith(end)), "")


def _crop_size(name: str, config: Config) -> int:
    """Side of the training crops; of classifiers, the card's."""
    dataset = (config.get("train_dataloader") or {}).get("dataset") or {}
    for transform in dataset.get("pipeline") or ():
        if "Crop" in str(transform.get("type")):
            size = transform.get("crop_size", transform.get("size"))
            return int(size if isinstance(size, (int, float)) else max(size))
    if (card := _card_of(config)) is not None and config.get("task") == "classification":
        return card.input.size
    raise UserInputError(f"config {name}: no crop in its training pipeline says the size of the images; give --size")

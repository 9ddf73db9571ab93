"""Multiply-accumulates (MACs) of a network, counted without computing anything; torch when needed."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from backbones.card import BackboneCard
from backbones.figures import Figures

if TYPE_CHECKING:
    from torch import nn

SOURCE = "tools/backbones.py verify --write: half of the FLOPs that torch.utils.flop_counter counts"
_KEY = "macs_billion"


def count(model: nn.Module, size: int, channels: int = 3) -> int:
    """MACs of `model` for one image of `size` x `size` pixels, RGB unless told otherwise.

    A model on `meta` needs no memory and no time. Half of the FLOPs of `torch.utils.flop_counter.FlopCounterMode`: of
    convolutions and matrix products. What is added, normalised, pooled or activated counts nothing.
    """
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    place = next((parameter.device for parameter in model.parameters()), torch.device("cpu"))
    training = model.training
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model.eval()(torch.empty(1, channels, size, size, device=place))
    model.train(training)
    return counter.get_total_flops() // 2


def on_card(card: BackboneCard) -> int | None:
    """What the card says was counted, None where it says nothing."""
    for figures in card.measured:
        if _KEY in figures.values:
            return round(figures.values[_KEY] * 1e9)
    return None


def with_macs(card: BackboneCard, macs: int) -> BackboneCard:
    """The card that says `macs`, behind whatever else was measured."""
    others = (replace(entry, values={k: v for k, v in entry.values.items() if k != _KEY}) for entry in card.measured)
    counted = Figures(SOURCE, f"1 image of {card.input.size} px", {_KEY: macs / 1e9})
    return replace(card, measured=(*(entry for entry in others if entry.values), counted))

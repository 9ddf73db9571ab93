"""Registered backbones: networks with self-attention modules where a connection scheme puts them, at any width.

Public names are imported on first use, so that listing cards does not import torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from backbones.arch import ARCHITECTURES, ArchSpec, get_arch
    from backbones.attention import Attention, create_attention, list_attentions
    from backbones.card import BackboneCard, Figures, ParameterCount, Provenance, Weights
    from backbones.errors import RunError, UserInputError
    from backbones.registry import create_backbone, get_card, list_backbones, register_backbone, remove_backbone
    from backbones.resnet import AttentionResNet, FeatureInfo
    from backbones.scheme import ConnectionScheme
    from backbones.trunk import Trunk
    from backbones.weights import LoadReport, find_trunk_weights, load_weights, read_checkpoint
    from backbones.widths import WidthPlan

__all__ = [
    "ARCHITECTURES",
    "ArchSpec",
    "Attention",
    "AttentionResNet",
    "BackboneCard",
    "ConnectionScheme",
    "FeatureInfo",
    "Figures",
    "LoadReport",
    "ParameterCount",
    "Provenance",
    "RunError",
    "Trunk",
    "UserInputError",
    "Weights",
    "WidthPlan",
    "create_attention",
    "create_backbone",
    "find_trunk_weights",
    "get_arch",
    "get_card",
    "list_attentions",
    "list_backbones",
    "load_weights",
    "read_checkpoint",
    "register_backbone",
    "remove_backbone",
]

_HOMES = {
    "arch": ("ARCHITECTURES", "ArchSpec", "get_arch"),
    "attention": ("Attention", "create_attention", "list_attentions"),
    "card": ("BackboneCard", "Figures", "ParameterCount", "Provenance", "Weights"),
    "errors": ("RunError", "UserInputError"),
    "registry": ("create_backbone", "get_card", "list_backbones", "register_backbone", "remove_backbone"),
    "resnet": ("AttentionResNet", "FeatureInfo"),
    "scheme": ("ConnectionScheme",),
    "trunk": ("Trunk",),
    "weights": ("LoadReport", "find_trunk_weights", "load_weights", "read_checkpoint"),
    "widths": ("WidthPlan",),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_HOME_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

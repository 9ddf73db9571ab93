"""What the tests of cards, registry and tool share: small cards, and folders of one's own."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest
import torch
from card_kinds import one_of_each

from backbones.card import INPUTS, BackboneCard, Provenance
from backbones.registry import list_backbones
from backbones.scheme import ConnectionScheme

ROOT = Path(__file__).resolve().parents[1]


def every_card() -> list:
    """Names of the registered backbones as parameters; `make test` runs one of each kind, `make test-all` all."""
    kinds = one_of_each()
    return [pytest.param(name, marks=() if name in kinds else pytest.mark.all_cards) for name in list_backbones()]


def small_card(name: str = "resnet20_share_se.mine", scheme: str = "10.01.11", **fields) -> BackboneCard:
    """A CIFAR ResNet-20 with shared SE."""
    values = {
        "arch": "resnet20",
        "attention": "se",
        "scheme": ConnectionScheme.parse(scheme),
        "input": INPUTS["cifar"],
        "provenance": Provenance("hand", "a test"),
    }
    return BackboneCard(name=name, **{**values, **fields})


def shake(model: torch.nn.Module, seed: int = 0) -> torch.nn.Module:
    """Gives a model weights, biases and running statistics that no initialisation has; eval mode."""
    generator = torch.Generator().manual_seed(seed)
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            for tensor, low, high in (
                (module.weight, 0.5, 1.0),
                (module.bias, -0.2, 0.2),
                (module.running_mean, -0.3, 0.3),
                (module.running_var, 0.5, 1.5),
            ):
                tensor.data.uniform_(low, high, generator=generator)
        elif getattr(module, "bias", None) is not None:
            module.bias.data.uniform_(-0.3, 0.3, generator=generator)
    return model.eval()


def reaching_six(model: torch.nn.Module) -> torch.nn.Module:
    """Gives maps before a ReLU6 such a spread that it cuts something off."""
    for module in model.modules():
        kinds = dict(module.named_children())
        ends = any(isinstance(child, torch.nn.ReLU6) for child in kinds.values())
        for name, child in kinds.items():
            if ends and isinstance(child, torch.nn.BatchNorm2d) and name != "bn3":
                child.weight.data.mul_(8)
    return model


def tool(name: str) -> ModuleType:
    """tools/<name>.py as a module."""
    spec = importlib.util.spec_from_file_location(f"tool_{name}", ROOT / "tools" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module

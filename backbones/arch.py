"""The networks that can be registered, by name: sizes only, no torch."""

from __future__ import annotations

import importlib
from pathlib import Path

from backbones.arch_spec import ArchSpec as ArchSpec
from backbones.arch_spec import Family as Family
from backbones.errors import UserInputError, did_you_mean
from backbones.plugins import plugin_names

FAMILIES: dict[str, Family] = {
    name: importlib.import_module(f"backbones.families.{name}").FAMILY
    for name in plugin_names([Path(__file__).with_name("families")])
}

ARCHITECTURES: dict[str, ArchSpec] = {spec.name: spec for family in FAMILIES.values() for spec in family.architectures}


def get_arch(name: str) -> ArchSpec:
    """Returns the architecture called `name`; raises `UserInputError` with the close matches."""
    if name not in ARCHITECTURES:
        raise UserInputError(
            f"architecture {name!r} is unknown, expected one of {', '.join(ARCHITECTURES)}."
            f"{did_you_mean(name, ARCHITECTURES)}"
        )
    return ARCHITECTURES[name]


def family_of(name: str) -> Family:
    """The family of the architecture called `name`."""
    return FAMILIES[get_arch(name).family]

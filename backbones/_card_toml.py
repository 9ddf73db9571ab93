"""Cards as TOML: every key is checked on the way in, and written in one fixed order on the way out."""

from __future__ import annotations

import dataclasses
import re
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from backbones.arch import get_arch
from backbones.card import FIGURES, BackboneCard, Figures, InputStatistics, ParameterCount, Provenance, Weights
from backbones.errors import UserInputError, did_you_mean
from backbones.scheme import ConnectionScheme

_SECTIONS: dict[str, type] = {
    "input": InputStatistics,
    "provenance": Provenance,
    "parameters": ParameterCount,
    "weights": Weights,
}
_LISTS = ("published", "measured")
_NETWORK = ("arch", "attention", "sharing", "scheme", "attention_args")
_TOP = ("name", "summary", "network", *_SECTIONS, *_LISTS)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


_KINDS: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "str": ("text", lambda value: isinstance(value, str)),
    "int": ("a whole number", lambda value: isinstance(value, int) and not isinstance(value, bool)),
    "bool": ("true or false", lambda value: isinstance(value, bool)),
    "float": ("a number", _is_number),
    "tuple[float, ...]": ("a list of numbers", lambda v: isinstance(v, list) and all(map(_is_number, v))),
    "table": ("a section", lambda value: isinstance(value, dict)),
    "tables": ("a list of sections", lambda v: isinstance(v, list) and all(isinstance(item, dict) for item in v)),
}


def read_card(path: Path) -> BackboneCard:
    """Reads `path`; a `UserInputError` names it and the key."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UserInputError(f"{path}: no such file, expected a card (.toml)") from None
    except (IsADirectoryError, UnicodeDecodeError):
        raise UserInputError(f"{path}: not a card, expected TOML text in UTF-8") from None
    return parse_card(text, path)


def parse_card(text: str, path: Path) -> BackboneCard:
    """Builds the card that `text` describes; `path` is where it lies, and stands in error messages."""
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UserInputError(f"{path}: not valid TOML: {error}") from None
    try:
        return _card(table, path)
    except UserInputError as error:
        raise UserInputError(f"{path}: {error}") from None


def _card(table: dict[str, Any], path: Path) -> BackboneCard:
    _refuse_unknown(table, _TOP, "")
    network = _take(table, "network", "table", "")
    _refuse_unknown(network, _NETWORK, "network.")
    arch = _take(network, "arch", "str", "network.")
    attention = _take(network, "attention", "str", "network.", optional=True)
    sections = {
        name: _section(_take(table, name, "table", ""), cls, name) for name, cls in _SECTIONS.items() if name in table
    }
    for name in ("input", "provenance"):
        if name not in sections:
            raise UserInputError(f"section {name!r} is missing")
    return BackboneCard(
        name=_take(table, "name", "str", ""),
        summary=_take(table, "summary", "str", "", optional=True) or "",
        arch=arch,
        attention=attention,
        attention_args=_take(network, "attention_args", "table", "network.", optional=True) or {},
        sharing=_take(network, "sharing", "str", "network.", optional=attention is None) or "stage",
        scheme=_scheme(_take(network, "scheme", "str", "network.", optional=attention is None), arch),
        path=path,
        published=_figures(table, "published"),
        measured=_figures(table, "measured"),
        **sections,
    )


def _scheme(text: str | None, arch: str) -> ConnectionScheme:
    key = "network.arch"
    try:
        depths = get_arch(arch).depths
        key = "network.scheme"
        return ConnectionScheme.empty(depths) if text is None else ConnectionScheme.parse(text, depths)
    except UserInputError as error:
        raise UserInputError(f"key {key!r}: {error}") from None


def _section(table: dict[str, Any], cls: type, name: str) -> Any:
    fields = {field.name: field for field in dataclasses.fields(cls)}
    _refuse_unknown(table, fields, f"{name}.")
    values = {}
    for key, field in fields.items():
        optional = field.default is not dataclasses.MISSING
        kind = str(field.type).removesuffix(" | None")
        if key in table or not optional:
            value = _take(table, key, kind, f"{name}.")
            values[key] = tuple(map(float, value)) if isinstance(value, list) else value
    return cls(**values)


def _figures(card: dict[str, Any], name: str) -> tuple[Figures, ...]:
    entries = []
    for table in _take(card, name, "tables", "", optional=True) or []:
        _refuse_unknown(table, ("source", "data", "note", *FIGURES), f"{name}.")
        values = {key: _take(table, key, "float", f"{name}.") for key in FIGURES if key in table}
        if not values:
            raise UserInputError(f"an entry of {name!r} holds no figure, expected one of {', '.join(FIGURES)}")
        text = {key: _take(table, key, "str", f"{name}.") for key in ("source", "data")}
        entries.append(
            Figures(**text, values=values, note=_take(table, "note", "str", f"{name}.", optional=True) or "")
        )
    return tuple(entries)


def _refuse_unknown(table: Mapping[str, Any], known: Any, prefix: str) -> None:
    for key in table:
        if key not in known:
            raise UserInputError(
                f"key {prefix + key!r} is unknown, expected one of {', '.join(known)}.{did_you_mean(key, known)}"
            )


def _take(table: Mapping[str, Any], key: str, kind: str, prefix: str, *, optional: bool = False) -> Any:
    if key not in table:
        if optional:
            return None
        raise UserInputError(f"key {prefix + key!r} is missing, expected {_KINDS[kind][0]}")
    what, fits = _KINDS[kind]
    if not fits(table[key]):
        raise UserInputError(f"key {prefix + key!r} is {table[key]!r}, expected {what}")
    return table[key]


# ---- out


def write_card(card: BackboneCard) -> str:
    """Writes the card; keys that say nothing (no SAM, no note) are left out."""
    import tomlkit

    document = tomlkit.document()
    for key, value in card_to_dict(card).items():
        document.add(key, tomlkit.item(value))
    return re.sub(r"\n{3,}", "\n\n", tomlkit.dumps(document)).strip() + "\n"


def card_to_dict(card: BackboneCard) -> dict[str, Any]:
    """The card as plain values, in the order of the TOML file (and for `--json`)."""
    plain: dict[str, Any] = {"name": card.name}
    if card.summary:
        plain["summary"] = card.summary
    plain["network"] = {"arch": card.arch}
    if card.attention is not None:
        plain["network"] |= {"attention": card.attention, "sharing": card.sharing, "scheme": str(card.scheme)}
    if card.attention_args:
        plain["network"]["attention_args"] = dict(card.attention_args)
    for name in _SECTIONS:
        if (section := getattr(card, name)) is not None:
            plain[name] = _without_defaults(section)
    for name in _LISTS:
        if entries := getattr(card, name):
            plain[name] = [_flat(entry) for entry in entries]
    return plain


def _without_defaults(section: Any) -> dict[str, Any]:
    values = {field.name: (getattr(section, field.name), field.default) for field in dataclasses.fields(section)}
    return {
        name: list(value) if isinstance(value, tuple) else value
        for name, (value, default) in values.items()
        if value != default
    }


def _flat(entry: Figures) -> dict[str, Any]:
    plain: dict[str, Any] = {"source": entry.source, "data": entry.data}
    if entry.note:
        plain["note"] = entry.note
    return plain | {name: entry.values[name] for name in FIGURES if name in entry.values}

"""Cards of backbones and of models: every key with another type, without its value, with an extreme one."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import tomlkit

from backbones.card import BackboneCard
from backbones.model_card import ModelCard
from backbones.schema import parse_toml
from tests.corpus.base import ROOT
from tests.corpus.case import Case
from tests.corpus.spoil import spoilt

BACKBONE = ROOT / "backbones" / "cards" / "resnet38_share_ean_se.c100_6ep.toml"
MODEL = ROOT / "backbones" / "models" / "shha_r38_ean_se.toml"

TEXTS = {
    "empty": b"", "no toml": b"name: x\n", "cut": b'name = "resnet', "binary": bytes(range(256)),
    "not utf-8": b'name = "caf\xe9"', "a key twice": b'name = "a.b"\nname = "a.c"\n',
    "an integer of 5000 digits": b"default = " + b"9" * 5000, "nested deeply": b"a = " + b"[" * 5000 + b"]" * 5000,
    "lists of 1000 levels": b"a = " + b"[" * 1000 + b"]" * 1000, "a table of tables": b"[[name]]\n[[name]]\n",
    "json": b'{"name": "resnet38.x"}', "an unknown section": b'[colour]\nname = "red"\n', "a date": b"name = 1979-05-27\n",
}  # fmt: skip
PATHS = ("../secret.safetensors", "/etc/passwd", "C:\\weights.pth", "..", "", "a/../../b", "a\0b", "sub/folder.pth")

OPTIONAL = {
    "summary", "parameters", "weights.licence", "weights.source", "weights.bytes", "measured", "provenance.note", "data",
    "network.attention_args", "default", "backbone", "data.domain", "data.licence",
    "weights", "measured.0.note", "measured.0.intervals", "measured.0.top1", "measured.0.top5", "input.name",
    "parameters.num_classes", "network.attention_args.reduction", "backbone.scheme", "measured.0", "data.trained_on",
    "config.source",
}  # fmt: skip
FREE = {"summary", "source", "note", "licence", "data", "trained_on", "domain", "command"}
"""Keys of any text, which is escaped where it is printed."""


EMPTY = {"summary", "provenance.note", "weights.licence", "weights.source", "measured.0.note", "measured.0.data", "config.source",
         "data.trained_on", "data.domain", "data.licence", "measured.0.command"}  # fmt: skip


def _handled(whole: str, key: str, kind: str, value: Any) -> str:
    last = key.rpartition(".")[2]
    if key == "weights" and kind == "missing":
        return "a card without weights" if whole == "cards" else ""
    if kind == "missing" and (key in OPTIONAL or ".metrics." in key or ".intervals." in key):
        return "" if ".metrics." in key and key.endswith((".mae", ".mse", ".nae")) else "the key may be left out"
    if (
        ".metrics." in key
        and kind.startswith("extreme")
        and "nan" not in kind
        and not key.endswith((".mae", ".mse", ".nae"))
    ):
        return "a figure of any size, of which the card knows no bounds"
    if key == "network.attention_args.reduction" and kind != "missing":
        return "an argument of the SAM, which says so where it is built"
    if (
        kind.startswith("extreme")
        and last in FREE
        and isinstance(value, str)
        and (repr("") not in kind or key in EMPTY)
    ):
        return "any text, escaped where it is printed"
    return ""


def _at(table: Any, key: str) -> Any:
    for part in key.split("."):
        table = table[int(part)] if isinstance(table, list) else table.get(part)
    return table


def _write(name: str, table: dict[str, Any] | bytes, read: Callable, folder: Path) -> Callable[[], object]:
    data = table if isinstance(table, bytes) else tomlkit.dumps(table).encode()
    (folder / f"{name}.toml").write_bytes(data)
    return partial(read, folder / f"{name}.toml")


def _shown(table: dict[str, Any], name: str, folder: Path) -> list[str]:
    import os

    cards = Path(os.environ["TRANSFER_CARDS"])
    (cards / f"{name}.toml").write_text(tomlkit.dumps(table))
    return ["show", name]


def cases() -> list[Case]:
    """Both kinds of card."""
    found = []
    for family, path, read in (("cards", BACKBONE, BackboneCard.read), ("models", MODEL, ModelCard.read)):
        whole = parse_toml(path.read_text(), path)
        if family == "models":
            whole["measured"] = whole["measured"][:1]
        for change in spoilt(whole):
            value = _at(whole, change.key)
            handled = _handled(family, change.key, change.kind, value)
            make = partial(_write, path.stem, change.table, read)
            found.append(Case(family, change.name, make, path.name, handled=handled))
        for what, data in TEXTS.items():
            failed = "4 tracebacks of cards" if what in ("an integer of 5000 digits", "lists of 1000 levels") else ""
            found.append(Case(family, what, partial(_write, "card", data, read), "card.toml", failed=failed))
        found.append(
            Case(family, "missing", partial(lambda read, _: partial(read, "missing.toml"), read), "missing.toml")
        )
        found.append(Case(family, "a folder", partial(lambda read, _: partial(read, "."), read), "."))
        for file in PATHS:
            changed = {**whole, "weights": {**whole["weights"], "file": file}}
            make = partial(_write, path.stem, changed, lambda path, read=read: read(path).weights_path())
            found.append(Case(family, f"weights.file {file!r}", make, path.name))
        for key, value in (
            ("sha256", "abc"),
            ("sha256", "z" * 64),
            ("url", "ftp://a/b"),
            ("url", "http://a/b"),
            ("bytes", -1),
        ):
            weights = {**{k: v for k, v in whole["weights"].items() if k != "file" or key != "url"}, key: value}
            make = partial(_write, path.stem, {**whole, "weights": weights}, read)
            found.append(
                Case(
                    family,
                    f"weights.{key} {value[:9]!r}" if isinstance(value, str) else f"weights.{key} {value}",
                    make,
                    path.name,
                )
            )
    whole = parse_toml(BACKBONE.read_text(), BACKBONE)
    small = {key: value for key, value in whole.items() if key not in ("weights", "measured", "parameters")}
    named = {**small, "name": "resnet38.odd"}
    return [
        *found,
        Case("cards", "a mean of 400 digits", partial(_write, "resnet38.odd", {**named, "input": {**whole["input"], "mean": [10**400, 0, 0]}}, BackboneCard.read), "resnet38.odd.toml", failed="4 tracebacks of cards"),
        Case("cards", "a size of 400 digits", partial(_write, "resnet38.odd", {**named, "input": {**whole["input"], "size": 10**400}}, BackboneCard.read), "resnet38.odd.toml", failed="cards: size = 10**400 accepted"),
        Case("cards", "shown, with control characters", partial(_shown, {**named, "summary": "a\x1b[2Jb"}, "resnet38.odd"), handled="escaped", says="\\x1b", failed="335"),
        Case("cards", "shown, without an architecture", partial(_shown, {**named, "network": {}}, "resnet38.odd"), "network.arch"),
        Case("cards", "shown, called otherwise", partial(_shown, {**named, "name": "resnet38.other"}, "resnet38.odd"), "resnet38.odd"),
    ]  # fmt: skip

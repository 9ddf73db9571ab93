"""Cards as rows, lines and drawings for the terminal; imports no torch."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from backbones import macs
from backbones.archive import pack, unpack
from backbones.card import BackboneCard
from backbones.card_store import Card, CardStore
from backbones.escaping import printable
from backbones.hub import read_folder
from backbones.hub_pack import pack_folder
from transfer.commands._tables import print_rows


def card_row(card: BackboneCard) -> dict[str, Any]:
    """What a list says of a card, in plain values."""
    top1 = [figures.values["top1"] for figures in card.published if "top1" in figures.values]
    return {
        "name": card.name,
        "arch": card.arch,
        "attention": card.attention,
        "sharing": card.sharing if card.attention else None,
        "connected": card.scheme.connected,
        "blocks": card.scheme.total,
        "parameters": card.parameters.count if card.parameters else None,
        "macs": macs.on_card(card),
        "published_top1": top1[0] if top1 else None,
        "provenance": card.provenance.kind,
        "weights": card.weights is not None,
    }


def print_listing(cards: list[BackboneCard]) -> None:
    """A row for each card."""
    columns = ("name", "SAM", "shared by", "connected", "parameters", "MACs", "top-1 (paper)", "scheme from", "weights")
    print_rows(columns, map(_listed, map(card_row, cards)), right=("connected", "parameters", "MACs"))


def _listed(row: dict[str, Any]) -> list[str]:
    return [
        row["name"],
        row["attention"] or "-",
        row["sharing"] or "-",
        f"{row['connected']}/{row['blocks']}",
        f"{row['parameters'] / 1e6:.3f} M" if row["parameters"] else "-",
        f"{row['macs'] / 1e9:.3f} G" if row["macs"] else "-",
        f"{row['published_top1']:.2f}" if row["published_top1"] is not None else "-",
        row["provenance"],
        "yes" if row["weights"] else "-",
    ]


def facts(card: BackboneCard) -> list[str]:
    """A line for each thing that a card says, figures apart."""
    args = ", ".join(f"{key}={value}" for key, value in card.attention_args.items())
    sam = f"{card.attention}({args}), one module per {card.sharing}" if card.attention else "none"
    facts = {
        "network": f"{card.arch}, attention {sam}",
        "input": f"{card.input.size} px, mean {list(card.mean)}, std {list(card.std)}",
        "scheme from": f"{card.provenance.kind}: {card.provenance.source}",
        "note": card.provenance.note,
        "parameters": _count(card),
        "weights": f"{card.weights.file or card.weights.url}, {card.weights.licence}" if card.weights else "none",
        "card": str(card.path),
    }
    return [f"{key:12}{value}" for key, value in facts.items() if value]


def _count(card: BackboneCard) -> str:
    if card.parameters is None:
        return ""
    classes = f"{card.parameters.num_classes} classes" if card.parameters.num_classes else "features only"
    return f"{card.parameters.count:,} ({classes}{', convolutions with bias' if card.parameters.conv_bias else ''})"


def print_figures(title: str, rows: Iterable[tuple[str, str, str]]) -> None:
    """A table with the data, the figures and the source of each row."""
    print_rows((title, "figures", "source"), rows)


def say_none(store: CardStore[Any], pattern: str, wanted: str = "") -> None:
    """On standard error: no card fits, and which names come close; or none of those that fit is as `wanted`."""
    fitting = len(store.names(pattern))
    asked = f"none of the {fitting} {store.kind}s that fit {pattern!r} {wanted}"
    print(asked if fitting else store.none_fits(pattern), file=sys.stderr)


def say_problems(lines: Iterable[str]) -> int:
    """A line on standard error for each problem; returns the exit status."""
    lines = list(lines)
    for line in lines:
        print("error:", printable(line), file=sys.stderr)
    return 2 if lines else 0


def add_pack(command: argparse.ArgumentParser) -> None:
    """`NAME OUT --layout`, which `packed` reads."""
    command.add_argument("name")
    command.add_argument("out", metavar="OUT.zip|OUT.tar|FOLDER")
    command.add_argument(
        "--layout",
        choices=("archive", "hub"),
        default="archive",
        help="hub: a folder with README.md, config.json and model.safetensors, as model hubs have it",
    )


def packed(card: Card, args: argparse.Namespace) -> Path:
    """Writes what `add_pack` was told to."""
    return pack_folder(card, args.out) if args.layout == "hub" else pack(card, args.out)


@contextmanager
def unpacked(source: str, kind: type[Card]) -> Iterator[Card]:
    """The card that a file is, or that a pack or a hub's folder holds; inside, its weights are there."""
    if Path(source).is_dir():
        yield read_folder(source, kind)
    elif Path(source).suffix == ".toml":
        yield kind.read(source)
    else:
        with tempfile.TemporaryDirectory() as folder:
            yield unpack(source, Path(folder), kind.parse)

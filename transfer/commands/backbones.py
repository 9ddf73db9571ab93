"""Registered backbones: list, show, verify, register, remove, fetch, pack."""

from __future__ import annotations

import argparse
import json
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from backbones.arch import family_of, get_arch
from backbones.archive import SUFFIXES
from backbones.card import INPUTS, KINDS, SHARING, BackboneCard, Figures, Provenance, known_attentions
from backbones.drawing import draw_backbone, network_lines
from backbones.errors import UserInputError
from backbones.escaping import printable
from backbones.genotype import Genotype
from backbones.hub import CARD
from backbones.registry import STORE, get_card, list_backbones, register_backbone, remove_backbone
from backbones.scheme import ConnectionScheme
from backbones.widths import WidthPlan
from transfer.commands._cards import (
    add_pack,
    card_row,
    facts,
    packed,
    print_figures,
    print_listing,
    say_none,
    say_problems,
    unpacked,
)
from transfer.commands._tables import print_rows

if TYPE_CHECKING:
    from collections.abc import Iterator

    from backbones.verification import Verification

TEXTS = {
    "list": "list the registered backbones",
    "show": "show one card and draw its scheme stage by stage",
    "verify": "build, count parameters and MACs, check the weights' sha256 and that they fit",
    "register": "add a backbone to your own cards",
    "remove": "delete one of your own cards and its weights",
    "fetch": "download weights; the only command that uses the network",
    "pack": "write a card and its weights into one archive or a folder for a hub, which `register` takes back",
}
"""What each command does, in a line."""


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)

    def add(name: str, run: Any) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=TEXTS[name], description=TEXTS[name])
        command.set_defaults(run=run)
        return command

    command = add("list", run_list)
    command.add_argument("pattern", nargs="?", default="*", help="such as 'resnet50*'")
    command.add_argument("--pretrained", action="store_true", help="only those with weights of their own")
    command.add_argument("--json", action="store_true", help="print JSON")

    command = add("show", run_show)
    command.add_argument("name")
    command.add_argument("--picture", metavar="FILE", help="also draw it there: .png, .svg or .pdf")
    command.add_argument("--json", action="store_true", help="print JSON")

    command = add("verify", run_verify)
    command.add_argument("name", nargs="?", help="one backbone")
    command.add_argument("--all", action="store_true", help="every registered backbone")
    command.add_argument("--write", action="store_true", help="first write the MACs counted into the card")
    command.add_argument("--json", action="store_true", help="print JSON")

    _add_register(add("register", run_register))

    command = add("remove", run_remove)
    command.add_argument("name")

    command = add("fetch", run_fetch)
    command.add_argument(
        "name", nargs="?", help="an architecture, such as resnet50, or a backbone whose card has a url"
    )
    command.add_argument("--url", help="download this file instead")
    command.add_argument("--sha256", help="with --url: the file's whole hash, 64 digits")

    add_pack(add("pack", run_pack))
    return parser.parse_args(argv)


def _add_register(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "source",
        nargs="?",
        metavar="CARD.toml|PACK.zip|PACK.tar|FOLDER|WORK_DIR",
        help="a card, a pack, or the work directory of a finished search",
    )
    command.add_argument("--name", help="arch.tag, such as resnet50_share_ean_se.mine")
    command.add_argument("--arch", help="such as resnet50")
    command.add_argument("--attention", help=f"{', '.join(known_attentions())} or timm:NAME")
    command.add_argument("--attention-args", nargs="+", default=[], metavar="KEY=VALUE", help="such as reduction=16")
    command.add_argument("--sharing", help=f"{' or '.join(SHARING)} (default stage)")
    command.add_argument("--scheme", help="such as 100.1011.010011.011 (default: every block; of a search, its best)")
    command.add_argument("--widths", help="channels left inside blocks, such as 8x8*2.16x16*2.32x32*2 (default: all)")
    command.add_argument("--genotype", help="of searched cells, such as '|none~0|+|...|', in quotes")
    command.add_argument("--run", dest="training", help="of a search: plain, full_sa, full_share; of widths, any")
    command.add_argument("--provenance", help=f"where the scheme comes from: {', '.join(KINDS)} (default hand)")
    command.add_argument("--source-text", metavar="TEXT", help="the paper, the search run or the person")
    command.add_argument("--summary", help="one line")
    command.add_argument("--weights", metavar="FILE", help=".safetensors or .pth that fits; stored as safetensors")
    command.add_argument("--licence", default="unstated", help="of the weights")
    command.add_argument("--into", metavar="FOLDER", help="write there instead of into your own cards")


# ---- list and show: no torch


def run_list(args: argparse.Namespace) -> int:
    """A row for each card; a broken card does not hide the others."""
    cards, broken = STORE.readable(args.pattern)
    if args.pretrained:
        cards = [card for card in cards if card.weights is not None]
    if args.json:
        print(json.dumps([card_row(card) for card in cards], indent=2))
    elif cards:
        print_listing(cards)
    if not cards and not broken:
        say_none(STORE, args.pattern, "has weights of its own")
    return say_problems(broken)


def run_show(args: argparse.Namespace) -> int:
    """The whole card."""
    card = get_card(args.name)
    if args.picture:
        draw_backbone(card, args.picture)
    if args.json:
        print(json.dumps(card.to_dict() | {"path": str(card.path)}, indent=2))
        return 0
    print(printable("\n".join([card.name, card.summary, "", *facts(card), "", *network_lines(card), ""])))
    for title, entries in (("published", card.published), ("measured with this code", card.measured)):
        if entries:
            print_figures(title, map(_figures_row, entries))
        else:
            print(f"{title}: none")
    return 0


def _figures_row(entry: Figures) -> tuple[str, str, str]:
    values = ", ".join(f"{name} {value:g}" for name, value in entry.values.items())
    return entry.data, values, f"{entry.source}. {entry.note}" if entry.note else entry.source


# ---- the others


def run_verify(args: argparse.Namespace) -> int:
    """A row for each card; status 2 where one does not hold."""
    if args.all == (args.name is not None):
        raise UserInputError("verify: expected the name of one backbone, or --all")
    from backbones.verification import verify_backbone, verify_card, write_macs
    from transfer.engine.console import tracked

    if args.write:
        for card in STORE.readable()[0] if args.all else [get_card(args.name)]:
            write_macs(card)
    if args.all:
        names = list_backbones()
        results = list(tracked(map(verify_backbone, names), "backbones", len(names)))
    else:
        results = [verify_card(get_card(args.name))]
    if args.json:
        print(json.dumps([{**vars(result), "ok": result.ok} for result in results], indent=2))
    else:
        columns = ("name", "parameters", "on the card", "MACs", "on the card", "weights", "result")
        print_rows(columns, map(_verified, results), right=columns[1:5])
    return say_problems(f"{result.name}: {problem}" for result in results for problem in result.problems)


def _verified(result: Verification) -> list[str]:
    found = (result.parameters, result.expected, result.macs, result.expected_macs)
    counts = [f"{count:,}" if count is not None else "-" for count in found]
    return [result.name, *counts, result.weights, "ok" if result.ok else "; ".join(result.problems)]


_NETWORK = (
    "arch",
    "widths",
    "genotype",
    "attention",
    "attention_args",
    "sharing",
    "provenance",
    "source_text",
    "summary",
)
"""Options of `register` that describe a network from nothing."""


def run_register(args: argparse.Namespace) -> int:
    """From a card, a pack, the work directory of a search, or the options."""
    if args.source is not None and Path(args.source).is_dir() and not (Path(args.source) / CARD).exists():
        return _registered(_card_of_search(args))
    if args.training is not None:
        raise UserInputError("register: --run chooses one of a search's networks, expected its work directory")
    with _given_card(args) as card:
        card = register_backbone(
            card,
            weights=args.weights,
            licence=args.licence,
            weights_source=Path(args.weights).name if args.weights else "",
            directory=args.into,
        )
    return _registered(card)


def _registered(card: BackboneCard) -> int:
    assert card.parameters is not None
    print(f"{card.name} is registered: {card.path}, {card.parameters.count:,} parameters")
    return 0


def _card_of_search(args: argparse.Namespace) -> BackboneCard:
    """Registers what a search found."""
    _refuse_beside(args, (*_NETWORK, "weights"))
    if args.name is None:
        raise UserInputError(f"register: {args.source} is the folder of a search, expected --name arch.tag beside it")
    from transfer.pipeline.register import register_search
    from transfer.pipeline.width.register import is_width_search, register_width_search

    if is_width_search(args.source):
        _refuse_beside(args, ("scheme",))
        return register_width_search(
            args.source, args.name, run=args.training, directory=args.into, licence=args.licence
        )
    return register_search(
        args.source, args.name, scheme=args.scheme, run=args.training, directory=args.into, licence=args.licence
    )


def _refuse_beside(args: argparse.Namespace, options: tuple[str, ...]) -> None:
    given = [f"--{name.replace('_', '-')}" for name in options if getattr(args, name)]
    if given:
        raise UserInputError(f"register: {args.source} says it all, {', '.join(given)} cannot be given beside it")


@contextmanager
def _given_card(args: argparse.Namespace) -> Iterator[BackboneCard]:
    if args.source is None:
        yield _card_from_options(args)
    elif Path(args.source).suffix not in (".toml", *SUFFIXES) and not Path(args.source).is_dir():
        raise UserInputError(
            f"{args.source}: expected a card (.toml) or a pack ({', '.join(SUFFIXES)}, or a hub's folder), or the "
            "folder of a search"
        )
    else:
        _refuse_beside(args, ("name", "scheme", *_NETWORK))
        with unpacked(args.source, BackboneCard) as card:
            yield card


def _card_from_options(args: argparse.Namespace) -> BackboneCard:
    if args.name is None or args.arch is None:
        raise UserInputError("register: expected CARD.toml, a pack, or at least --name and --arch")
    arch = get_arch(args.arch)
    if args.scheme is not None and not family_of(args.arch).sams:
        raise UserInputError(f"register: --scheme connects blocks to SAMs, but {args.arch} takes none; leave it out")
    if args.scheme is not None:
        scheme = ConnectionScheme.parse(args.scheme, arch.depths)
    else:
        scheme = (ConnectionScheme.full if args.attention else ConnectionScheme.empty)(arch.depths)
    return BackboneCard(
        name=args.name,
        arch=args.arch,
        attention=args.attention,
        attention_args=dict(map(_key_value, args.attention_args)),
        sharing=args.sharing or "stage",
        scheme=scheme,
        widths=None if args.widths is None else WidthPlan.parse(args.widths, arch.inner),
        genotype=None if args.genotype is None else Genotype.parse(args.genotype),
        input=INPUTS[arch.stem],
        provenance=Provenance(args.provenance or "hand", args.source_text or "given to `tools/backbones.py register`"),
        summary=args.summary or "",
    )


def _key_value(text: str) -> tuple[str, Any]:
    key, equals, value = text.partition("=")
    if not equals:
        raise UserInputError(f"--attention-args {text}: expected KEY=VALUE, such as reduction=16")
    try:
        return key, json.loads(value)
    except json.JSONDecodeError:
        return key, value


def run_remove(args: argparse.Namespace) -> int:
    """Only the user's own."""
    for path in remove_backbone(args.name):
        print(f"removed {path}")
    return 0


def run_fetch(args: argparse.Namespace) -> int:
    """Verified, and whole or not at all."""
    from backbones.fetch import TRUNK_FILES, download, fetch_trunk

    if (args.url is None) == (args.name is None):
        raise UserInputError("fetch: expected an architecture or a backbone's name, or --url")
    with _progress() as progress:
        if args.url is not None:
            path = download(args.url, sha256=args.sha256, progress=progress)
        elif args.name in TRUNK_FILES or args.name not in list_backbones():
            path = fetch_trunk(args.name, progress=progress)
        else:
            weights = get_card(args.name).weights
            if weights is None or weights.url is None:
                raise UserInputError(f"backbone {args.name!r}: its card names no url to fetch weights from")
            path = download(weights.url, sha256=weights.sha256, size=weights.bytes, progress=progress)
    print(f"{path}: verified")
    return 0


@contextmanager
def _progress() -> Iterator[Any]:
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def run_pack(args: argparse.Namespace) -> int:
    """Card and weights together."""
    print(f"wrote {packed(get_card(args.name), args)}")
    return 0


def main(argv: list[str] | None = None) -> int:
    """Runs the command; returns the exit status."""
    args = parse_args(argv)
    return args.run(args)

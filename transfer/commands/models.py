"""Trained task models: list, show, verify, register, remove, pack."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from backbones.archive import SUFFIXES
from backbones.errors import UserInputError
from backbones.escaping import printable
from backbones.model_card import ModelCard, TrainingData
from transfer.commands._cards import add_pack, packed, print_figures, say_none, say_problems, unpacked
from transfer.commands._tables import print_rows
from transfer.models import STORE, get_model_card, list_models, register_card, register_model, verify_model

TEXTS = {
    "list": "list the registered models",
    "show": "show one card",
    "verify": "check the weights' sha256, build the model and load them",
    "register": "make a model of a training's checkpoint, or take in a card or a pack",
    "remove": "delete one of your own models",
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
    command.add_argument("pattern", nargs="?", default="*", help="such as 'shha*'")
    command.add_argument("--task", help="only those of this task")
    command.add_argument("--json", action="store_true", help="print JSON")

    command = add("show", run_show)
    command.add_argument("name")
    command.add_argument("--config", action="store_true", help="print its config instead")
    command.add_argument("--json", action="store_true", help="print JSON")

    command = add("verify", run_verify)
    command.add_argument("name", nargs="?", help="one model")
    command.add_argument("--all", action="store_true", help="every registered model")
    command.add_argument("--json", action="store_true", help="print JSON")

    _add_register(add("register", run_register))

    command = add("remove", run_remove)
    command.add_argument("name")

    add_pack(add("pack", run_pack))
    return parser.parse_args(argv)


def _add_register(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "sources",
        nargs="+",
        metavar="[CONFIG] CHECKPOINT",
        help="checkpoint of a training, behind its config where it holds none; card (.toml); pack (.zip, .tar, folder)",
    )
    command.add_argument("--name", help="such as shha_r38_ean_se")
    command.add_argument("--summary", help="one line")
    command.add_argument("--default", action="store_true", help="take it where no model is named")
    command.add_argument("--metrics", nargs="+", default=[], metavar="FILE.json", help="of `tools/test.py --out`")
    command.add_argument("--trained-on", metavar="TEXT", help="which data, in words")
    command.add_argument("--domain", metavar="TEXT", help="what kind of images these are")
    command.add_argument("--data-licence", metavar="TEXT", help="what the data's licence says")
    command.add_argument("--licence", help="of the weights")
    command.add_argument("--half", action="store_true", help="store float16: half the size")
    command.add_argument("--into", metavar="FOLDER", help="write there instead of among your own models")


# ---- list and show: no torch


def run_list(args: argparse.Namespace) -> int:
    """A row for each card; a broken card does not hide the others."""
    cards, broken = STORE.readable(args.pattern)
    cards = [card for card in cards if args.task in (None, card.task)]
    if args.json:
        print(json.dumps([model_row(card) for card in cards], indent=2))
    elif cards:
        print_rows(("name", "task", "default", "backbone", "measured", "summary"), map(_listed, cards))
    if not cards and not broken:
        say_none(STORE, args.pattern, f"is of task {args.task!r}")
    return say_problems(broken)


def _listed(card: ModelCard) -> list[str]:
    backbone = card.backbone.name if card.backbone else "-"
    first = list(card.measured[0].metrics.items())[:2] if card.measured else []  # `show` has all
    measured = ", ".join(f"{name} {value:.4g}" for name, value in first) or "-"
    return [card.name, card.task, "yes" if card.default else "-", backbone, measured, card.summary]


def model_row(card: ModelCard) -> dict[str, Any]:
    """What a list says of a card, in plain values."""
    return {
        "name": card.name,
        "task": card.task,
        "default": card.default,
        "backbone": card.backbone.name if card.backbone else None,
        "metrics": dict(card.measured[0].metrics) if card.measured else {},
        "bytes": card.weights.bytes,
        "summary": card.summary,
    }


def run_show(args: argparse.Namespace) -> int:
    """The whole card; the config on demand."""
    card = get_model_card(args.name)
    if args.config:
        print(printable(card.config.text), end="")
    elif args.json:
        print(json.dumps(card.to_dict() | {"path": str(card.path)}, indent=2))
    else:
        print(printable("\n".join([card.name, *([card.summary] if card.summary else []), "", *_facts(card), ""])))
        rows = [(m.data, str(m), f"{m.command}. {m.note}" if m.note else m.command) for m in card.measured]
        if rows:
            print_figures("measured on", rows)
        else:
            print("measured: nothing")
    return 0


def _facts(card: ModelCard) -> list[str]:
    used, weights = card.backbone, card.weights
    size = f", {weights.bytes / 1e6:.1f} MB" if weights.bytes else ""
    facts = {
        "task": f"{card.task}{', the default' if card.default else ''}",
        "backbone": f"{used.name}{f', scheme {used.scheme}' if used.scheme else ''}" if used else "none registered",
        "trained on": card.data.trained_on,
        "domain": card.data.domain,
        "noun": card.noun,
        "data licence": card.data.licence,
        "weights": f"{weights.file_name}{size}, {weights.licence}; {weights.source}",
        "config": card.config.source,
        "card": str(card.path),
    }
    return [f"{key:14}{value}" for key, value in facts.items() if value]


# ---- the others


def run_verify(args: argparse.Namespace) -> int:
    """A row for each card; status 2 where one does not hold."""
    if args.all == (args.name is not None):
        raise UserInputError("verify: expected the name of one model, or --all")
    if not args.all:
        get_model_card(args.name)  # an unknown name is no row
    problems = {name: _problem(name) for name in (list_models() if args.all else [args.name])}
    if args.json:
        print(
            json.dumps([{"name": name, "ok": not said, "problem": said} for name, said in problems.items()], indent=2)
        )
    else:
        print_rows(("name", "result"), [(name, problem or "ok") for name, problem in problems.items()])
    clashes = STORE.clashes(STORE.readable()[0]) if args.all else []
    return say_problems([*(f"{name}: {problem}" for name, problem in problems.items() if problem), *clashes])


def _problem(name: str) -> str:
    try:
        verify_model(get_model_card(name))
    except UserInputError as error:
        return str(error)
    return ""


_OF_A_CHECKPOINT = (
    *("name", "summary", "default", "metrics", "half", "licence"),
    *("trained_on", "domain", "data_licence"),
)
"""Options of `register` for what a checkpoint does not say itself; the last three are of its data."""


def run_register(args: argparse.Namespace) -> int:
    """From a checkpoint, or from a card or a pack, which say it all."""
    *before, last = args.sources
    if len(before) > 1:
        raise UserInputError(f"register: {' '.join(args.sources)}: expected CHECKPOINT, or CONFIG CHECKPOINT")
    if Path(last).suffix in (".toml", *SUFFIXES) or Path(last).is_dir():
        _refuse_beside(args, last)
        with unpacked(last, ModelCard) as given:
            card = register_card(given, args.into)
    else:
        card = _registered(args, last, *before)
    print(f"{card.name} is registered: {card.path}, {card.weights.bytes:,} bytes of weights")
    return 0


def _registered(args: argparse.Namespace, checkpoint: str, config: str | None = None) -> ModelCard:
    if args.name is None:
        raise UserInputError(f"register: {checkpoint} is a checkpoint, expected --name beside it")
    said = {"trained_on": args.trained_on, "domain": args.domain, "licence": args.data_licence}
    data = TrainingData(**{key: text for key, text in said.items() if text})
    options = {name: getattr(args, name) for name in _OF_A_CHECKPOINT[:-3] if getattr(args, name)}
    return register_model(checkpoint, config, data=data, directory=args.into, **options)


def _refuse_beside(args: argparse.Namespace, source: str) -> None:
    given = [f"--{name.replace('_', '-')}" for name in _OF_A_CHECKPOINT if getattr(args, name)]
    if given or len(args.sources) > 1:
        raise UserInputError(
            f"register: {source} says it all, {', '.join([*args.sources[:-1], *given])} cannot be given beside it"
        )


def run_remove(args: argparse.Namespace) -> int:
    """Only the user's own."""
    for path in STORE.remove(args.name):
        print(f"removed {path}")
    return 0


def run_pack(args: argparse.Namespace) -> int:
    """Card and weights together."""
    print(f"wrote {packed(get_model_card(args.name), args)}")
    return 0


def main(argv: list[str] | None = None) -> int:
    """Runs the command; returns the exit status."""
    args = parse_args(argv)
    status: int = args.run(args)
    return status

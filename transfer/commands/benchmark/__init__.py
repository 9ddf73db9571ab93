"""Benchmarks: what is measured is measured side by side, in one run, with an interval."""

from __future__ import annotations

import argparse
import json
import shlex
import sys

from transfer.commands.benchmark import everything, growth, inference, searching, targets, training
from transfer.commands.benchmark.common import Command

COMMANDS: dict[str, Command] = {
    "increment": inference.INCREMENT,
    "throughput": inference.THROUGHPUT,
    "density": targets.DENSITY,
    "profile": training.PROFILE,
    "steps": training.STEPS,
    "evaluation": training.EVALUATION,
    "search": searching.SEARCH,
    "trie": searching.TRIE,
    "scaling": growth.SCALING,
    "startup": growth.STARTUP,
}
"""A benchmark is a line here."""


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    for name, benchmark in COMMANDS.items():
        command = commands.add_parser(name, help=benchmark.text, description=benchmark.text)
        benchmark.add_options(command)
        command.add_argument("--out", metavar="FILE.json", help="write machine, command and rows there, as JSON")
    command = commands.add_parser("all", help=everything.TEXT, description=everything.TEXT)
    everything.add_options(command)
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Runs the command; returns the exit status."""
    args = parse_args(argv)
    if args.command == "all":
        return everything.run(args, COMMANDS)
    rows = COMMANDS[args.command].run(args)
    if args.out:
        from backbones.files import write_atomically
        from transfer.measure.machine import describe_machine

        typed = shlex.join(["python", "tools/benchmark.py", *(sys.argv[1:] if argv is None else argv)])
        machine = describe_machine(getattr(args, "device", None) or "cpu")
        content = {"command": typed, "machine": machine, "rows": rows}
        write_atomically(args.out, (json.dumps(content, indent=2) + "\n").encode())
    return 0

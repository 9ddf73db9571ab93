"""increment, throughput: time of a forward pass."""

from __future__ import annotations

import argparse
from typing import Any

from transfer.commands.benchmark.common import Command, Rows, print_table, settings, timing_options


def _increment_options(command: argparse.ArgumentParser) -> None:
    command.add_argument("names", nargs="+", metavar="NAME_OR_CONFIG", help="registered backbones, configs of tasks")
    command.add_argument(
        "--against", metavar="NAME_OR_CONFIG", help="network to hold them against (default: the plain)"
    )
    command.add_argument("--size", type=int, help="side of the images (default: the card's, the config's crops)")
    command.add_argument(
        "--modes", default="eager,deployed", help="some of eager,deployed,compiled (default: %(default)s)"
    )
    command.add_argument("--png", metavar="FILE", help="draw increment against accuracy, or else parameters, there")
    timing_options(command, batch=50)


def _increment(args: argparse.Namespace) -> Rows:
    chosen = settings(args)
    from transfer.measure import tables
    from transfer.measure.increment import measure_increments

    rows = measure_increments(
        args.names, against=args.against, size=args.size, modes=args.modes.split(","), settings=chosen
    )
    print_table(rows, tables.INCREMENT, args.device)
    for line in tables.rankings(rows):
        print(line)
    if args.png:
        tables.draw_increments(rows, args.png)
    return rows


def _increment_markdown(rows: Rows) -> str:
    """The table, and the order of the networks in each repeat."""
    from transfer.measure import columns, tables

    parts = [columns.as_markdown(rows, tables.INCREMENT), "\n".join(f"- {line}" for line in tables.rankings(rows))]
    return "\n\n".join(filter(None, parts))


def _throughput_options(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "names", nargs="*", metavar="NAME", help="registered backbones (default: ResNet-50, plain and SE)"
    )
    command.add_argument("--size", type=int, default=224, help="side of the images (default: %(default)s)")
    timing_options(command, batch=8)


def _throughput(args: argparse.Namespace) -> Rows:
    chosen = settings(args)
    from transfer.benchmarks.throughput import OURS, measure_throughput

    rows = measure_throughput(args.names or OURS, size=args.size, settings=chosen)
    print_table(rows, _throughput_columns(), args.device)
    return rows


def _throughput_columns() -> dict[str, Any]:
    from transfer.measure import tables

    return tables.THROUGHPUT


INCREMENT = Command(
    "inference-time increment over the plain network (Eq. 7, Eq. 9)",
    _increment_options,
    _increment,
    markdown=_increment_markdown,
)
THROUGHPUT = Command(
    "images a second, beside timm's ResNet-50 and SE-ResNet-50",
    _throughput_options,
    _throughput,
    _throughput_columns,
)

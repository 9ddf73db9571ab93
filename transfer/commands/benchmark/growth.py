"""scaling, startup."""

from __future__ import annotations

import argparse
from typing import Any

from transfer.cli import HOME
from transfer.commands.benchmark.common import Command, Rows, print_table, settings, timing_options


def _scaling_options(command: argparse.ArgumentParser) -> None:
    def numbers(name: str, default: list[float], kind: type = int) -> None:
        command.add_argument(name, type=kind, nargs="+", default=default, help=f"(default: {default})")

    numbers("--schemes", [64, 256, 1024, 4096])
    numbers("--images", [1000, 2000, 5000, 10_000])
    numbers("--heads", [10, 100, 1000, 10_000])
    numbers("--megapixels", [0.25, 1, 4, 16], float)
    command.add_argument("--png", metavar="FILE", help="draw it there, on logarithmic scales")
    timing_options(command, batch=64, rounds=3)


def _scaling(args: argparse.Namespace) -> Rows:
    chosen = settings(args)
    from transfer.benchmarks.scaling import draw_scaling, measure_scaling, search_series
    from transfer.engine.allocator import keep_freed_memory
    from transfer.task import get_task

    keep_freed_memory()
    counting_series = get_task("counting").part("benchmark_scaling").counting_series
    series = search_series(sorted(args.schemes), sorted(args.images), chosen)
    series += counting_series(sorted(args.heads), sorted(args.megapixels), chosen)
    rows = measure_scaling(series, chosen)
    print_table(rows, _scaling_columns(), args.device)
    if args.png:
        draw_scaling(rows, args.png)
    return rows


def _scaling_columns() -> dict[str, Any]:
    from transfer.measure import columns

    return {
        "work": columns.text("name"),
        "unit": columns.text("unit"),
        "n": columns.text("n"),
        "seconds": columns.significant("seconds"),
        "fitted slope": columns.number("slope"),
        "slope at the end": columns.number("last_slope"),
    }


def _startup_options(command: argparse.ArgumentParser) -> None:
    command.add_argument("--rounds", type=int, default=5, help="in which each runs once (default: %(default)s)")
    command.add_argument("--clock", choices=("wall", "cpu"), default="wall", help="see steps")
    command.add_argument("--seed", type=int, default=0, help="of resampling (default: %(default)s)")


def _startup(args: argparse.Namespace) -> Rows:
    from backbones.errors import UserInputError
    from transfer.benchmarks.startup import measure_startup

    if args.rounds < 1:
        raise UserInputError(f"--rounds {args.rounds}: expected 1 or more")
    rows = measure_startup(HOME, rounds=args.rounds, clock=args.clock, seed=args.seed)
    print_table(rows, _startup_columns())
    return rows


def _startup_columns() -> dict[str, Any]:
    from transfer.measure import columns

    return {
        "what": columns.text("name"),
        "mode": columns.text("mode"),
        "seconds": columns.number("seconds", 3),
        "95 % interval": columns.interval("seconds_ci95", 3),
        "loaded": lambda row: columns.NONE if row.get("loaded") is None else ", ".join(row["loaded"]),
    }


SCALING = Command("cost against schemes, images, heads and pixels", _scaling_options, _scaling, _scaling_columns)
STARTUP = Command("time until commands and imports are there", _startup_options, _startup, _startup_columns)

"""density: targets of crowd counting."""

from __future__ import annotations

import argparse
from typing import Any

from transfer.commands.benchmark.common import Command, Rows, print_table


def _options(command: argparse.ArgumentParser) -> None:
    command.add_argument("--data", choices=("part_a", "generated"), nargs="+", default=["part_a", "generated"])
    command.add_argument("--split", default="test", help="of part A (default: %(default)s)")
    command.add_argument("--limit", type=int, help="images of part A, evenly spread (default: all)")
    command.add_argument("--scenes", type=int, default=20, help="generated scenes (default: %(default)s)")
    command.add_argument("--strides", type=int, nargs="+", default=[8, 1], help="of the maps (default: 8 1)")
    command.add_argument(
        "--sample", type=int, default=2, help="heads of each image that the filter runs for (default: %(default)s)"
    )
    command.add_argument("--heads", type=int, nargs="*", default=[10, 100, 1000, 10_000, 100_000], help="for memory")
    command.add_argument("--clock", choices=("wall", "cpu"), default="wall", help="see steps")
    command.add_argument("--seed", type=int, default=0, help="of scenes and sampling (default: %(default)s)")


def _run(args: argparse.Namespace) -> Rows:
    import transfer.engine  # noqa: F401  (guards and registries)
    from transfer.task import get_task

    benchmark = get_task("counting").part("benchmark")

    heads_of = {}
    if "part_a" in args.data:
        heads_of[f"part A, {args.split}"] = benchmark.part_a(args.split, args.limit)
    if "generated" in args.data:
        heads_of["generated scenes"] = benchmark.generated(args.scenes, args.seed)
    given = dict(sample=args.sample, clock=args.clock, seed=args.seed)
    rows = [
        benchmark.measure_density(name, heads, stride=stride, adaptive=adaptive, **given)
        for name, heads in heads_of.items()
        for stride in args.strides
        for adaptive in (False, True)
    ]
    rows += benchmark.measure_density_memory(args.heads, seed=args.seed)
    print_table(rows, _columns())
    return rows


def _columns() -> dict[str, Any]:
    from transfer.measure import columns

    return {
        "pictures": columns.text("name"),
        "mode": columns.text("mode"),
        "stride": columns.text("stride"),
        "images": columns.text("images"),
        "heads": columns.number("heads", 0),
        "ms/image": columns.number("ms_per_image", 3),
        "filter, ms/image": columns.number("against_ms_per_image", 0),
        "times as fast": columns.number("speedup", 0),
        "95 % interval": columns.interval("speedup_ci95", 0),
        "by total time": columns.number("speedup_total", 0),
        "mass error": columns.significant("mass_error", 2),
        "peak MB": columns.number("peak_memory_mb", 2),
    }


DENSITY = Command("density targets against a full-size filter a head", _options, _run, _columns)

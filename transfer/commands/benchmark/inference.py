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
    command.add_argument("--size", type=int, help="side of the pictures (default: the card's, the config's crops)")
    command.add_argument(
        "--modes", default="eager,deployed", help="some of eager,deployed,compiled (default: %(default)s)"
    )
    command.add_argument("--png", metavar="FILE", help="draw increment against accuracy, or else parameters, there")
    timing_options(command, batch=50)


def _increment(args: argparse.Namespace) -> Rows:
    chosen = settings(args)
    from transfer.measure import tables as report
    from transfer.measure.increment import measure_increments

    rows = measure_increments(
        args.names, against=args.against, size=args.size, modes=args.modes.split(","), settings=chosen
    )
    print_table(rows, report.INCREMENT, args.device)
    for line in report.rankings(rows):
        print(line)
    if args.png:
        report.draw_increments(rows, args.png)
    return rows


_SEARCHED = "resnet50_share_ean_se.standin"
_MOST = {
    "resnet50_full_share_se.imagenet": 7.0,
    _SEARCHED: 3.0,
    "resnet50_share_ean_dia.imagenet": 4.0,
    "resnet50_share_ean_sge.imagenet": 10.0,
}
"""The greatest increment, in percent, that a deployed network should have at 224 pixels."""


def _at_full_size(row: dict[str, Any]) -> bool:
    return row["mode"] == "deployed" and row["size"] == 224 and row["batch"] >= 8


def _increment_goals(rows: Rows) -> list[str]:
    """Order of the networks in each repeat; increments of the deployed ones, and time of the plain one run eagerly."""
    from transfer.benchmarks.bounds import goal
    from transfer.measure import tables as report

    lines = [f"- {line}" for line in report.rankings(rows)]
    for row in filter(_at_full_size, rows):
        if (most := _MOST.get(row["name"])) is not None:
            what = f"increment of {row['name']}, deployed, percent"
            lines.append(goal(what, row["increment_percent"], most, at_least=False, ends=row["ci95"]))
        if row["name"] == _SEARCHED:
            what = f"time of {row['name']}, deployed, in times of the plain network run eagerly"
            ends = row["time_against_eager_ci95"]
            lines.append(goal(what, row["time_against_eager"], 0.85, at_least=False, ends=ends, digits=3))
    return lines


def _throughput_options(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "names", nargs="*", metavar="NAME", help="registered backbones (default: ResNet-50, plain and SE)"
    )
    command.add_argument("--size", type=int, default=224, help="side of the pictures (default: %(default)s)")
    timing_options(command, batch=8)


def _throughput(args: argparse.Namespace) -> Rows:
    chosen = settings(args)
    from transfer.benchmarks.throughput import OURS, measure_throughput

    rows = measure_throughput(args.names or OURS, size=args.size, settings=chosen)
    print_table(rows, _columns("THROUGHPUT"), args.device)
    return rows


def _throughput_goals(rows: Rows) -> list[str]:
    """How much faster than timm's, run as people run it, the deployed searched network is."""
    from transfer.benchmarks.bounds import goal

    return [
        goal(
            f"times as fast as timm's seresnet50 (malloc {row['malloc']}), {row['name']} deployed",
            row["speedup"],
            1.3,
            at_least=True,
            ends=row["speedup_ci95"],
            digits=3,
        )
        for row in filter(_at_full_size, rows)
        if row["name"] == _SEARCHED
    ]


def _columns(name: str) -> dict[str, Any]:
    from transfer.measure import tables as report

    return getattr(report, name)


INCREMENT = Command(
    "inference-time increment over the plain network (Eq. 7, Eq. 9)",
    _increment_options,
    _increment,
    lambda: _columns("INCREMENT"),
    _increment_goals,
)
THROUGHPUT = Command(
    "images a second, beside timm's ResNet-50 and SE-ResNet-50",
    _throughput_options,
    _throughput,
    lambda: _columns("THROUGHPUT"),
    _throughput_goals,
)

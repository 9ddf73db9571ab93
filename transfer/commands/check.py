"""Reads all the data that a config uses, and says what is wrong with them; status 0 if they are sound, 2 if not."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING

from backbones.escaping import printable
from transfer.cli import add_cfg_options, add_config
from transfer.commands._tables import print_rows

if TYPE_CHECKING:
    from transfer.engine.data_report import DataReport


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_config(parser)
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    add_cfg_options(parser)
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Runs the command; returns the exit status."""
    args = parse_args(argv)
    import transfer.engine  # noqa: F401  (guards and registries)
    from transfer.engine.config_check import load_config
    from transfer.task import get_task

    config = load_config(args.config, args.cfg_options)
    report = get_task(config, where=f"config {args.config}").part("check").check(config)
    if args.json:
        print(json.dumps(report.as_dict(), indent=2))
    else:
        show(report)
    return 0 if report.sound else 2


def show(report: DataReport) -> None:
    """Prints the table of splits, every problem and remark, and the verdict."""
    from rich.console import Console

    if report.rows:
        columns = tuple(report.rows[0])
        rows = [[f"{v:,g}" if isinstance(v, (int, float)) else str(v) for v in row.values()] for row in report.rows]
        print_rows(columns, rows, right=set(columns) - {"data", "split"})
    console = Console(soft_wrap=True, highlight=False)
    for line in report.notes:
        console.print(printable(line), markup=False)
    for line in report.remarks:
        console.print(f"remark: {printable(line)}", markup=False)
    for line in report.problems:
        console.print(f"problem: {printable(line)}", markup=False, style="red")
    console.print(report.verdict, markup=False, style="bold")

"""Reads all the data that a config uses, and says what is wrong with them; status 0 if they are sound, 2 if not."""

from __future__ import annotations

import argparse
import importlib
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("config", help="config file, such as configs/shha_ean_se.py")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    parser.add_argument(
        "--cfg-options", nargs="+", action="extend", default=[], metavar="KEY=VALUE", help="override config keys"
    )
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Runs the command; returns the exit status."""
    args = parse_args(argv)
    import transfer.engine  # noqa: F401  (guards and registries)
    from backbones.errors import UserInputError
    from transfer.engine.config_check import load_config

    config = load_config(args.config, args.cfg_options)
    if "task" not in config:
        raise UserInputError(f"config {args.config}: has no 'task', expected one such as task = 'counting'")
    report = importlib.import_module(f"tasks.{config.task}.check").check(config)
    if args.json:
        print(json.dumps(report.as_dict(), indent=2))
    else:
        show(report)
    return 0 if report.sound else 2


def show(report) -> None:
    """Prints the table of splits, every problem and remark, and the verdict."""
    from rich.console import Console
    from rich.table import Table

    console = Console(soft_wrap=True, highlight=False, width=None if sys.stdout.isatty() else 120)
    if report.rows:
        table = Table()
        for column in report.rows[0]:
            table.add_column(column, justify="left" if column in ("data", "split") else "right", no_wrap=True)
        for row in report.rows:
            table.add_row(*(f"{value:,g}" if isinstance(value, (int, float)) else str(value) for value in row.values()))
        console.print(table)
    for line in report.notes:
        console.print(line, markup=False)
    for line in report.remarks:
        console.print(f"remark: {line}", markup=False)
    for line in report.problems:
        console.print(f"problem: {line}", markup=False, style="red")
    console.print(report.verdict, markup=False, style="bold")


if __name__ == "__main__":
    from transfer.cli import run_command

    raise SystemExit(run_command(main))

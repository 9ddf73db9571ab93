"""What the subcommands share: their form, options of timing, the table in the terminal."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from transfer.commands import _tables

Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class Command:
    """A benchmark.

    Attributes:
        text: what it measures.
        add_options: to its parser; `--out` is there already.
        run: measures; gives the rows.
        columns: of the table for rows, by the function that imports what it needs; None: `run` prints its own.
        markdown: instead of the table of `columns`.
    """

    text: str
    add_options: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], Rows]
    columns: Callable[[], dict[str, Any]] | None = None
    markdown: Callable[[Rows], str] | None = None


def timing_options(command: argparse.ArgumentParser, batch: int, rounds: int = 10, *also: str) -> None:
    """Options of `transfer.measure.timed_models.Settings`; `also` are other names of `--rounds`."""
    command.add_argument("--batch", type=int, default=batch, help="images at a time (default: %(default)s)")
    command.add_argument(
        "--rounds", *also, type=int, default=rounds, help="in which each network runs once (default: %(default)s)"
    )
    command.add_argument("--repeats", type=int, default=1, help="of the whole measurement (default: %(default)s)")
    clock_options(command)


def clock_options(command: argparse.ArgumentParser) -> None:
    """Options of everything that computes with torch."""
    command.add_argument("--threads", type=int, help="torch's threads (default: torch's own choice)")
    command.add_argument("--device", default="cpu", help="cpu or cuda (default: %(default)s)")
    command.add_argument(
        "--clock",
        choices=("wall", "cpu"),
        default="wall",
        help="cpu: time of computing, for one thread on a machine that is busy otherwise",
    )
    command.add_argument("--seed", type=int, default=0, help="of all that is random (default: %(default)s)")


def settings(args: argparse.Namespace) -> Any:
    """`Settings` from the options, checked; sets torch's threads."""
    import transfer.engine  # noqa: F401  (guards and registries)
    from transfer.measure.timed_models import Settings

    given = {name: value for name, value in vars(args).items() if name in Settings.__dataclass_fields__}
    made = Settings(**given)
    made.set_threads()
    return made


def print_table(rows: Rows, columns: Any, device: str = "cpu") -> None:
    """Rows and the machine."""
    from transfer.measure import tables
    from transfer.measure.machine import describe_machine, summary

    _tables.print_table(tables.table(rows, columns))
    print(summary(describe_machine(device)))

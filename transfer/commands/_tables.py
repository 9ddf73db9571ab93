"""Tables that commands print: drawn on a terminal, plain where somebody else reads; imports no torch."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import TYPE_CHECKING

from backbones.escaping import printable

if TYPE_CHECKING:
    from rich.table import Table

_ANY_WIDTH = 1_000_000


def print_rows(columns: Sequence[str], rows: Iterable[Sequence[str]], right: Collection[str] = ()) -> None:
    """Prints a table; the columns called `right` hold numbers and stand on the right."""
    from rich.table import Table
    from rich.text import Text

    table = Table()
    for column in columns:
        table.add_column(column, justify="right" if column in right else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(printable(cell)) for cell in row))  # no markup: brackets are the user's own
    print_table(table)


def print_table(table: Table) -> None:
    """As wide as the terminal; without one, no frame, and each row on one line however long it is."""
    from rich.console import Console

    console = Console(highlight=False)
    if console.is_terminal:
        console.print(table)
        return
    table.box, table.pad_edge = None, False
    console.width = console.measure(table, options=console.options.update(max_width=_ANY_WIDTH)).maximum
    with console.capture() as printed:
        console.print(table)
    print("\n".join(line.rstrip() for line in printed.get().splitlines()))

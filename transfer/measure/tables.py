"""Measurements as tables for the terminal and as a figure."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from transfer.engine.figure import COLOURS, new_figure
from transfer.measure import columns
from transfer.measure.columns import Cell, Row

if TYPE_CHECKING:
    from rich.table import Table

Columns = dict[str, Cell]
"""Headers, and the text of a row under each. All but the first two are set flush right."""


def table(rows: Sequence[Row], headers: Columns) -> Table:
    """A table for `rich` to print."""
    from rich.table import Table

    made = Table(box=None, pad_edge=False)
    for place, header in enumerate(headers):
        made.add_column(header, justify="left" if place < 2 else "right", overflow="fold")
    for row in rows:
        made.add_row(*(text(row) for text in headers.values()))
    return made


def _published(row: Row) -> str:
    """Every figure that was printed, once."""
    return " / ".join(f"{value:+.2f}" for value in dict.fromkeys(row["published_percent"].values())) or columns.NONE


INCREMENT: Columns = {
    "network": columns.text("name"),
    "mode": columns.text("mode"),
    "published %": _published,
    "measured %": columns.number("increment_percent", 2, "+"),
    "95 % interval": columns.interval("ci95", 2, "+"),
    "ms/image": columns.number("ms_per_image", 2, ""),
    "of plain eager": columns.number("time_against_eager", 3, ""),
    "peak MB": columns.number("peak_memory_mb", 0, ""),
    "parameters": columns.number("parameters", 0),
}
THROUGHPUT: Columns = {
    "network": columns.text("name"),
    "mode": columns.text("mode"),
    "malloc": columns.text("malloc"),
    "images/s": columns.number("images_per_second", 2, ""),
    "ms/image": columns.number("ms_per_image", 2, ""),
    "times timm's seresnet50": columns.number("speedup", 3, ""),
    "95 % interval": columns.interval("speedup_ci95", 3, ""),
}


def rankings(rows: Sequence[Row]) -> Iterator[str]:
    """A line for each mode that was measured several times: networks by increment, and how often in that order.

    Neighbours whose intervals overlap have no order that could be repeated: `≈` stands between them, and repeats are
    compared in all pairs whose intervals do not.
    """
    for mode in dict.fromkeys(row["mode"] for row in rows):
        found = [row for row in rows if row["mode"] == mode and row["repeats"]]
        found.sort(key=lambda row: row["increment_percent"])
        count = min((len(row["repeats"]) for row in found), default=0)
        if count > 1 and len(found) > 1:
            line = found[0]["name"]
            for one, other in itertools.pairwise(found):
                line += f" {'<' if _apart(one, other) else '≈'} {other['name']}"
            clear = [pair for pair in itertools.combinations(found, 2) if _apart(*pair)]
            same = sum(all(one["repeats"][i] < other["repeats"][i] for one, other in clear) for i in range(count))
            yield f"{mode}, least first: {line}; the same in {same} of {count} repeats"


def _apart(one: Row, other: Row) -> bool:
    return one["ci95"][1] < other["ci95"][0]


# ---- the figure

_MARKERS = {"eager": "s", "deployed": "o", "compiled": "^"}
_APART = 6
"""Points between the modes of one network, which would hide each other."""


def draw_increments(rows: Sequence[Row], path: str | Path) -> None:
    """Increment with its interval against accuracy, where every network has one, else against parameters (Fig. 1)."""
    from matplotlib.transforms import offset_copy

    rows = [row for row in rows if row["increment_percent"] is not None]
    accurate = all(row["top1"] is not None for row in rows)
    colours = dict(zip(dict.fromkeys(row["name"] for row in rows), itertools.cycle(COLOURS), strict=False))
    modes = [mode for mode in _MARKERS if any(row["mode"] == mode for row in rows)]
    with new_figure(path, (9.5, 4.5)) as figure:
        axes = figure.subplots()
        axes.grid(alpha=0.3)
        axes.axvline(0, color="black", linewidth=0.8)
        for row in rows:
            x, y = row["increment_percent"], row["top1"] if accurate else row["parameters"] / 1e6
            (low, high), place = row["ci95"], modes.index(row["mode"]) - (len(modes) - 1) / 2
            moved = offset_copy(axes.transData, figure, y=-_APART * place, units="points")
            style = dict(fmt=_MARKERS[row["mode"]], color=colours[row["name"]], capsize=3)
            axes.errorbar(x, y, xerr=[[x - low], [high - x]], transform=moved, **style)
            axes.update_datalim([(low, y), (high, y)])  # what is moved does not count for the limits
        for name, colour in colours.items():
            axes.plot([], [], "-", color=colour, label=_short(name))
        for mode in modes:
            axes.plot([], [], _MARKERS[mode], color="black", label=mode)
        axes.set_xlabel("inference-time increment over the plain network (%), 95 % interval")
        axes.set_ylabel("top-1 accuracy (%), measured or else published" if accurate else "parameters (millions)")
        axes.margins(0.12)
        axes.autoscale_view()
        figure.legend(loc="outside right upper", frameon=False, fontsize="small")


def _short(name: str) -> str:
    """A registered name, or a config's without folder and ending."""
    return Path(name).stem if name.endswith(".py") else name

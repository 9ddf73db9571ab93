"""Measurements as tables for the terminal and as a picture."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from backbones._files import atomic_path

if TYPE_CHECKING:
    from rich.table import Table

_NONE = "–"

Row = dict[str, Any]
Columns = dict[str, Callable[[Row], str]]
"""Headers, and the text of a row under each. All but the first two are set flush right."""


def table(rows: Sequence[Row], columns: Columns) -> Table:
    """A table for `rich` to print."""
    from rich.table import Table

    made = Table(box=None, pad_edge=False)
    for place, header in enumerate(columns):
        made.add_column(header, justify="left" if place < 2 else "right", overflow="fold")
    for row in rows:
        made.add_row(*(text(row) for text in columns.values()))
    return made


def _number(key: str, digits: int, sign: str = "") -> Callable[[Row], str]:
    return lambda row: _NONE if row.get(key) is None else f"{row[key]:{sign}.{digits}f}"


def _interval(key: str, digits: int, sign: str = "") -> Callable[[Row], str]:
    def text(row: Row) -> str:
        return " to ".join(f"{end:{sign}.{digits}f}" for end in row[key]) if row.get(key) else _NONE

    return text


def _published(row: Row) -> str:
    """Every figure that was printed, once."""
    return " / ".join(f"{value:+.2f}" for value in dict.fromkeys(row["published_percent"].values())) or _NONE


INCREMENT: Columns = {
    "network": lambda row: row["name"],
    "mode": lambda row: row["mode"],
    "published %": _published,
    "measured %": _number("increment_percent", 2, "+"),
    "95 % interval": _interval("ci95", 2, "+"),
    "ms/image": _number("ms_per_image", 2),
    "of plain eager": _number("time_against_eager", 3),
    "peak MB": _number("peak_memory_mb", 0),
    "parameters": lambda row: f"{row['parameters']:,}",
}
THROUGHPUT: Columns = {
    "network": lambda row: row["name"],
    "mode": lambda row: row["mode"],
    "images/s": _number("images_per_second", 2),
    "ms/image": _number("ms_per_image", 2),
    "times timm's seresnet50": _number("speedup", 3),
    "95 % interval": _interval("speedup_ci95", 3),
}


def rankings(rows: Sequence[Row]) -> Iterator[str]:
    """A line for each mode that was measured several times: networks by increment, and how often in that order."""
    for mode in dict.fromkeys(row["mode"] for row in rows):
        repeats = {row["name"]: row["repeats"] for row in rows if row["mode"] == mode and row["repeats"]}
        count = min(map(len, repeats.values()), default=0)
        orders = [sorted(repeats, key=lambda name: repeats[name][i]) for i in range(count)]
        if len(orders) > 1 and len(repeats) > 1:
            same = sum(order == orders[0] for order in orders)
            yield f"{mode}, least first: {' < '.join(orders[0])}; the same in {same} of {len(orders)} repeats"


# ---- the picture

_STYLES = {"eager": ("#7F7F7F", "s"), "deployed": ("#0072B2", "o"), "compiled": ("#D55E00", "^")}


def draw_increments(rows: Sequence[Row], path: str | Path) -> None:
    """Increment with its interval against accuracy, where every network has one, else against parameters (Fig. 1)."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    rows = [row for row in rows if row["increment_percent"] is not None]
    accurate = all(row["top1"] is not None for row in rows)
    figure = Figure(figsize=(7.5, 4.5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    axes.grid(alpha=0.3)
    axes.axvline(0, color="black", linewidth=0.8)
    for mode, (colour, marker) in _STYLES.items():
        for first, row in enumerate(row for row in rows if row["mode"] == mode):
            x, y = row["increment_percent"], row["top1"] if accurate else row["parameters"] / 1e6
            low, high = row["ci95"]
            label = mode if first == 0 else None
            axes.errorbar(x, y, xerr=[[x - low], [high - x]], fmt=marker, color=colour, capsize=3, label=label)
            axes.annotate(_short(row["name"]), (x, y), xytext=(4, 4), textcoords="offset points", fontsize="x-small")
    axes.set_xlabel("inference-time increment over the plain network (%), 95 % interval")
    axes.set_ylabel("top-1 accuracy (%), measured or else published" if accurate else "parameters (millions)")
    axes.margins(0.12)
    axes.legend(framealpha=0.85, edgecolor="none", fontsize="small")
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=120, format="png")


def _short(name: str) -> str:
    """A registered name, or a config's without folder and ending."""
    return Path(name).stem if name.endswith(".py") else name

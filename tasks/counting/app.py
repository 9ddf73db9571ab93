"""The tab of counting in `ean app`: how many there are, where they are dense, and counts by the cells of a grid."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tasks.counting.image_results import Wanted
from tasks.counting.predictor import Counted
from tasks.counting.regions import grid_counts, grid_outlines
from tasks.counting.visualize import OPACITY, ImageArray, drawing
from transfer.app.controls import Control, Slider, Tick
from transfer.app.uploads import Photo

TITLE = "Counting"
LARGEST = None  # shrinking an image would change its count; large ones are predicted in tiles
CONTROLS: Sequence[Control] = (
    Slider("opacity", "Opacity of the density", 0, 1, OPACITY, 0.05),
    Tick("points", "Mark each head (experimental)"),
    Slider("rows", "Rows of the grid", 1, 12, 1, 1),
    Slider("columns", "Columns of the grid", 1, 12, 1, 1),
)


def headline(found: Counted) -> str:
    """How many there are."""
    return f"{found.count:,.1f} {found.noun}"


def remarks(found: Counted, options: Mapping[str, Any]) -> list[str]:
    """What to keep in mind, a line each."""
    lines = []
    if found.novelty is not None and found.novelty > 1:
        lines.append(
            f"This image is unlike those that the model was trained on (novelty {found.novelty:.2f}, usual up to 1): "
            "do not trust its count."
        )
    if options["points"]:
        lines.append(
            "Points are experimental: in a crowd they are spread as the density is, and say no more than that."
        )
    return lines


def draw(photo: Photo, found: Counted, options: Mapping[str, Any]) -> ImageArray:
    """The density over the photograph, with its colour scale, the grid's cells and the points."""
    grid = _grid(options)
    outlines = []
    if grid != (1, 1):
        counts = grid_counts(found.density, found.stride, found.size, grid).ravel()
        cells = grid_outlines(found.size, grid)
        outlines = [(f"{cell:.1f}", corners) for cell, corners in zip(counts, cells, strict=True)]
    return drawing(
        photo.pixels,
        found.density,
        f"{photo.name}   {found.count:.1f} {found.noun}",
        stride=found.stride,
        outlines=outlines,
        points_xy=found.points if options["points"] else None,
        noun=found.noun,
        opacity=options["opacity"],
        shape_hw=found.size,
    )


def table(found: Counted, options: Mapping[str, Any]) -> list[list[str]]:
    """Counts by cell, the names of the columns first; nothing without a grid."""
    grid = _grid(options)
    if grid == (1, 1):
        return []
    rows = grid_counts(found.density, found.stride, found.size, grid).tolist()
    lines = [[f"row {number}", *(f"{cell:,.1f}" for cell in row)] for number, row in enumerate(rows, start=1)]
    return [["", *(f"column {number}" for number in range(1, grid[1] + 1))], *lines]


def row(found: Counted, options: Mapping[str, Any]) -> dict[str, Any]:
    """A line of the CSV: count, size, novelty and, with a grid, the counts of its cells, as `ean predict` has them."""
    height, width = found.size
    line: dict[str, Any] = {"count": round(found.count, 6), "width": width, "height": height}
    line["novelty"] = None if found.novelty is None else round(found.novelty, 3)
    if (grid := _grid(options)) != (1, 1):
        cells = grid_counts(found.density, found.stride, found.size, grid).ravel()
        line |= dict(zip(Wanted(grid=grid).columns, (round(float(cell), 6) for cell in cells), strict=True))
    return line


def _grid(options: Mapping[str, Any]) -> tuple[int, int]:
    return options["rows"], options["columns"]

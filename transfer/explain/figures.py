"""The figures: maps of several models beside each other, and gates by block. In colours that the colour-blind read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from transfer.engine.figure import BLACK, BLUE, new_figure
from transfer.explain.gates import BlockGate, Gate

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Normalize

MAPS, GATES = "viridis", "cividis"
LEFT_OUT = "#E5E9EE"
_ABREAST = 4
_QUANTILES = 64
_LINE = 36
_WIDE, _GAP, _TITLE = 3.0, 0.08, 0.45
"""In inches: a panel's width, what lies between panels, and what its title takes."""


@dataclass(frozen=True, eq=False)
class Panel:
    """One model's map of one image.

    Attributes:
        title: lines above it: the model, then the target with its score.
        image_HW3: uint8 RGB, what lies under the map.
        map_HW: not negative, in any unit.
    """

    title: str
    image_HW3: NDArray[np.uint8]
    map_HW: NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Row:
    """One model's gates: what to call it, and its blocks in network order."""

    title: str
    blocks: Sequence[BlockGate]


def over_image(
    map_hw: torch.Tensor, padded: tuple[int, int], content: tuple[int, int], size: tuple[int, int]
) -> NDArray[np.float32]:
    """A layer's map (h, w), enlarged to the image (H, W) = `size`, bilinear.

    Args:
        map_hw: covers the network's whole input, of `padded` pixels.
        padded: (height, width) of the input.
        content: of its upper left part that the image fills.
        size: of the image.
    """
    whole = F.interpolate(map_hw[None, None].float(), padded, mode="bilinear")
    part = whole[..., : content[0], : content[1]]
    if content != size:
        part = F.interpolate(part, size, mode="bilinear")
    return part[0, 0].cpu().numpy()


def draw_maps(path: str | Path, image_HW3: NDArray[np.uint8], panels: Sequence[Panel]) -> None:
    """The image, and beside it each model's map over it, scaled to the map's own maximum (as EAN's Fig. 6).

    Args:
        path: the PNG.
        image_HW3: uint8 RGB.
        panels: one per model.
    """
    columns = min(len(panels) + 1, _ABREAST)
    rows = -(-(len(panels) + 1) // columns)
    tall = min(max(_WIDE * image_HW3.shape[0] / image_HW3.shape[1], 0.9), 6.5)
    size = (columns * (_WIDE + _GAP) + 1.0, rows * (tall + _TITLE) + _GAP)
    with new_figure(path, size) as figure:
        figure.set_layout_engine("none")
        # Placed by hand: the layout engine forgets titles above images that fill only a part of their axes.
        places = [
            (_GAP + column * (_WIDE + _GAP), size[1] - (row + 1) * (tall + _TITLE))
            for row in range(rows)
            for column in range(columns)
        ]
        grid = [figure.add_axes(_share(size, x, y, _WIDE, tall)) for x, y in places[: len(panels) + 1]]
        for axes in grid:
            axes.set_axis_off()
        grid[0].imshow(image_HW3)
        grid[0].set_title("image", fontsize=9)
        for axes, panel in zip(grid[1:], panels, strict=True):
            _draw_map(axes, panel)
        from matplotlib.cm import ScalarMappable
        from matplotlib.colors import Normalize

        # The maps are transparent where they are low; the bar is not.
        at = figure.add_axes(_share(size, size[0] - 0.9, places[0][1], 0.12, tall))
        bar = figure.colorbar(ScalarMappable(Normalize(0, 1), MAPS), cax=at)
        bar.set_label("Grad-CAM,\nof its maximum", fontsize=8)
        bar.ax.tick_params(labelsize=7)


def _share(
    size: tuple[float, float], x: float, y: float, wide: float, tall: float
) -> tuple[float, float, float, float]:
    """A place in inches as matplotlib has it: in shares of the figure, from its lower left corner."""
    return x / size[0], y / size[1], wide / size[0], tall / size[1]


def _draw_map(axes: Axes, panel: Panel) -> None:
    top = float(panel.map_HW.max())
    value_HW = panel.map_HW / top if top > 0 else np.zeros_like(panel.map_HW)
    grey_HW = panel.image_HW3 @ np.array([0.299, 0.587, 0.114])
    axes.imshow(grey_HW, cmap="gray", vmin=0, vmax=255)
    shown = axes.imshow(value_HW, cmap=MAPS, vmin=0, vmax=1)
    shown.set_alpha(0.3 + 0.45 * value_HW)  # the image stays visible, most where the map is low
    title = "\n".join(_shortened(line) for line in panel.title.split("\n"))
    axes.set_title(title, fontsize=9)
    if not top:
        at: dict[str, Any] = {"ha": "center", "va": "bottom", "transform": axes.transAxes}
        axes.text(0.5, 0.03, "nothing speaks for it", color="white", fontsize=9, **at)


def draw_gates(path: str | Path, rows: Sequence[Row]) -> None:
    """Per model: mean and spread of each block's gates, all its channels sorted, and maps where gates vary in space.

    Blocks stand along x in network order, a gap between stages; one that is not connected is hatched.

    Args:
        path: the PNG.
        rows: one per model.
    """
    gates = [block.gate for row in rows for block in row.blocks if block.gate]
    scales = _scale([gate.channels for gate in gates]), _scale([g.space for g in gates if g.space is not None])
    heights = [height for row in rows for height in _heights(row)]
    width = min(max(6.5, 0.42 * max(len(row.blocks) for row in rows) + 2.2), 24)
    with new_figure(path, (width, sum(heights) + 0.15 * len(heights) + 0.7 * len(rows))) as figure:
        grid = iter(figure.subplots(len(heights), 1, squeeze=False, height_ratios=heights).ravel())
        for row in rows:
            _draw_row([next(grid) for _ in _heights(row)], row, *scales)


def _heights(row: Row) -> tuple[float, ...]:
    """Of a model's axes, in inches: one where it has no gates, a third where they vary in space."""
    gates = [block.gate for block in row.blocks if block.gate]
    if not gates:
        return (0.5,)
    return (1.1, 1.5, 0.8) if any(gate.space is not None for gate in gates) else (1.1, 1.5)


def _scale(values: Sequence[NDArray[np.float32]]) -> Normalize:
    """One colour scale for all, from tenth to tenth."""
    from matplotlib.colors import Normalize

    if not values:
        return Normalize(0, 1)
    low, high = min(float(v.min()) for v in values), max(float(v.max()) for v in values)
    return Normalize(np.floor(10 * low) / 10, np.ceil(10 * high) / 10)


def _draw_row(below: Sequence[Axes], row: Row, channels: Normalize, space: Normalize) -> None:
    """All axes of a model, one below the other; its blocks along x in each."""
    places = _places(row)
    drawn = [(place, block.gate) for place, block in zip(places, row.blocks, strict=True) if block.gate]
    for axes in below:
        axes.set(xlim=(places[0] - 0.7, places[-1] + 0.7), ylim=(0, 1))
        axes.tick_params(labelsize=7, labelbottom=axes is below[-1], rotation=90 if len(places) > 30 else 0)
        axes.set_xticks(places, [block.block.removeprefix("layer") for block in row.blocks])
        if axes is not below[0] or not drawn:
            axes.set_yticks([])
    connected = sum(block.connected for block in row.blocks)
    below[0].set_title(f"{row.title}: {connected} of {len(row.blocks)} blocks connected", fontsize=9)
    below[-1].set_xlabel("block (hatched: not connected)", fontsize=8)
    if drawn:
        _draw_means(below[0], drawn)
        strips = [(place, _sorted(gate), "lower") for place, gate in drawn]
        _draw_tiles(below[1], strips, channels, "channels, sorted")
    if len(below) > 2:
        maps = [(place, gate.space, "upper") for place, gate in drawn if gate.space is not None]
        _draw_tiles(below[2], maps, space, "in space")
    for axes in below:
        _draw_left_out(axes, row)


def _places(row: Row) -> list[float]:
    """Of the blocks along x: 1 apart, a gap of half a block between stages."""
    return [place + 0.5 * block.stage for place, block in enumerate(row.blocks)]


def _sorted(gate: Gate) -> NDArray[Any]:
    """Its channels from the least to the greatest, as a column of one height for all blocks."""
    return np.quantile(gate.channels, np.linspace(0, 1, _QUANTILES))[:, None]


def _draw_means(axes: Axes, drawn: Sequence[tuple[float, Gate]]) -> None:
    gates = [gate for _, gate in drawn]
    means, spreads = [gate.mean for gate in gates], [gate.spread for gate in gates]
    places = [place for place, _ in drawn]
    axes.errorbar(places, means, spreads, fmt="o", color=BLUE, ecolor=BLACK, markersize=5, capsize=3, linewidth=1)
    ends = [mean + sign * spread for mean, spread in zip(means, spreads, strict=True) for sign in (-1, 1)]
    axes.set_ylim(min(0, *ends), max(1.05, *ends))
    axes.set_ylabel("mean ± spread", fontsize=8)
    axes.grid(axis="y", alpha=0.3)
    axes.set_axisbelow(True)


def _draw_tiles(axes: Axes, tiles: Sequence[tuple[float, Any, Any]], scale: Normalize, label: str) -> None:
    """Arrays in colour at places along x, the first line of each `"upper"` or `"lower"`."""
    from matplotlib.cm import ScalarMappable

    limits = axes.get_xlim()
    for place, values, origin in tiles:
        extent = (place - 0.45, place + 0.45, 0, 1)
        axes.imshow(values, GATES, scale, aspect="auto", extent=extent, origin=origin, interpolation="nearest")
    axes.set(xlim=limits, ylim=(0, 1))
    axes.set_ylabel(label, fontsize=8)
    bar = axes.figure.colorbar(ScalarMappable(scale, GATES), ax=axes, pad=0.01, aspect=12)
    bar.set_label("gate", fontsize=8)
    bar.ax.tick_params(labelsize=7)


def _draw_left_out(axes: Axes, row: Row) -> None:
    low, high = axes.get_ylim()
    for place, block in zip(_places(row), row.blocks, strict=True):
        if block.gate is None:
            hatch = None if block.connected else "////"
            axes.bar(place, high - low, 0.9, low, color=LEFT_OUT, edgecolor="#AEB6BF", hatch=hatch, linewidth=0)
            if block.connected:
                axes.text(place, (low + high) / 2, "no mask", rotation=90, ha="center", va="center", fontsize=7)
    axes.set_ylim(low, high)


def _shortened(line: str) -> str:
    """At most as long as a panel is wide; of a long name the end says most."""
    return line if len(line) <= _LINE else f"…{line[1 - _LINE :]}"

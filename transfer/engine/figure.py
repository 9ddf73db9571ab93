"""Figures written as PNG, without a display, in colours that the colour-blind and grey printers tell apart."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from backbones.files import atomic_path

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BLUE, ORANGE, GREEN, PURPLE = "#0072B2", "#D55E00", "#009E73", "#CC79A7"
YELLOW, SKY, GREY, BLACK = "#E69F00", "#56B4E9", "#7F7F7F", "#000000"
COLOURS = (BLUE, ORANGE, GREEN, PURPLE, YELLOW, SKY, GREY, BLACK)
"""Okabe and Ito's, and a grey."""

DPI = 120


@contextmanager
def new_figure(path: str | Path, size: tuple[float, float]) -> Iterator[Figure]:
    """A figure to draw on; in the end it is written as `path`, whole or not at all.

    Args:
        path: the PNG.
        size: in inches, of 120 pixels each.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, layout="constrained")
    FigureCanvasAgg(figure)
    yield figure
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=DPI, format="png", metadata={"Software": None})

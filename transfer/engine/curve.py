"""The curve of a training, `curve.jsonl`, as a picture."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.registry import HOOKS

from transfer.engine.figure import BLUE, ORANGE, new_figure
from transfer.engine.progress import read_curve_lines

Points = list[tuple[int, float]]
"""Iterations and values."""


def read_curve(path: str | Path, metric: str) -> tuple[Points, Points]:
    """Reads a work directory's `curve.jsonl`: the training loss, and a metric of the validations."""
    losses, scores = [], []
    for entry in read_curve_lines(path):
        if "loss" in entry:
            losses.append((entry["iter"], entry["loss"]))
        if metric in entry.get("val", {}):
            scores.append((entry["iter"], entry["val"][metric]))
    return losses, scores


def draw_curve(
    path: str | Path, out: str | Path, metric: str, label: str, *, errors: bool = False, title: str = ""
) -> None:
    """Draws a `curve.jsonl` as a PNG: training loss on top, the validations' metric below.

    Args:
        path: the curve.
        out: the PNG.
        metric: its key in the curve, such as `"mae"`.
        label: of the metric, with its unit.
        errors: less is better; both axes are logarithmic then.
        title: above the picture.
    """
    losses, scores = read_curve(path, metric)
    with new_figure(out, (7, 5)) as figure:
        above, below = figure.subplots(2, 1, sharex=True)
        above.set(title=title, ylabel="training loss", yscale="log" if errors else "linear")
        below.set(xlabel="iteration", ylabel=label, yscale="log" if errors else "linear")
        if losses:
            above.plot(*zip(*losses, strict=True), color=BLUE, linewidth=1)
        if scores:
            below.plot(*zip(*scores, strict=True), color=ORANGE, marker="o", markersize=3)
            at, best = (min if errors else max)(scores, key=lambda point: point[1])
            place = {"xytext": (0, 12 if errors else -14), "textcoords": "offset points", "ha": "right"}
            below.annotate(f"best {best:.1f} at {at}", (at, best), **place)
        for axes in (above, below):
            axes.grid(alpha=0.3)


@HOOKS.register_module()
class CurvePictureHook(Hook):
    """Draws `curve.png` from the work directory's `curve.jsonl` after each validation.

    Args:
        metric: see `draw_curve`, as the others.
        label: of the metric.
        errors: less is better.
    """

    priority = "VERY_LOW"  # behind the hook that writes the curve

    def __init__(self, metric: str = "mae", label: str = "validation MAE", errors: bool = True) -> None:
        self.metric, self.label, self.errors = metric, label, errors

    def after_val_epoch(self, runner: Any, metrics: dict[str, float] | None = None) -> None:
        curve = Path(runner.work_dir) / "curve.jsonl"
        if is_main_process() and curve.is_file():
            title = runner.experiment_name.rsplit("_", 2)[0]
            draw_curve(curve, curve.with_suffix(".png"), self.metric, self.label, errors=self.errors, title=title)

"""What is made of one video: a CSV of counts by frame, a plot over time, and the overlay as a video."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch

from backbones.errors import UserInputError
from tasks.counting.image_results import Wanted, count, draw, predict_array
from tasks.counting.visualize import scale_top
from transfer.engine.console import progress
from transfer.engine.figure import BLUE, new_figure
from transfer.engine.outputs import Results, append_csv, shown_path
from transfer.engine.video import ENDING, Frame, opened, writer

COLUMNS = ("frame", "seconds", "count")
LONGEST = 1280
"""Pixels of the longer side of overlays: encoding takes as long as predicting."""


def predict_video(
    model: torch.nn.Module, path: Path, folder: Path, stem: str, wanted: Wanted, results: Results
) -> None:
    """Predicts a video frame by frame, of which it keeps none, and adds its row to the results' `videos`.

    The row has `image`, `frames` (that were predicted), `seconds`, `mean`, `min` and `max` of the counts, and the names
    of `counts` (CSV), `plot` and, where wanted, `overlay`. The CSV has each frame as soon as it is predicted.

    Raises:
        UserInputError: it is no video, a region does not fit its frames, or it is cut off; in that case the row of the
            frames before is there.
        RunError: a count is not finite.
    """
    track = _Track(model, path, folder, stem, wanted)
    cut: UserInputError | None = None
    with opened(path) as video:
        every = wanted.every
        with track.overlay(video.fps / every) as show, progress(f"frames of {path.name}", video.announced) as tell:
            try:
                for frame in video.frames(every):
                    track.add(frame, show)
                    tell(frame.number + 1)
            except UserInputError as error:
                if not track.counts:
                    raise
                cut = error
    results.add(track.finish(), "videos")
    if cut is not None:
        raise cut


class _Track:
    """The counts of a video so far; what it writes is named after `stem`."""

    def __init__(self, model: torch.nn.Module, path: Path, folder: Path, stem: str, wanted: Wanted) -> None:
        self.model, self.path, self.folder, self.stem, self.wanted = model, path, folder, stem, wanted
        self.noun = model.noun
        self.seconds: list[float] = []
        self.counts: list[float] = []
        self.top = 0.0

    def overlay(self, fps: float) -> AbstractContextManager[Callable[[np.ndarray], None] | None]:
        """What takes the frames of the overlay, if one is wanted."""
        return writer(self.folder / f"{self.stem}_density{ENDING}", fps) if self.wanted.overlay else nullcontext()

    def add(self, frame: Frame, show: Callable[[np.ndarray], None] | None) -> None:
        sample = predict_array(self.model, frame.image)
        row = count(sample, self.path, self.wanted)
        if not self.counts:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._csv.unlink(missing_ok=True)
        line = {"frame": frame.number, "seconds": round(frame.seconds, 3), **self.wanted.cells_of(row)}
        append_csv(self._csv, [line], [*COLUMNS, *self.wanted.columns])
        self.seconds.append(frame.seconds)
        self.counts.append(row["count"])
        if show is not None:
            # The scale may only grow, or the colours of a quiet crowd would flicker.
            self.top = max(self.top, scale_top(sample.pred_density[0].numpy()))
            title = f"{self.path.name}   {frame.seconds:.1f} s   {sample.pred_count:.1f} {self.noun}"
            show(draw(frame.image, sample, title, row, self.wanted, top=self.wanted.vmax or self.top))

    def finish(self) -> dict[str, Any]:
        """Draws the plot and returns the row."""
        plot = f"{self.stem}_counts.png"
        with new_figure(self.folder / plot, (8, 3.5)) as figure:
            axes = figure.subplots()
            axes.plot(self.seconds, self.counts, color=BLUE, linewidth=1, marker="." if len(self.counts) < 50 else "")
            axes.set(title=self.path.name, xlabel="time (s)", ylabel=self.noun)
            axes.set_ylim(bottom=min(0.0, *self.counts), top=max(1.0, *self.counts) * 1.05)
            axes.grid(alpha=0.3)
        counts = np.array(self.counts)
        return {
            "image": shown_path(self.path),
            "frames": len(counts),
            "seconds": round(self.seconds[-1], 3),
            **{name: round(float(getattr(counts, name)()), 6) for name in ("mean", "min", "max")},
            "counts": self._csv.name,
            "plot": plot,
            **({"overlay": f"{self.stem}_density{ENDING}"} if self.wanted.overlay else {}),
        }

    @property
    def _csv(self) -> Path:
        return self.folder / f"{self.stem}_frames.csv"

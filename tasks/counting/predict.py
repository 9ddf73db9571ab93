"""Counts people in any images and videos: overlays, and the counts as JSON and CSV, in all and by region."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmengine.config import Config

from backbones.errors import UserInputError
from tasks.counting import video_results
from tasks.counting.image_results import Wanted, image_result, predict_array
from tasks.counting.predictor import load
from tasks.counting.regions import parse_grid, read_regions
from tasks.counting.visualize import LONGEST
from transfer.engine.console import progress
from transfer.engine.images import VIDEO_EXTENSIONS, find_images
from transfer.engine.inference import provenance
from transfer.engine.outputs import Results, checked_folder, unique_stems

__all__ = ["predict", "predict_array", "summary"]

COLUMNS = ("image", "count", "width", "height", "overlay", "novelty")


def predict(
    config: Config,
    checkpoint: str | Path,
    inputs: Sequence[str | Path],
    *,
    out: str | Path,
    deploy: bool = False,
    overwrite: bool = False,
    roi: Sequence[str | Path] = (),
    grid: str | None = None,
    points: bool = False,
    density: bool = False,
    overlay: bool = True,
    vmax: float | None = None,
    full_size: bool = False,
    every: int = 1,
) -> dict[str, Any]:
    """Counts people in images and videos; writes `predictions.json`, `predictions.csv` and files of each input.

    Results are written as they come. An image that cannot be read costs itself alone.

    Args:
        config: of the model.
        checkpoint: that the config's training wrote.
        inputs: images, videos, patterns such as `a/*.jpg`, and folders of images.
        out: folder for the results, made if it is not there.
        deploy: use the model's fused copy, see `transfer.deploy.deploy`.
        overwrite: replace the results that `out` holds.
        roi: regions to count in: `"x0,y0,x1,y1"`, or JSON files with polygons, in pixels.
        grid: `"RxC"`: count in each of R x C cells.
        points: write where people are, `<name>_points.csv` (experimental, see `tasks.counting.locate`).
        density: write the density map, `<name>_density.npy` and `<name>_density16.png`.
        overlay: write `<name>_density.png`, the density over the image, or `<name>_density.webm` of a video.
        vmax: people per cell of the last colour in all overlays; default each one's largest value.
        full_size: draw overlays in full size, whatever it is.
        every: of videos, predict every so-manieth frame.

    Returns:
        What `predictions.json` holds: `config`, `checkpoint`, `checkpoint_sha256`, `deployed`, `noun`, `predictions`,
        `videos` where there are any, `failed` (a list of `image` and `reason`), `complete`. A prediction has `image`,
        `count`, `width`, `height`, `tiles`, `novelty` (of images; where the checkpoint knows what it was trained on;
        above 1 the image is unlike that) and, where wanted, `overlay`, `regions` (counts by name), `grid` (rows of
        counts), `points`, `density`, `density_png`. For a video's see `tasks.counting.video_results.predict_video`.

    Raises:
        UserInputError: an input that is missing, a wrong option, results in `out`, a checkpoint of another model, or
            no input that could be predicted.
        RunError: a count that is not finite.
    """
    folder = checked_folder(out, overwrite=overwrite)
    paths = find_images(inputs, videos=True)
    wanted = Wanted(
        regions=read_regions(roi),
        grid=parse_grid(grid) if grid is not None else None,
        points=points,
        density=density,
        overlay=overlay,
        vmax=vmax,
        longest=None if full_size else LONGEST,
        every=every,
    )
    named = list(zip(paths, unique_stems(paths), strict=True))
    images, videos = ([one for one in named if _is_video(one[0]) is kind] for kind in (False, True))
    _check(wanted, some_videos=bool(videos))
    predictor = load(config, checkpoint, deploy=deploy)
    model: Any = predictor.network
    header = {**provenance(config, checkpoint, deployed=deploy), "noun": model.noun}
    with Results(folder, header, [*COLUMNS, *wanted.columns] if images else ()) as results:
        with progress("images", len(images)) as show:
            for done, (path, stem) in enumerate(images, start=1):
                with results.attempt(path):
                    row = image_result(model, path, folder, stem, wanted, predictor.domain)
                    results.add(row, columns=wanted.cells_of(row))
                show(done)
        for path, stem in videos:
            with results.attempt(path):
                video_results.predict_video(model, path, folder, stem, _for_videos(wanted), results)
    return results.record


def summary(record: dict[str, Any]) -> list[str]:
    """One line for each image and video, for the terminal."""
    noun = record["noun"]
    images = [f"{row['image']}: {row['count']:.1f} {noun}{_regions(row)}" for row in record["predictions"]]
    videos = [
        f"{row['image']}: {row['mean']:.1f} {noun} on average, {row['min']:.1f} to {row['max']:.1f} in "
        f"{row['frames']:,} frames"
        for row in record.get("videos", ())
    ]
    return images + videos + _warning(record["predictions"])


def _warning(rows: Sequence[dict[str, Any]]) -> list[str]:
    unlike = [row["image"] for row in rows if row.get("novelty", 0) > 1]
    if not unlike:
        return []
    named = ", ".join(unlike[:3]) + (", ..." if len(unlike) > 3 else "")
    return [
        f"warning: {len(unlike)} of {len(rows)} images are unlike those that the model was trained on ({named}): "
        "do not trust their counts"
    ]


def _regions(row: dict[str, Any]) -> str:
    parts = [f"{name} {count:.1f}" for name, count in row.get("regions", {}).items()]
    return f" ({', '.join(parts)})" if parts else ""


def _is_video(path: Path) -> bool:
    return path.suffix.lower() in VIDEO_EXTENSIONS


def _for_videos(wanted: Wanted) -> Wanted:
    return wanted if wanted.longest is None else dataclasses.replace(wanted, longest=video_results.LONGEST)


def _check(wanted: Wanted, *, some_videos: bool) -> None:
    if wanted.vmax is not None and not 0 < wanted.vmax < float("inf"):
        raise UserInputError(f"--vmax {wanted.vmax:g}: expected a positive number: people per cell of the last colour")
    if wanted.every < 1:
        raise UserInputError(f"--every {wanted.every}: expected a whole number of at least 1")
    for name in ("points", "density"):
        if some_videos and getattr(wanted, name):
            raise UserInputError(f"--{name}: is written for images only, expected no video among the inputs")

"""What is made of one image: its count, in all and by region, and the files that go with it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from backbones.errors import RunError
from backbones.files import write_atomically
from tasks.counting.density_files import write_density
from tasks.counting.domain import Domain
from tasks.counting.locate import locate
from tasks.counting.regions import Region, grid_counts, grid_outlines, region_count
from tasks.counting.structures import CrowdSample
from tasks.counting.visualize import ImageArray, drawing
from transfer.engine.images import read_image, write_image
from transfer.engine.outputs import shown_path


@dataclass(frozen=True)
class Wanted:
    """What is made of each input, see `tasks.counting.predict.predict`; `longest` is None for the full size."""

    regions: Sequence[Region] = ()
    grid: tuple[int, int] | None = None
    points: bool = False
    density: bool = False
    overlay: bool = True
    vmax: float | None = None
    longest: int | None = None
    every: int = 1

    @property
    def columns(self) -> list[str]:
        """Columns of a CSV for the counts of regions and of the grid's cells."""
        rows, columns = self.grid or (0, 0)
        cells = [f"cell_{row + 1}_{column + 1}" for row in range(rows) for column in range(columns)]
        return [*(f"region_{region.name}" for region in self.regions), *cells]

    def cells_of(self, row: dict[str, Any]) -> dict[str, Any]:
        """A row of `count` with the values of `columns` beside its own."""
        counts = [*row.get("regions", {}).values(), *(cell for line in row.get("grid", ()) for cell in line)]
        return {**row, **dict(zip(self.columns, counts, strict=True))}


@torch.no_grad()
def predict_array(model: torch.nn.Module, image_HW3: np.ndarray, path: Path | None = None) -> CrowdSample:
    """Predicts one uint8 RGB image; `path` is named where the output is not finite.

    Returns:
        A sample with `pred_count`, `pred_density` ((1, h, w) float32 people per cell) and, as metainfo, `stride`, a
        cell's side in pixels, and `tiles`.
    """
    shape = image_HW3.shape[:2]
    named = {} if path is None else {"img_path": str(path)}
    sample = CrowdSample(metainfo={"img_shape": shape, "ori_shape": shape, **named})
    inputs = torch.from_numpy(np.ascontiguousarray(image_HW3.transpose(2, 0, 1)))
    return model.test_step({"inputs": [inputs], "data_samples": [sample]})[0].cpu()


def image_result(
    model: torch.nn.Module, path: Path, folder: Path, stem: str, wanted: Wanted, domain: Domain | None = None
) -> dict[str, Any]:
    """Predicts one image file, writes its files into `folder`, and returns its row.

    Raises:
        UserInputError: the image cannot be read, or a region does not fit it.
        RunError: the count is not finite.
    """
    image_HW3 = read_image(path)
    sample = predict_array(model, image_HW3, path)
    height, width = image_HW3.shape[:2]
    row: dict[str, Any] = {"image": shown_path(path), **count(sample, path, wanted)}
    row |= {"width": width, "height": height, "tiles": list(sample.tiles)}
    if domain:
        row["novelty"] = round(domain.novelty(image_HW3), 3)
    density_hw, points_xy = sample.pred_density[0].numpy(), None
    if wanted.points:
        points_xy = locate(density_hw, sample.stride, shape_hw=(height, width))
        row["points"] = _write_points(folder, stem, points_xy)
    if wanted.density:
        row |= write_density(folder, stem, density_hw)
    if wanted.overlay:
        row["overlay"] = f"{stem}_density.png"
        title = f"{path.name}   {sample.pred_count:.1f} {sample.noun}"
        write_image(folder / row["overlay"], draw(image_HW3, sample, title, row, wanted, points_xy=points_xy))
    return row


def count(sample: CrowdSample, path: Path, wanted: Wanted) -> dict[str, Any]:
    """`count` and, where wanted, `regions` (by name) and `grid` (rows of cells) of a prediction of the file `path`.

    Raises:
        UserInputError: a region does not fit the image.
        RunError: the count is not finite.
    """
    check_finite(sample.pred_count, str(path))
    at = (sample.pred_density[0].numpy(), sample.stride, sample.img_shape[:2])
    row: dict[str, Any] = {"count": _rounded(sample.pred_count)}
    if wanted.regions:
        row["regions"] = {region.name: _rounded(region_count(*at, region)) for region in wanted.regions}
    if wanted.grid:
        row["grid"] = [[_rounded(cell) for cell in line] for line in grid_counts(*at, wanted.grid)]
    return row


def check_finite(count: float, where: str) -> None:
    """Raises `RunError` for a count that is no number."""
    if not math.isfinite(count):
        raise RunError(f"{where}: the model counts {count}; expected a number: its weights are broken")


def draw(
    image_HW3: ImageArray, sample: CrowdSample, title: str, row: dict[str, Any], wanted: Wanted, **options: Any
) -> ImageArray:
    """The overlay of an image with its regions and the cells of its grid; `options` are those of `drawing`."""
    outlines = [(f"{one.name}: {row['regions'][one.name]:.1f}", one.corners) for one in wanted.regions]
    if wanted.grid:
        cells = grid_outlines(sample.img_shape[:2], wanted.grid)
        counts = [cell for line in row["grid"] for cell in line]
        outlines += [(f"{cell:.1f}", corners) for cell, corners in zip(counts, cells, strict=True)]
    options = {"top": wanted.vmax, "longest": wanted.longest, "noun": sample.noun, **options}
    return drawing(image_HW3, sample.pred_density[0].numpy(), title, stride=sample.stride, outlines=outlines, **options)


def _write_points(folder: Path, stem: str, points_xy: np.ndarray) -> str:
    lines = ["x,y", *(f"{x:.2f},{y:.2f}" for x, y in points_xy)]
    write_atomically(folder / f"{stem}_points.csv", ("\n".join(lines) + "\n").encode())
    return f"{stem}_points.csv"


def _rounded(number: float) -> float:
    """To a millionth: the cells of a grid add up to what is written as the count."""
    return round(float(number), 6)

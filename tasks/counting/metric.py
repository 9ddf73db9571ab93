"""MAE, MSE, NAE and GAME of crowd counts: pure functions, and the metric that mmengine's loops call."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.evaluator import BaseMetric
from mmengine.registry import METRICS

from backbones.errors import UserInputError
from backbones.escaping import csv_cell
from backbones.files import write_atomically
from tasks.counting.locate import locate, matches, scores
from tasks.counting.targets import inside_mask
from transfer.measure.statistics import percentile_interval, resampled

GAME_LEVELS = (0, 1, 2, 3)
COLUMNS = ("image_id", "img_path", "gt", "pred", "error", *(f"game{level}" for level in GAME_LEVELS), "leaked")


def mae(pred: np.ndarray, gt: np.ndarray) -> float:
    """Mean absolute error of counts (N,), in people.

    >>> mae(np.array([3.0, 5.0]), np.array([1, 5]))
    1.0
    """
    return float(np.abs(_errors(pred, gt)).mean())


def mse(pred: np.ndarray, gt: np.ndarray) -> float:
    """What the counting literature calls MSE: the *root* of the mean squared error of counts (N,), in people.

    >>> mse(np.array([4.0, 9.0]), np.array([1, 5]))
    3.5355339059327378
    """
    return float(np.sqrt(np.square(_errors(pred, gt)).mean()))


def nae(pred: np.ndarray, gt: np.ndarray) -> float:
    """Mean of |error| / ground truth over the images that have points (Wang et al., NWPU-Crowd); NaN where none has.

    >>> nae(np.array([3.0, 7.0]), np.array([2, 0]))
    0.5
    """
    some = np.asarray(gt) > 0
    if not some.any():
        return float("nan")
    return float((np.abs(_errors(pred, gt))[some] / np.asarray(gt)[some]).mean())


def game(pred_density: np.ndarray, points_xy: np.ndarray, shape_hw: tuple[int, int], level: int) -> float:
    """Grid average mean absolute error of one image (Guerrero-Gomez-Olmo et al., IbPRIA 2015): 4^level regions.

    Regions are blocks of whole cells of the map: along an axis of n cells, region k of 2^level spans the cells from
    floor(k n / 2^level) up to floor((k + 1) n / 2^level). A point belongs to the cell it lies in, hence to one region.
    Points outside the image belong to none, so that at level 0 this is the absolute error of the points inside.

    Args:
        pred_density: (h, w) people per cell.
        points_xy: (N, 2) points, in continuous pixel coordinates of the image that was predicted.
        shape_hw: height and width of that image.
        level: 0 to 3, as a rule.
    """
    difference = np.asarray(pred_density, np.float64) - _cell_counts(points_xy, shape_hw, pred_density.shape)
    integral = np.pad(difference.cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    rows, columns = (np.arange(2**level + 1) * cells // 2**level for cells in difference.shape)
    corners = integral[np.ix_(rows, columns)]
    return float(np.abs(np.diff(np.diff(corners, axis=0), axis=1)).sum())


def map_stride(shape_hw: tuple[int, int], cells_hw: tuple[int, int]) -> int:
    """The power of two s with ceil(H / s) rows and ceil(W / s) columns.

    Raises:
        ValueError: there is none.
    """
    for stride in (1, 2, 4, 8, 16, 32, 64):
        if all(-(-size // stride) == cells for size, cells in zip(shape_hw, cells_hw, strict=True)):
            return stride
    raise ValueError(f"a map of {tuple(cells_hw)} cells does not cover an image of {tuple(shape_hw)} at any stride 2^n")


def _cell_counts(points_xy: np.ndarray, shape_hw: tuple[int, int], cells_hw: tuple[int, int]) -> np.ndarray:
    stride = map_stride(shape_hw, cells_hw)
    points = np.asarray(points_xy, np.float64).reshape(-1, 2)
    inside = ((points >= 0) & (points < shape_hw[::-1])).all(axis=1)
    column, row = (points[inside] // stride).astype(np.int64).T
    counts = np.bincount(row * cells_hw[1] + column, minlength=cells_hw[0] * cells_hw[1])
    return counts.reshape(cells_hw)


def _errors(pred: np.ndarray, gt: np.ndarray) -> np.ndarray:
    pred, gt = np.asarray(pred, np.float64), np.asarray(gt, np.float64)
    if pred.shape != gt.shape or pred.ndim != 1 or not len(pred):
        raise ValueError(f"{pred.shape} predicted and {gt.shape} annotated counts, expected as many, and at least one")
    return pred - gt


@METRICS.register_module()
class CrowdMetric(BaseMetric):
    """Counts against the number of annotated points (`num_points`, not the sum of a ground-truth map).

    Keys: `mae`, `mse` (the root, as the field writes it), `nae` (images with points), `game0` .. `game3`; and
    `mae_no_leak`, `mse_no_leak` without the images that the data set's `metainfo["leaked"]` names.

    Args:
        csv_path: file for the results of each image, replaced in one step after each evaluation.
        localisation: radii in pixels, such as `(4, 8)`, for `precision_4`, `recall_4`, `f1_4`, ...: of the points that
            `tasks.counting.locate` finds, against the annotated ones in the image, each in one pair at most that is no
            farther apart than the radius; over all images together. Experimental.
        collect_device, prefix, collect_dir: mmengine's.

    Attributes:
        per_image: after an evaluation, in the main process, a row (dict) for each image with the keys of `COLUMNS`:
            `error` is pred - gt, `game0` .. `game3` are the image's own; with `localisation` also `located` and
            `inside`, the numbers of points found and annotated inside, and `matched_4`, ..., of their pairs.
        intervals: after an evaluation, in the main process, the 95 % bootstrap intervals, over images, of `mae`, `mse`
            and `nae`. They say what other images of the kind would give, not what another training would.
    """

    default_prefix = ""
    figures = (
        *("mae", "mse", "nae", *(f"game{level}" for level in GAME_LEVELS), "mae_no_leak", "mse_no_leak"),
        *("precision_*", "recall_*", "f1_*"),
    )

    def __init__(
        self,
        csv_path: str | Path | None = None,
        localisation: Sequence[float] | float = (),
        collect_device: str = "cpu",
        prefix: str | None = None,
        collect_dir: str | None = None,
    ) -> None:
        super().__init__(collect_device, prefix, collect_dir)
        self.csv_path = csv_path
        self.radii = _radii(localisation)
        self.per_image: list[dict[str, Any]] = []
        self.intervals: dict[str, tuple[float, float]] = {}

    def process(self, data_batch: Any, data_samples: Sequence[dict[str, Any]]) -> None:
        """Takes predicted samples, as dicts, with `pred_density`, `pred_count`, `points`, `num_points`, `img_shape`."""
        for sample in data_samples:
            gt, pred = int(sample["num_points"]), float(sample["pred_count"])
            density, points = sample["pred_density"][0].cpu().numpy(), sample["points"].cpu().numpy()
            row = {"image_id": sample["image_id"], "img_path": sample["img_path"], "gt": gt, "pred": pred}
            row["error"] = pred - gt
            for level in GAME_LEVELS:
                row[f"game{level}"] = game(density, points, sample["img_shape"], level)
            if self.radii:
                row |= _located(density, points, sample["img_shape"], self.radii)
            self.results.append(row)

    def compute_metrics(self, results: list[dict[str, Any]]) -> dict[str, float]:
        """The metrics of all images; fills `per_image` and `intervals`, and writes the CSV."""
        leaked = set((self.dataset_meta or {}).get("leaked") or ())
        self.per_image = [{**row, "leaked": int(row["image_id"] in leaked)} for row in results]
        pred, gt, flag = (np.array([row[key] for row in self.per_image]) for key in ("pred", "gt", "leaked"))
        metrics = {"mae": mae(pred, gt), "mse": mse(pred, gt), "nae": nae(pred, gt)}
        self.intervals = _intervals(pred, gt)
        for level in GAME_LEVELS:
            metrics[f"game{level}"] = float(np.mean([row[f"game{level}"] for row in self.per_image]))
        metrics |= _localisation(self.per_image, self.radii)
        clean = flag == 0
        if leaked and clean.any():
            metrics["mae_no_leak"], metrics["mse_no_leak"] = mae(pred[clean], gt[clean]), mse(pred[clean], gt[clean])
        if self.csv_path is not None:
            write_atomically(self.csv_path, as_csv(self.per_image).encode())
        return metrics

    def worst(self, number: int = 10) -> list[dict[str, Any]]:
        """The rows of `per_image` with the largest absolute errors, the worst first."""
        return sorted(self.per_image, key=lambda row: -abs(row["error"]))[:number]


def _intervals(pred: np.ndarray, gt: np.ndarray) -> dict[str, tuple[float, float]]:
    error = np.abs(_errors(pred, gt))
    relative = np.divide(error, gt, where=gt > 0, out=np.full(len(error), np.nan))
    samples = {
        "mae": resampled(np.mean, error),
        "mse": np.sqrt(resampled(np.mean, np.square(error))),
        "nae": resampled(np.mean, relative[gt > 0]) if (gt > 0).any() else np.array([np.nan]),
    }
    return {name: percentile_interval(values) for name, values in samples.items()}


def as_csv(rows: Sequence[dict[str, Any]]) -> str:
    """Rows of `CrowdMetric.per_image` as CSV with a heading; no cell is a formula."""
    text = io.StringIO()
    more = [key for key in (rows[0] if rows else ()) if key not in COLUMNS]
    writer = csv.DictWriter(text, [*COLUMNS, *more], lineterminator="\n")
    writer.writeheader()
    writer.writerows({key: csv_cell(value) for key, value in row.items()} for row in rows)
    return text.getvalue()


# ---- localisation


def _radii(given: Sequence[float] | float) -> tuple[float, ...]:
    radii = tuple(given) if isinstance(given, Sequence) and not isinstance(given, str) else (given,)
    for radius in radii:
        if isinstance(radius, bool) or not isinstance(radius, (int, float)) or not 0 < radius < math.inf:
            raise UserInputError(f"CrowdMetric.localisation={given!r}: expected radii in pixels, such as (4, 8)")
    return radii


def _located(
    density_hw: np.ndarray, points_xy: np.ndarray, shape_hw: Sequence[int], radii: Sequence[float]
) -> dict[str, int]:
    height, width = shape_hw[:2]
    stride = map_stride((height, width), (density_hw.shape[0], density_hw.shape[1]))
    found = locate(density_hw, stride, shape_hw=(height, width))
    inside = points_xy[inside_mask(points_xy, (height, width))]
    counts = {"located": len(found), "inside": len(inside)}
    return counts | {f"matched_{radius:g}": matches(found, inside, radius) for radius in radii}


def _localisation(rows: Sequence[dict[str, Any]], radii: Sequence[float]) -> dict[str, float]:
    metrics: dict[str, float] = {}
    for radius in radii:
        counts = [(row[f"matched_{radius:g}"], row["located"], row["inside"]) for row in rows]
        metrics |= {f"{name}_{radius:g}": value for name, value in scores(counts).items()}
    return metrics

"""mIoU, mean class accuracy and pixel accuracy, as the field reports them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from mmengine.registry import METRICS
from mmseg.evaluation import IoUMetric
from torch import Tensor

from transfer.engine.inference import check_finite
from transfer.measure.statistics import percentile_interval, resampled

RESAMPLES = 1_000


@METRICS.register_module()
class SegmentationMetric(IoUMetric):
    """mmsegmentation's `IoUMetric` under this project's keys, with the figures of every class.

    Puts out `miou`, `macc` and `aacc` (all pixels) in percent, and `iou` and `acc`, each a dictionary of percent by
    class. Intersections and unions are summed over all images before they are divided. A class that is neither in
    the masks nor predicted has no IoU, one that is not in the masks no accuracy: NaN, left out of the means.

    Args:
        ignore_index: id of pixels that count for nothing.
        output_dir: folder to write predicted masks to.
        collect_device: where the results of several processes are gathered, `"cpu"` or `"gpu"`.
        collect_dir: folder for gathering on the CPU.
        prefix: put before the names, with a slash.

    Attributes:
        intervals: after an evaluation, the 95 % bootstrap intervals, over images, of `miou` and `aacc`. They say what
            other images of the kind would give, not what another training would.
    """

    figures = ("miou", "macc", "aacc")

    def __init__(
        self,
        ignore_index: int = 255,
        output_dir: str | None = None,
        collect_device: str = "cpu",
        collect_dir: str | None = None,
        prefix: str | None = None,
    ) -> None:
        super().__init__(ignore_index, output_dir=output_dir, collect_device=collect_device, prefix=prefix)
        self.collect_dir = collect_dir
        self.intervals: dict[str, tuple[float, float]] = {}

    def process(self, data_batch: Any, data_samples: Sequence[dict[str, Any]]) -> None:
        """Takes predicted samples as dicts; raises `RunError` for one whose scores are not finite."""
        for sample in data_samples:
            if "seg_logits" in sample:
                check_finite(sample["seg_logits"]["data"], sample.get("img_path"))
        super().process(data_batch, data_samples)

    def compute_metrics(self, results: Sequence[tuple[Tensor, Tensor, Tensor, Tensor]]) -> dict[str, Any]:
        """From areas (intersection, union, predicted, annotated), each (classes,) for one image, to the figures."""
        # In float64: counts in single precision go wrong beyond 2^24 pixels.
        areas = [torch.stack(parts).double().sum(0) for parts in zip(*results, strict=True)]
        figures = self.total_area_to_metrics(*areas)
        iou, accuracy = 100 * figures["IoU"], 100 * figures["Acc"]
        names = self.dataset_meta["classes"]
        self.intervals = _intervals(*(torch.stack(parts).double().numpy() for parts in zip(*results, strict=True)))
        return {
            "miou": _mean(iou),
            "macc": _mean(accuracy),
            "aacc": 100 * float(figures["aAcc"]),
            "iou": dict(zip(names, iou.tolist(), strict=True)),
            "acc": dict(zip(names, accuracy.tolist(), strict=True)),
        }


def _intervals(both: np.ndarray, either: np.ndarray, _: np.ndarray, true: np.ndarray) -> dict[str, tuple[float, float]]:
    """From areas (images, classes): of images drawn again with replacement, as `compute_metrics` sums them."""

    def statistic(figure: Callable[[np.ndarray, np.ndarray, np.ndarray], float]) -> Callable[..., np.ndarray]:
        def of(chosen: np.ndarray, axis: int) -> np.ndarray:
            sums = ([areas[row].sum(0) for areas in (both, either, true)] for row in np.atleast_2d(chosen))
            return np.array([figure(*three) for three in sums])

        return of

    figures = {"miou": lambda i, u, t: 100 * _mean(_ratio(i, u)), "aacc": lambda i, u, t: 100 * i.sum() / t.sum()}
    images = np.arange(len(both))
    return {
        name: percentile_interval(resampled(statistic(figure), images, resamples=RESAMPLES))
        for name, figure in figures.items()
    }


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.divide(part, whole, where=whole > 0, out=np.full(len(part), np.nan))


def _mean(values: np.ndarray) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else float("nan")


def class_table(metrics: dict[str, Any]) -> list[str]:
    """One line a class: name, IoU and accuracy in percent."""
    width = max(map(len, metrics["iou"]))
    lines = [f"{'class':<{width}}    IoU    acc"]
    for name, iou in metrics["iou"].items():
        lines.append(f"{name:<{width}} {_percent(iou)} {_percent(metrics['acc'][name])}")
    return lines


def _percent(value: float) -> str:
    return "     -" if np.isnan(value) else f"{value:6.2f}"

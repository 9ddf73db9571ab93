"""What a counting run leaves beside its numbers: density images, and what is usual among its training images."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.registry import HOOKS

from backbones.files import write_atomically
from tasks.counting.domain import describe, fit
from tasks.counting.structures import NOUN
from tasks.counting.targets import density_map
from tasks.counting.visualize import ImageArray, panels

DRAWN_SIGMA = 8.0
"""Width in pixels of the ground truth's points in images, where the pipeline made no density map."""


@HOOKS.register_module()
class DensityPictureHook(Hook):
    """Draws the first images of a validation or test: input, true density, predicted density, both counts.

    Those of a validation go to the visualizer (TensorBoard, files), those of a test to the work directory's `pictures`.

    Args:
        images: how many of each validation; 0 for none.
        test_images: how many of a test.
    """

    priority = "LOW"

    def __init__(self, images: int = 3, test_images: int = 0) -> None:
        self.images, self.test_images = images, test_images

    def before_val_epoch(self, runner: Any) -> None:
        self._left = self.images

    def before_test_epoch(self, runner: Any) -> None:
        self._left = self.test_images

    def after_val_iter(self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        for image_id, image in self._drawn(data_batch, outputs):
            runner.visualizer.add_image(f"val_{image_id}", image, step=runner.iter)

    def after_test_iter(self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        folder = Path(runner.work_dir) / "pictures"
        for image_id, image in self._drawn(data_batch, outputs):
            folder.mkdir(parents=True, exist_ok=True)
            _, png = cv2.imencode(".png", image[:, :, ::-1])
            write_atomically(folder / f"{image_id}.png", png.tobytes())

    def _drawn(self, data_batch: Any, outputs: Any) -> Iterator[tuple[str, ImageArray]]:
        if not self._left or not is_main_process():
            return
        for inputs, sample in list(zip(data_batch["inputs"], outputs, strict=True))[: self._left]:
            self._left -= 1
            yield str(sample.image_id).replace("/", "_"), draw_sample(inputs.permute(1, 2, 0).cpu().numpy(), sample)


@HOOKS.register_module()
class DomainHook(Hook):
    """Puts what is usual among the training images into each checkpoint, as `meta["domain"]`.

    By it `predict` tells images that the counter knows nothing of, see `tasks.counting.domain`.

    Args:
        images: how many of them are looked at, evenly spread, when the first checkpoint is written.
    """

    def __init__(self, images: int = 400) -> None:
        self.images = images
        self._domain: dict[str, Any] | None = None

    def after_load_checkpoint(self, runner: Any, checkpoint: dict[str, Any]) -> None:
        if runner._resume:  # of other checkpoints, the training images were others
            self._domain = checkpoint["meta"].get("domain")

    def before_save_checkpoint(self, runner: Any, checkpoint: dict[str, Any]) -> None:
        if self._domain is None:
            dataset = runner.train_dataloader.dataset
            chosen = np.unique(np.linspace(0, len(dataset) - 1, min(self.images, len(dataset))).round().astype(int))
            domain = fit([describe(dataset.sample(int(i)).image) for i in chosen])
            self._domain = domain.plain() if domain else {}
        checkpoint["meta"]["domain"] = self._domain


def draw_sample(image_HW3: ImageArray, sample: Any) -> ImageArray:
    """Draws a predicted `CrowdSample` over its uint8 RGB image, with its ground truth where it has one."""
    density = sample.pred_density[0].cpu().numpy()
    truth, points = None, None
    if "points" in sample:
        points = sample.num_points
        truth = _ground_truth(sample, image_HW3.shape[:2])
    return panels(
        image_HW3, density, sample.pred_count, truth, points, stride=sample.stride, noun=sample.get("noun", NOUN)
    )


def _ground_truth(sample: Any, shape_hw: tuple[int, int]) -> np.ndarray:
    if "density" in sample:
        return sample.density[0].cpu().numpy()
    return density_map(sample.points.cpu().numpy(), shape_hw, sample.stride, sigma=DRAWN_SIGMA)

"""Counting one image from Python."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope
from numpy.typing import NDArray

from tasks.counting.domain import Domain, read
from tasks.counting.image_results import check_finite, predict_array
from tasks.counting.locate import locate
from transfer.deploy import deploy as deployed_copy
from transfer.engine.config_check import scope_of
from transfer.engine.inference import checkpoint_meta, load_model

MAX_PIXELS = 3_000_000
"""Larger images are predicted in tiles where the config says nothing: without tiles, memory grows with the image."""


@dataclass(frozen=True, eq=False)
class Counted:
    """What a counter says of one image.

    Attributes:
        count: how many there are, the sum of `density`.
        density: (h, w) float32, how many per cell.
        stride: side of a cell in pixels; a cell may reach beyond the image's right and lower edge.
        size: (height, width) of the image.
        noun: what is counted, such as `"people"`.
        tiles: (rows, columns) that the image was predicted in, (1, 1) as a whole.
        novelty: how unlike the training images it is, from 0; above 1 the count is not to be trusted. None where the
            weights do not say what they were trained on.
    """

    count: float
    density: NDArray[np.float32]
    stride: int
    size: tuple[int, int]
    noun: str
    tiles: tuple[int, int] = (1, 1)
    novelty: float | None = None

    @cached_property
    def points(self) -> NDArray[np.float64]:
        """(N, 2) x and y in pixels of where they are, the surest first; experimental, see `tasks.counting.locate`."""
        return locate(self.density, self.stride, shape_hw=self.size)


@dataclass(frozen=True)
class Predictor:
    """A counter for evaluation, on its device, and what is usual among the images that it was trained on."""

    network: torch.nn.Module
    domain: Domain | None = None


def load(config: Config, checkpoint: str | Path, *, deploy: bool = False) -> Predictor:
    """The config's counter with a checkpoint's weights; with `deploy` its fused copy."""
    with DefaultScope.overwrite_default_scope(scope_of(config)):
        network: Any = load_model(config, checkpoint)
    if network.max_pixels is None:
        network.max_pixels = MAX_PIXELS
    domain = read(checkpoint_meta(checkpoint))
    return Predictor(deployed_copy(network) if deploy else network, domain)


def predict_image(predictor: Predictor, image_HW3: NDArray[np.uint8]) -> Counted:
    """Counts in one RGB image; raises `RunError` where the count is not finite."""
    sample = predict_array(predictor.network, image_HW3)
    check_finite(sample.pred_count, "image")
    height, width = image_HW3.shape[:2]
    rows, columns = sample.tiles
    return Counted(
        count=sample.pred_count,
        density=sample.pred_density[0].numpy(),
        stride=sample.stride,
        size=(height, width),
        noun=sample.noun,
        tiles=(rows, columns),
        novelty=predictor.domain and predictor.domain.novelty(image_HW3),
    )

"""Counting one image from Python."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope
from numpy.typing import NDArray

from tasks.counting.predict import predict_array
from transfer.deploy import deploy as deployed_copy
from transfer.engine.config_check import scope_of
from transfer.engine.inference import load_model


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
    """

    count: float
    density: NDArray[np.float32]
    stride: int
    size: tuple[int, int]
    noun: str
    tiles: tuple[int, int] = (1, 1)


@dataclass(frozen=True)
class Predictor:
    """A counter for evaluation, on its device."""

    network: torch.nn.Module


def load(config: Config, checkpoint: str | Path, *, deploy: bool = False) -> Predictor:
    """The config's counter with a checkpoint's weights; with `deploy` its fused copy."""
    with DefaultScope.overwrite_default_scope(scope_of(config)):
        network = load_model(config, checkpoint)
    return Predictor(deployed_copy(network) if deploy else network)


def predict_image(predictor: Predictor, image_HW3: NDArray[np.uint8]) -> Counted:
    """Counts in one RGB image."""
    sample = predict_array(predictor.network, image_HW3)
    height, width = image_HW3.shape[:2]
    rows, columns = sample.tiles
    return Counted(
        count=sample.pred_count,
        density=sample.pred_density[0].numpy(),
        stride=sample.stride,
        size=(height, width),
        noun=sample.noun,
        tiles=(rows, columns),
    )

"""Segmenting one image from Python."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import Compose
from mmengine.registry import DefaultScope
from numpy.typing import NDArray

from tasks.segmentation.predict import classes_of, pipelines_of, predict_loaded
from transfer.deploy import deploy as deployed_copy
from transfer.engine.inference import checkpoint_meta, load_model


@dataclass(frozen=True, eq=False)
class Segmented:
    """What a segmentor says of one image.

    Attributes:
        mask: (H, W) uint8, the class of each pixel.
        classes: names of the classes, by id.
        palette: colours (R, G, B) of the classes, by id.
        shares: of the image, 0 to 1, by name of the classes that are in it, the largest first.
    """

    mask: NDArray[np.uint8]
    classes: tuple[str, ...]
    palette: tuple[tuple[int, ...], ...]

    @property
    def shares(self) -> dict[str, float]:
        """See the class."""
        counts = np.bincount(self.mask.ravel(), minlength=len(self.classes))
        return {self.classes[i]: float(counts[i] / self.mask.size) for i in np.argsort(-counts) if counts[i]}


@dataclass(frozen=True)
class Predictor:
    """A segmentor for evaluation on its device, the steps that prepare its images, names and colours of its classes."""

    network: torch.nn.Module
    pipeline: Compose
    classes: tuple[str, ...]
    palette: tuple[tuple[int, ...], ...]


def load(config: Config, checkpoint: str | Path, *, deploy: bool = False) -> Predictor:
    """The config's segmentor with a checkpoint's weights; with `deploy` its fused copy.

    Raises:
        UserInputError: a checkpoint of another model, a config without a test pipeline.
    """
    with DefaultScope.overwrite_default_scope(config.get("default_scope") or "mmseg"):
        network = load_model(config, checkpoint)
        classes, palette = classes_of(config, checkpoint_meta(checkpoint), network.decode_head.num_classes)
        _, pipeline = pipelines_of(config)
    network = deployed_copy(network) if deploy else network
    return Predictor(network, pipeline, tuple(classes), tuple(tuple(colour) for colour in palette))


def predict_image(predictor: Predictor, image_HW3: NDArray[np.uint8]) -> Segmented:
    """Segments one RGB image; raises `RunError` where the network's output is not finite."""
    image_BGR = np.ascontiguousarray(image_HW3[..., ::-1])
    mask = predict_loaded(predictor.network, predictor.pipeline, image_BGR, where="image")
    return Segmented(mask, predictor.classes, predictor.palette)

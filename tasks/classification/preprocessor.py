"""From uint8 images of one size to a normalised batch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from mmengine.model import BaseDataPreprocessor
from mmengine.registry import MODELS

from backbones.errors import UserInputError


@MODELS.register_module()
class ClassificationPreprocessor(BaseDataPreprocessor):
    """Stacks a batch, moves it to the device in one piece, and normalises it there.

    Args:
        mean: per channel, for values in [0, 1]; `Classifier` fills in the card's.
        std: likewise.
        num_classes: labels must be below it; `Classifier` fills it in.

    Attributes:
        size: side in pixels that square images are scaled to (bilinear, antialiased); None leaves them as they are.
    """

    def __init__(self, mean: Sequence[float], std: Sequence[float], num_classes: int) -> None:
        super().__init__(non_blocking=True)
        if len(mean) != len(std) or not len(mean) or min(std) <= 0:
            raise UserInputError(
                f"data_preprocessor: mean={mean!r}, std={std!r}, expected as many positive std as means"
            )
        self.num_classes = num_classes
        self.size: int | None = None
        self.register_buffer("mean", torch.tensor(mean).view(-1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(-1, 1, 1), persistent=False)

    def forward(self, data: dict[str, Any], training: bool = False) -> dict[str, Any]:
        """Takes `inputs`, uint8 (C, H, W) each, and `labels`; returns float (N, C, H, W) and int64 (N,).

        Raises:
            UserInputError: images of other channels than the model's, labels that the model has no class for.
        """
        inputs, labels = torch.stack(list(data["inputs"])), torch.as_tensor(data["labels"])
        if inputs.shape[1] != len(self.mean):
            raise UserInputError(
                f"images have {inputs.shape[1]} channels, model.data_preprocessor.mean has {len(self.mean)} values: "
                "give mean, std and model.backbone.in_channels for these data"
            )
        if labels.max() >= self.num_classes:
            raise UserInputError(
                f"the data have a label {int(labels.max())}, model.num_classes={self.num_classes} allows 0 to "
                f"{self.num_classes - 1}"
            )
        moved = self.cast_data({"inputs": inputs, "labels": labels})
        pixels = moved["inputs"].float()
        if self.size is not None and self.size != pixels.shape[-1]:
            pixels = F.interpolate(pixels, (self.size, self.size), mode="bilinear", antialias=True)
        return {"inputs": (pixels / 255 - self.mean) / self.std, "labels": moved["labels"]}

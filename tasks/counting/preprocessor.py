"""From uint8 images to a padded, normalised batch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from mmengine.model import BaseDataPreprocessor
from mmengine.registry import MODELS
from torch import Tensor

from backbones.errors import UserInputError

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


@MODELS.register_module()
class CountingDataPreprocessor(BaseDataPreprocessor):
    """Normalises RGB images, pads them right and bottom with the mean colour, and stacks them.

    Args:
        mean: per channel, for values in [0, 1]; `CrowdCounter` fills in the card's.
        std: likewise.
        pad_divisor: sides are padded to a multiple of it; `CrowdCounter` fills in the head's stride.
    """

    def __init__(
        self, mean: Sequence[float] = IMAGENET_MEAN, std: Sequence[float] = IMAGENET_STD, pad_divisor: int = 1
    ) -> None:
        super().__init__(non_blocking=False)
        if pad_divisor < 1 or pad_divisor != int(pad_divisor):
            raise UserInputError(f"data_preprocessor.pad_divisor={pad_divisor}: expected a whole number of at least 1")
        if len(mean) != len(std) or min(std) <= 0:
            raise UserInputError(
                f"data_preprocessor: mean={mean!r}, std={std!r}, expected as many positive std as means"
            )
        self.pad_divisor = int(pad_divisor)
        self.register_buffer("mean", torch.tensor(mean).view(-1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(-1, 1, 1), persistent=False)

    def forward(self, data: dict[str, Any], training: bool = False) -> dict[str, Any]:
        """Takes `inputs`, uint8 (3, H, W) images as a list or stacked, and returns them as float (N, 3, H', W').

        `data_samples` are moved to the device along with them.
        """
        data = self.cast_data(data)
        images = [(image.float() / 255 - self.mean) / self.std for image in data["inputs"]]
        return {"inputs": self._stack(images), "data_samples": data.get("data_samples")}

    def _stack(self, images: list[Tensor]) -> Tensor:
        height, width = (self._rounded(max(p.shape[axis] for p in images)) for axis in (-2, -1))
        return torch.stack([F.pad(p, (0, width - p.shape[-1], 0, height - p.shape[-2])) for p in images])

    def _rounded(self, size: int) -> int:
        return -(-size // self.pad_divisor) * self.pad_divisor

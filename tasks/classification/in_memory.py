"""A data set that is held in memory: whole batches are cut out and augmented at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset

from backbones.errors import UserInputError, did_you_mean
from tasks.classification.augment import random_crop, random_flip, uniforms

AUGMENTATIONS = ("crop", "flip")
PADDING = 4


class ArrayDataset(Dataset):
    """Images and labels in memory.

    An item is `dict(inputs=uint8 (C, H, W), labels=int)`. An index that knows its epoch (`EpochIndex`) is augmented
    by (seed, epoch, index); any other as in epoch 0. torch's loader asks for whole batches (`__getitems__`), which
    gives the same items as one after the other.

    Args:
        pixels_NCHW: uint8.
        labels_N: class indices from 0.
        metainfo: what to call the data in results.
        augment: any of `"crop"` (4 pixels of padding, cut back at random) and `"flip"`, done in this order.
        seed: of the augmentation.

    Raises:
        UserInputError: unknown augmentation.
    """

    def __init__(
        self,
        pixels_NCHW: np.ndarray,
        labels_N: np.ndarray,
        metainfo: dict[str, Any],
        augment: Sequence[str] = (),
        seed: int = 0,
    ) -> None:
        self.pixels, self.labels, self.seed = np.ascontiguousarray(pixels_NCHW), labels_N, seed
        self.augment = check_augmentations(augment, AUGMENTATIONS)
        self.metainfo = {**metainfo, "images": len(labels_N), "augment": list(self.augment)}

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return self.__getitems__([index])[0]

    def __getitems__(self, indices: Sequence[int]) -> list[dict[str, Any]]:
        """The items of a batch; their images are views of one array."""
        at = np.array([int(index) for index in indices])
        pixels = self.pixels[at]
        if self.augment:
            epochs = np.array([getattr(index, "epoch", 0) for index in indices])
            # Always the same three draws, so that an image's flip does not depend on whether crops are on.
            draws = uniforms(self.seed, epochs, at, 3)
            if "crop" in self.augment:
                pixels = random_crop(pixels, draws[:, :2], PADDING)
            if "flip" in self.augment:
                pixels = random_flip(pixels, draws[:, 2])
        batch = torch.from_numpy(np.ascontiguousarray(pixels))
        return [
            {"inputs": image, "labels": label} for image, label in zip(batch, self.labels[at].tolist(), strict=True)
        ]


def check_augmentations(names: Sequence[str], known: Sequence[str]) -> tuple[str, ...]:
    """Returns the names as a tuple; raises `UserInputError` at one that is not known."""
    for name in names:
        if name not in known:
            raise UserInputError(
                f"dataset.augment: {name!r} is unknown, expected any of {', '.join(map(repr, known))}."
                f"{did_you_mean(name, known)}"
            )
    return tuple(names)

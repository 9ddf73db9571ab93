"""What travels through the counting task: a sample under augmentation, and the data sample that models see."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from mmengine.structures import BaseDataElement
from torch import Tensor

NOUN = "people"
"""What is counted, unless the model's `noun` says another plural."""


@dataclass
class Sample:
    """One image on its way through the transforms, which change it in place.

    Coordinates are continuous: pixel i covers [i, i + 1) and has its centre at i + 0.5.

    Attributes:
        image: (H, W, 3) uint8 RGB.
        points: (N, 2) float32 x and y of the points inside the image.
        sigma: (N,) float32, geometry-adaptive width of each point, from its neighbours in the whole image (a crop
            takes neighbours away, not the width that they gave), in pixels of `image`.
        image_id: name of the image within its data set.
        img_path: its file.
        ori_shape: (height, width) of the file's image, upright.
        outside: annotated points without a place in `image` that count all the same.
        density: (h, w) float32 people per cell, once a target transform ran.
        target_sigma: (N,) float32 widths that `density` was made with.
    """

    image: np.ndarray
    points: np.ndarray
    sigma: np.ndarray
    image_id: str = ""
    img_path: str = ""
    ori_shape: tuple[int, int] = (0, 0)
    outside: int = 0
    density: np.ndarray | None = None
    target_sigma: np.ndarray | None = None

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width) of `image`."""
        return self.image.shape[0], self.image.shape[1]


class CrowdSample(BaseDataElement):
    """Ground truth and prediction of one image.

    Attributes:
        points: (N, 2) float32 x and y of the points, in continuous pixel coordinates of the input image.
        density: (1, h, w) float32 people per cell of the ground truth, where the pipeline has a target transform.
        pred_density: (1, h, w) float32 people per cell at the head's stride, set by prediction.
        pred_count: people in the image, set by prediction.
        img_path, image_id: (metainfo) file and name of the image.
        ori_shape, img_shape: (metainfo) height and width of the file's and of the input image.
        num_points: (metainfo) annotated points; more than `len(points)` where points outside the image count.
        sigma: (metainfo) (N,) float32 widths that `density` was made with, or None.
        noun: (metainfo) what is counted, set by prediction.
    """

    points: Tensor
    density: Tensor
    pred_density: Tensor
    pred_count: float
    img_path: str
    image_id: str
    ori_shape: tuple[int, int]
    img_shape: tuple[int, int]
    num_points: int
    sigma: np.ndarray | None
    noun: str

"""How the cost of density targets and of predicting whole images grows."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
from mmengine.registry import MODELS

from tasks.counting.structures import CrowdSample
from tasks.counting.targets import adaptive_sigma, density_map
from transfer.benchmarks.scaling import Series
from transfer.measure.networks import settle
from transfer.measure.timed_models import Settings

BACKBONE = "resnet38_share_ean_se.standin"
HEADS = 500
"""In images of growing size."""

MAX_PIXELS = 2**20
"""An image larger than this is predicted in tiles, which bounds memory."""

_SHAPE = (768, 1024)


def counting_series(heads: Sequence[int], megapixels: Sequence[float], settings: Settings) -> list[Series]:
    """Maps and adaptive widths against heads; maps and predictions against megapixels.

    Args:
        heads: numbers of random heads in an image of 1024 x 768.
        megapixels: sizes of images, 4 by 3.
        settings: device and seed.
    """
    points = np.random.default_rng(settings.seed).random((max((*heads, HEADS)), 2))
    some = {count: points[:count] * _SHAPE[::-1] for count in heads}
    return [
        Series("density map", "heads", lambda n: lambda: density_map(some[int(n)], _SHAPE, 8, 8.0), heads),
        Series("adaptive widths", "heads", lambda n: lambda: adaptive_sigma(some[int(n)], _SHAPE), heads),
        Series(f"density map, {HEADS} heads", "megapixels", lambda mp: _map_of(points[:HEADS], mp), megapixels),
        Series("prediction, ResNet-38", "megapixels", _prediction(settings), megapixels),
    ]


def shape_of(megapixels: float) -> tuple[int, int]:
    """Height and width, 3 by 4, in whole cells of 8 pixels."""
    height = max(1, round(math.sqrt(megapixels * 1e6 * 3 / 4) / 8)) * 8
    return height, max(1, round(megapixels * 1e6 / height / 8)) * 8


def _map_of(fractions: np.ndarray, megapixels: float) -> Callable[[], object]:
    shape = shape_of(megapixels)
    points = fractions * shape[::-1]
    return lambda: density_map(points, shape, 8, 8.0)


def _prediction(settings: Settings) -> Callable[[float], Callable[[], object]]:
    torch.manual_seed(settings.seed)
    backbone = dict(type="RegisteredBackbone", name=BACKBONE, out_indices=(2,), stem_stride=2)
    head, loss = dict(type="DilatedHead", channels=(64, 64)), dict(type="DensityMSELoss")
    config = dict(backbone=backbone, head=head, loss=loss, channels_last=True, test_cfg=dict(max_pixels=MAX_PIXELS))
    model = MODELS.build(dict(type="CrowdCounter", **config)).to(settings.device)
    settle(model, torch.randn(2, 3, 64, 64, device=settings.device))

    def work(megapixels: float) -> Callable[[], object]:
        shape = shape_of(megapixels)
        image = torch.randint(0, 256, (3, *shape), dtype=torch.uint8)

        def predict() -> object:
            with torch.inference_mode():
                sample = CrowdSample(metainfo=dict(img_shape=shape, ori_shape=shape))
                return model.test_step(dict(inputs=[image], data_samples=[sample]))

        return predict

    return work

"""Time of a training step with `RegisteredBackbone` against mmsegmentation's own ResNet, in the same segmentor."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from mmengine.config import ConfigDict
from mmengine.registry import MODELS, DefaultScope
from mmengine.structures import PixelData

from transfer.measure.timing import CLOCKS, interleaved, paired_ratio, synchroniser


def compare_steps(
    *,
    batch: int = 2,
    size: int = 473,
    pairs: int = 30,
    warm_up: int = 3,
    head_channels: int = 512,
    device: str = "cpu",
    clock: str = "wall",
    seed: int = 0,
) -> dict[str, Any]:
    """Times forward, backward and SGD step of PSPNet on ResNet-50 at output stride 8, with either backbone.

    Both networks hold the same weights and see the same images. Steps alternate, and which comes first alternates as
    well, so that a machine's other load falls on both; what is compared is the ratio within each pair.

    Args:
        batch: images a step.
        size: their side in pixels.
        pairs: of steps that are timed.
        warm_up: pairs before them that are not.
        head_channels: of PSP's branches.
        device: torch's name of it.
        clock: `"wall"`, or `"cpu"` with one thread on a machine that is busy otherwise.
        seed: of weights, images and resampling.

    Returns:
        A row of the benchmark's JSON: `ms_per_image` (median), `increment_percent` against mmsegmentation's ResNet
        (from the median ratio), `ci95` of it, `ratio` and `ratio_ci95`.
    """
    torch.manual_seed(seed)
    models = [model.to(device).train() for model in build_pair(head_channels)]
    inputs, samples = random_batch(batch, size, device)
    steps = [_stepper(model, inputs, samples) for model in models]
    times = interleaved(steps, pairs, warm_up, synchronise=synchroniser(device), clock=CLOCKS[clock])
    ratio = paired_ratio(times[:, 0], times[:, 1], seed)
    return {
        "name": "resnet50.imagenet in EncoderDecoder",
        "mode": "train",
        "batch": batch,
        "size": size,
        "ms_per_image": 1000 * float(np.median(times[:, 0])) / batch,
        "against": "mmseg ResNet(style='pytorch', contract_dilation=True)",
        "increment_percent": ratio.percent.median,
        "ci95": [ratio.percent.low, ratio.percent.high],
        "ratio": ratio.median,
        "ratio_ci95": [ratio.low, ratio.high],
        "pairs": pairs,
        "clock": clock,
    }


def build_pair(head_channels: int = 512) -> tuple[torch.nn.Module, torch.nn.Module]:
    """The same segmentor on `RegisteredBackbone` and on mmsegmentation's ResNet, with the same weights."""
    ours = dict(type="RegisteredBackbone", name="resnet50.imagenet", out_indices=(2, 3), output_stride=8)
    theirs = dict(
        type="ResNet",
        depth=50,
        style="pytorch",
        contract_dilation=True,
        strides=(1, 2, 1, 1),
        dilations=(1, 1, 2, 4),
        out_indices=(2, 3),
    )
    with DefaultScope.overwrite_default_scope("mmseg"):
        first, second = (MODELS.build(_segmentor(backbone, head_channels)) for backbone in (ours, theirs))
    second.load_state_dict(first.state_dict())
    return first, second


def _segmentor(backbone: dict[str, Any], channels: int) -> dict[str, Any]:
    common = dict(num_classes=21, norm_cfg=dict(type="BN"), align_corners=False, dropout_ratio=0.0)
    loss = dict(type="CrossEntropyLoss", avg_non_ignore=True)
    return dict(
        type="EncoderDecoder",
        backbone=backbone,
        decode_head=dict(type="PSPHead", in_channels=2048, in_index=1, channels=channels, loss_decode=loss, **common),
        auxiliary_head=dict(
            type="FCNHead",
            in_channels=1024,
            in_index=0,
            channels=channels // 2,
            num_convs=1,
            concat_input=False,
            loss_decode=dict(loss_weight=0.4, **loss),
            **common,
        ),
        test_cfg=ConfigDict(mode="whole"),
    )


def random_batch(batch: int, size: int, device: str) -> tuple[torch.Tensor, list[Any]]:
    """Noise images (batch, 3, size, size), and samples with random masks of 21 classes."""
    from mmseg.structures import SegDataSample

    samples = []
    for _ in range(batch):
        sample = SegDataSample(metainfo=dict(img_shape=(size, size), ori_shape=(size, size)))
        sample.gt_sem_seg = PixelData(data=torch.randint(0, 21, (1, size, size), device=device))
        samples.append(sample)
    return torch.randn(batch, 3, size, size, device=device), samples


def _stepper(model: torch.nn.Module, inputs: torch.Tensor, samples: list[Any]) -> Callable[[], None]:
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-4, momentum=0.9)

    def step() -> None:
        losses = model(inputs, samples, mode="loss")
        optimizer.zero_grad()
        sum(value for key, value in losses.items() if "loss" in key).backward()
        optimizer.step()

    return step

"""What a segmentation run has beside the engine's own: checks before it starts, the table of classes, the curve."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mmengine.dist import get_world_size, is_main_process
from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from torch import nn
from torch.nn.modules.batchnorm import SyncBatchNorm, _BatchNorm

from backbones.errors import UserInputError
from tasks.segmentation.agreement import agree
from tasks.segmentation.metric import class_table
from transfer.engine.checkpoint import bare
from transfer.engine.curve import CurvePictureHook


@HOOKS.register_module()
class SegmentationChecksHook(Hook):
    """Refuses, before the first image is read, what would fail or mislead on the way.

    Raises:
        UserInputError: two ignored ids or lists of classes; a batch of one image for a head that normalises over 1x1
            maps; a crop smaller than the backbone's stride.
    """

    priority = "VERY_HIGH"

    def before_run(self, runner: Any) -> None:
        agree(runner.cfg)  # for runs by mmsegmentation's own commands; ours have settled it before the model was built
        model = bare(runner.model)
        training = getattr(runner._train_loop, "dataloader", None)
        if training is not None:
            check_batch(model, training.batch_size)
            check_crop(model, training.dataset)


@HOOKS.register_module()
class ClassTableHook(Hook):
    """Prints IoU and accuracy of every class after a test."""

    def after_test_epoch(self, runner: Any, metrics: dict[str, Any] | None = None) -> None:
        if metrics and "iou" in metrics and is_main_process():
            print("\n".join(class_table(metrics)), flush=True)


@HOOKS.register_module()
class SegmentationCurveHook(CurvePictureHook):
    """Draws `curve.png` with the validations' mIoU."""

    def __init__(self) -> None:
        super().__init__("miou", "validation mIoU (%)", errors=False)


def heads_of(model: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """The decode head and the auxiliary heads of a segmentor, by their config keys."""
    for key in ("decode_head", "auxiliary_head"):
        found = getattr(model, key, None)
        parts = list(found) if isinstance(found, nn.ModuleList) else [found]
        yield from ((f"model.{key}", head) for head in parts if head is not None)


def check_batch(model: nn.Module, batch_size: int) -> None:
    """Raises `UserInputError` where a head pools to 1x1 and normalises the one value that a batch of one leaves."""
    if batch_size > 1:
        return
    for key, head in heads_of(model):
        if any(_normalises_one_value(module) for module in head.modules()):
            raise UserInputError(
                f"config key train_dataloader.batch_size={batch_size}: {type(head).__name__} ({key}) normalises maps "
                "of 1x1 over the batch, expected 2 or more pictures a step"
            )


def _normalises_one_value(module: nn.Module) -> bool:
    if not isinstance(module, nn.Sequential) or not len(module) or not isinstance(module[0], nn.AdaptiveAvgPool2d):
        return False
    synchronised = get_world_size() > 1
    norms = [m for m in module.modules() if isinstance(m, _BatchNorm)]
    return module[0].output_size in (1, (1, 1)) and any(
        not (synchronised and isinstance(norm, SyncBatchNorm)) for norm in norms
    )


def check_crop(model: nn.Module, dataset: Any) -> None:
    """Raises `UserInputError` where training crops are smaller than the stride of the backbone's last feature."""
    features = getattr(getattr(model, "backbone", None), "feature_info", None)
    if not features:
        return
    stride = max(feature.stride for feature in features)
    for transform in getattr(getattr(dataset, "pipeline", None), "transforms", ()):
        size = getattr(transform, "crop_size", None)
        if size is not None and min(size) < stride:
            raise UserInputError(
                f"train_dataloader.dataset.pipeline: {type(transform).__name__}.crop_size={tuple(size)} is smaller "
                f"than the backbone's stride {stride}, expected at least {stride} pixels a side"
            )

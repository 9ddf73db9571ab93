"""Training on small images first: the side that images are scaled to grows as training goes on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mmengine.hooks import Hook
from mmengine.registry import HOOKS

from backbones.errors import UserInputError


@HOOKS.register_module()
class ImageSizeHook(Hook):
    """Progressive resizing (as EfficientNetV2, ICML 2021, Section 4.2, without its growing augmentation).

    The size follows from the iteration alone, so a resumed training sees the sizes that it would have seen. Validation
    and tests see images as the data set gives them.

    Args:
        sizes: pairs of an iteration, counted from 0, and the side in pixels from there on.

    Raises:
        UserInputError: pairs that do not begin with iteration 0 or do not ascend, a size below 1, a model whose
            preprocessor does not scale.
    """

    priority = "HIGH"

    def __init__(self, sizes: Sequence[Sequence[int]]) -> None:
        self.sizes = [(int(start), int(size)) for start, size in sizes]
        starts = [start for start, _ in self.sizes]
        if not starts or starts[0] != 0 or starts != sorted(set(starts)) or min(size for _, size in self.sizes) < 1:
            raise UserInputError(
                f"ImageSizeHook.sizes={list(sizes)!r}: expected (iteration, pixels), ascending from iteration 0, such "
                "as [(0, 32), (1250, 64)]"
            )

    def before_train(self, runner: Any) -> None:
        """Finds the preprocessor."""
        model = runner.model.module if hasattr(runner.model, "module") else runner.model
        self.preprocessor = model.data_preprocessor
        if not hasattr(self.preprocessor, "size"):
            raise UserInputError(
                f"ImageSizeHook: {type(self.preprocessor).__name__} does not scale images, expected a Classifier's "
                "ClassificationPreprocessor"
            )

    def before_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        """The size of this iteration."""
        self.preprocessor.size = next(size for start, size in reversed(self.sizes) if start <= runner.iter)

    def before_val(self, runner: Any) -> None:
        """Images as they are."""
        if hasattr(self, "preprocessor"):
            self.preprocessor.size = None

    def after_train(self, runner: Any) -> None:
        """Images as they are."""
        self.preprocessor.size = None

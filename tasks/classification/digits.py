"""scikit-learn's handwritten digits: 1,797 images of 8 x 8 that come with the package, for trials and tests."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from mmengine.registry import DATASETS

from backbones.errors import UserInputError
from tasks.classification.in_memory import ArrayDataset
from tasks.classification.splits import balanced_subset, check_split, held_out, ranks_in_class


@DATASETS.register_module()
class Digits(ArrayDataset):
    """Grey images (1, 8, 8), ten classes of about 180.

    Args:
        split: `"train"`, `"val"`, `"trainval"` or `"test"`.
        val_per_class: size of D_val, images a class.
        test_per_class: size of the test set, images a class; it is the same whatever `val_per_class`.
        val_seed: chooses both, and the images of a subset.
        images: take a class-balanced subset of this size only.
        augment: any of `"crop"` and `"flip"`; neither suits digits.
        seed: of the augmentation.

    Raises:
        UserInputError: scikit-learn is not installed, an argument that does not fit.
    """

    def __init__(
        self,
        split: str = "train",
        val_per_class: int = 50,
        test_per_class: int = 50,
        val_seed: int = 0,
        images: int | None = None,
        augment: Sequence[str] = (),
        seed: int = 0,
    ) -> None:
        check_split(split)
        try:
            from sklearn.datasets import load_digits
        except ImportError as error:
            raise UserInputError("dataset Digits needs scikit-learn: pip install scikit-learn") from error
        found = load_digits()
        labels = found.target.astype(np.int64)
        pixels = np.rint(found.images[:, None] * (255 / 16)).astype(np.uint8)
        in_test = ranks_in_class(labels, val_seed) < test_per_class
        if not 1 <= test_per_class < np.bincount(labels).min():
            raise UserInputError(
                f"dataset.test_per_class={test_per_class}: expected 1 to {np.bincount(labels).min() - 1}"
            )
        chosen = np.flatnonzero(in_test == (split == "test"))
        if split != "test":
            chosen = chosen[held_out(labels[chosen], split, val_per_class, val_seed)]
        chosen = chosen[balanced_subset(labels[chosen], images, val_seed)]
        metainfo = {"name": "digits", "split": split, "num_classes": 10, "val_seed": val_seed}
        super().__init__(pixels[chosen], labels[chosen], metainfo, augment, seed)

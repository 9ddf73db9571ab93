"""Which images are D_train and D_val: D_val, on which schemes are searched, is held out of the training set."""

from __future__ import annotations

import numpy as np

from backbones.errors import UserInputError

SPLITS = ("train", "val", "trainval", "test")
"""D_train, D_val, both together (stand-alone training), and the official test images."""


def check_split(split: str) -> str:
    """Returns `split`; raises `UserInputError` if there is none of that name."""
    if split not in SPLITS:
        raise UserInputError(f"dataset.split={split!r}: expected one of {', '.join(map(repr, SPLITS))}")
    return split


def ranks_in_class(labels_N: np.ndarray, seed: int | None) -> np.ndarray:
    """Numbers the images of each class 0, 1, 2, ... in an order drawn from `seed`, as they come with None.

    >>> ranks_in_class(np.array([7, 5, 7, 5, 5]), None)
    array([0, 0, 1, 1, 2])
    """
    count = len(labels_N)
    order = np.arange(count) if seed is None else np.random.default_rng(seed).permutation(count)
    by_class = order[np.argsort(labels_N[order], kind="stable")]
    ordered = labels_N[by_class]
    ranks = np.empty(count, dtype=np.int64)
    ranks[by_class] = np.arange(count) - np.searchsorted(ordered, ordered)
    return ranks


def held_out(labels_N: np.ndarray, split: str, per_class: int, seed: int | None) -> np.ndarray:
    """Indices, ascending, of a part of the training set.

    Args:
        labels_N: labels of the whole training set.
        split: `"val"`: `per_class` images of each class; `"train"`: the others; `"trainval"`: all.
        per_class: size of D_val in images a class.
        seed: chooses them; None takes the first of each class.

    Raises:
        UserInputError: a class that has no image left for training.
    """
    if split == "trainval":
        return np.arange(len(labels_N))
    smallest = int(np.unique(labels_N, return_counts=True)[1].min())
    if not 1 <= per_class < smallest:
        raise UserInputError(
            f"dataset.val_per_class={per_class}: expected 1 to {smallest - 1}, the smallest class has {smallest} images"
        )
    in_val = ranks_in_class(labels_N, seed) < per_class
    return np.flatnonzero(in_val if split == "val" else ~in_val)


def balanced_subset(labels_N: np.ndarray, images: int | None, seed: int | None) -> np.ndarray:
    """Indices, ascending, of `images` images with as equal a number of each class as there can be; None takes all.

    Of two sizes, the smaller subset is a part of the larger.
    """
    if images is None:
        return np.arange(len(labels_N))
    if not 1 <= images <= len(labels_N):
        raise UserInputError(f"dataset.images={images}: expected 1 to {len(labels_N)}, the size of the split")
    order = np.lexsort((labels_N, ranks_in_class(labels_N, seed)))
    return np.sort(order[:images])

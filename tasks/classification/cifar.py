"""CIFAR-100 (Krizhevsky, 2009) from its official pickles, which are read without running what they may contain."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.registry import DATASETS

from backbones.errors import UserInputError
from tasks.classification.in_memory import ArrayDataset
from tasks.classification.splits import balanced_subset, check_split, held_out
from transfer.engine.data import find_data

CLASSES = 100
_FINE = """
apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus butterfly camel can castle
caterpillar cattle chair chimpanzee clock cloud cockroach couch crab crocodile cup dinosaur dolphin elephant flatfish
forest fox girl hamster house kangaroo keyboard lamp lawn_mower leopard lion lizard lobster man maple_tree motorcycle
mountain mouse mushroom oak_tree orange orchid otter palm_tree pear pickup_truck pine_tree plain plate poppy porcupine
possum rabbit raccoon ray road rocket rose sea seal shark shrew skunk skyscraper snail snake spider squirrel streetcar
sunflower sweet_pepper table tank telephone television tiger tractor train trout tulip turtle wardrobe whale willow_tree
wolf woman worm
"""
FINE_LABELS = tuple(_FINE.split())
"""Names of the fine classes in the order of their numbers, for where the data are not at hand."""


def _latin1(text: str, encoding: str) -> bytes:
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"bytes encoded as {encoding!r}")
    return text.encode("latin1")


def _array(kind: type, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    if kind is not np.ndarray:
        raise pickle.UnpicklingError(f"an array of type {kind!r}")
    return np.empty(0, dtype="u1")  # shape, type and content come with the array's own state, which follows


def _from_buffer(buffer: Any, dtype: np.dtype, shape: tuple[int, ...], order: str) -> np.ndarray:
    return np.frombuffer(buffer, dtype=dtype).reshape(shape, order=order)


# Everything that an array needs in the pickles of Python 2 and 3, numpy 1 and 2; nothing here can do anything else.
_ALLOWED: dict[tuple[str, str], Callable[..., Any]] = {
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    ("_codecs", "encode"): _latin1,
    **{(f"numpy.{core}.multiarray", "_reconstruct"): _array for core in ("core", "_core")},
    **{(f"numpy.{core}.numeric", "_frombuffer"): _from_buffer for core in ("core", "_core")},
}


class _ArrayUnpickler(pickle.Unpickler):
    """Builds containers, numbers, strings and arrays, and refuses every other name."""

    def find_class(self, module: str, name: str) -> Any:
        try:
            return _ALLOWED[module, name]
        except KeyError:
            raise pickle.UnpicklingError(f"{module}.{name}") from None


def read_pickle(path: Path) -> dict[str, Any]:
    """Reads one of the official files; keys are strings.

    Raises:
        UserInputError: missing, broken, or asking for anything but arrays and plain values.
    """
    if not path.is_file():
        raise UserInputError(f"{path}: no such file, expected the official cifar-100-python/{{train,test,meta}}")
    try:
        with open(path, "rb") as file:
            content = _ArrayUnpickler(file, encoding="latin1").load()
    except Exception as error:  # a broken pickle may raise anything
        raise UserInputError(
            f"{path}: not a pickle of arrays and plain values ({type(error).__name__}: {error}), expected an official "
            "file of CIFAR-100; unpack it anew"
        ) from error
    if not isinstance(content, dict):
        raise UserInputError(
            f"{path}: holds a {type(content).__name__}, expected the dict of an official file; unpack it anew"
        )
    return content


def read_cifar100(folder: Path, part: str) -> tuple[np.ndarray, np.ndarray]:
    """Pixels (N, 3, 32, 32) uint8 and fine labels (N,) of `part`, `"train"` or `"test"`.

    Raises:
        UserInputError: as `read_pickle`; sizes that are not CIFAR-100's.
    """
    path = folder / part
    content = read_pickle(path)
    try:
        pixels, labels = np.asarray(content["data"]), np.asarray(content["fine_labels"])
    except ValueError as error:
        raise UserInputError(f"{path}: {error}, expected arrays of equal rows; unpack it anew") from error
    except KeyError as error:
        raise UserInputError(
            f"{path}: has no key {error}, expected 'data' and 'fine_labels' (CIFAR-100); unpack it anew"
        ) from error
    if (
        pixels.dtype != np.uint8
        or pixels.ndim != 2
        or pixels.shape[1] != 3 * 32 * 32
        or labels.shape != pixels.shape[:1]
    ):
        raise UserInputError(
            f"{path}: holds {pixels.dtype} pixels {pixels.shape} and labels {labels.shape}, expected uint8 (N, 3072), "
            "N; "
            "unpack it anew"
        )
    if not len(labels) or labels.dtype.kind not in "iu" or labels.min() < 0 or labels.max() >= CLASSES:
        raise UserInputError(
            f"{path}: fine_labels are not whole numbers from 0 to {CLASSES - 1}, as expected; unpack it anew"
        )
    return pixels.reshape(-1, 3, 32, 32), labels.astype(np.int64)


@DATASETS.register_module()
class Cifar100(ArrayDataset):
    """CIFAR-100: 50,000 training images, 100 a class of which are D_val, and 10,000 test images.

    Args:
        data_root: folder of `train`, `test` and `meta`, looked for as `find_data` does.
        split: `"train"` (D_train), `"val"` (D_val), `"trainval"` or `"test"`.
        val_per_class: size of D_val, images a class.
        val_seed: chooses D_val, and the images of a subset.
        images: take a class-balanced subset of this size only.
        augment: any of `"crop"` and `"flip"`.
        seed: of the augmentation.

    Attributes:
        classes: names of the fine classes.

    Raises:
        UserInputError: files missing or broken, an argument that does not fit.
    """

    def __init__(
        self,
        data_root: str = "cifar-100-python",
        split: str = "train",
        val_per_class: int = 100,
        val_seed: int = 0,
        images: int | None = None,
        augment: Sequence[str] = (),
        seed: int = 0,
    ) -> None:
        check_split(split)
        folder = find_data(data_root)
        pixels, labels = read_cifar100(folder, "test" if split == "test" else "train")
        self.classes = tuple(read_pickle(folder / "meta").get("fine_label_names", ()))
        if len(self.classes) != CLASSES:
            raise UserInputError(f"{folder / 'meta'}: expected {CLASSES} fine_label_names, found {len(self.classes)}")
        chosen = np.arange(len(labels)) if split == "test" else held_out(labels, split, val_per_class, val_seed)
        chosen = chosen[balanced_subset(labels[chosen], images, val_seed)]
        metainfo = {"name": "cifar100", "split": split, "num_classes": CLASSES, "val_seed": val_seed}
        super().__init__(pixels[chosen], labels[chosen], metainfo, augment, seed)

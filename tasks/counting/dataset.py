"""The data set of crowd counting: images and points, through a pipeline that depends on (seed, epoch, index) only."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from mmengine.registry import DATASETS, TRANSFORMS
from torch.utils.data import Dataset, get_worker_info

from backbones.errors import UserInputError, did_you_mean
from tasks.counting.layouts import Entry, Layout, find_source, get_layout, official_splits, select
from tasks.counting.structures import Sample
from tasks.counting.targets import adaptive_sigma, inside_mask
from tasks.counting.transforms import keep_inside
from transfer.engine.images import image_shape, read_image

Transform = Callable[[Sample, np.random.Generator], Any]
OUTSIDE = ("drop", "count")

# A click on the image's edge may land half a pixel off it: all 17 such points of ShanghaiTech A's 2016 release, from
# which points outside the images were removed, have MATLAB coordinates between 0 and 0.5.
BORDER = 0.5


@dataclass(frozen=True)
class _Record:
    """What is known of an image before it is decoded: `points` are those inside, `outside` is how many are not."""

    entry: Entry
    shape: tuple[int, int]
    points: np.ndarray
    sigma: np.ndarray
    outside: int


@DATASETS.register_module()
class CrowdDataset(Dataset):
    """Images of crowds with the points in them.

    Points are read and checked, and all images' headers opened, when the data set is built; an image is decoded when
    its item is asked for. Points up to half a pixel beyond the border are moved onto it; those further out are outside.

    Args:
        data_root: folder of the data set, such as `ShanghaiTech/part_A`; looked for as it stands, under `data/`, and in
            the folder that `TRANSFER_DATA` names. `part_A_final` (2015) stands in for `part_A` (2016), and the reverse.
        split: `"train"`, `"val"`, `"test"` or `"all"`. Where the data set has no official val, it is a part of the
            training images.
        layout: one of `tasks.counting.layouts.list_layouts()`.
        pipeline: transforms by their registered names; the last one is `PackCrowd`.
        val_ratio: share of the training images that `val` takes, rounded to whole images; None for a tenth.
        val_seed: seed of that draw.
        val_list: text file with the names of the validation images, instead of a draw.
        indices: keep the first so many images of the split, or those at these places; for quick trials.
        fold: test fold of a data set with cross-validation, such as UCF_CC_50's 0 to 4.
        outside: points outside the image are dropped, or count as annotated (`num_points`) without having mass.
        seed: seed of the pipeline's randomness.
        test_mode: the pipeline's randomness is that of epoch 0 in every epoch.
        cache_images: decode all images at once and keep them in memory (part A: about 300 MB); workers that are
            forked share them.

    An item is `dict(inputs=..., data_samples=...)`, see `PackCrowd`. Its randomness is a function of `seed`, index and,
    for an index that has an `epoch` (`EpochIndex`), the epoch, whatever the number of workers.

    Raises:
        UserInputError: an argument is wrong, data are missing, or a file cannot be used; nothing is ever left out.
    """

    def __init__(
        self,
        data_root: str | Path,
        split: str = "train",
        layout: str = "shanghaitech",
        pipeline: Sequence[dict[str, Any] | Transform] = ({"type": "PackCrowd"},),
        val_ratio: float | None = None,
        val_seed: int = 0,
        val_list: str | Path | None = None,
        indices: int | Sequence[int] | None = None,
        fold: int = 0,
        outside: str = "drop",
        seed: int = 0,
        test_mode: bool = False,
        cache_images: bool = False,
    ) -> None:
        if outside not in OUTSIDE:
            raise UserInputError(f"outside={outside!r}: expected 'drop' or 'count'.{did_you_mean(outside, OUTSIDE)}")
        self.pipeline = [_build(transform) for transform in pipeline]
        self.seed, self.test_mode = int(seed), test_mode
        source, chosen = find_source(data_root, layout), get_layout(layout)
        held_out = {"val_ratio": val_ratio, "val_seed": val_seed, "val_list": val_list}
        entries = select(source, split, fold=fold, indices=indices, **held_out)
        # The whole official split tells the release, of which a validation part may have too few images.
        official = [entry for part in official_splits(source, split, fold).values() for entry in part.entries]
        read = {entry.image: _read(entry, chosen) for entry in official}
        self.entries = entries
        self._records = [read[entry.image] for entry in entries]
        self._counts_outside = outside == "count"
        self._metainfo = {
            "name": source.name,
            "part": source.part,
            "release": source.release_of(any(record.outside for record in read.values())),
            "split": split,
            "fold": fold if source.folds else None,
            "indices": indices if indices is None or isinstance(indices, int) else list(indices),
            "images": len(entries),
            "heads": sum(self.num_points(i) for i in range(len(entries))),
            "outside": sum(record.outside for record in self._records),
            "outside_heads": outside,
            "leaked": _leaked(source.leaked.get(split, ()), entries),
        }
        self._images = [read_image(entry.image) for entry in entries] if cache_images else None

    @property
    def metainfo(self) -> dict[str, Any]:
        """What tells results apart.

        `name`, `part`, `release`, `split`, `fold`, `indices`, `images`; `heads`, all that count; `outside`, heads
        outside the images, and `outside_heads`, whether they count; `leaked`, ids of test images that are also in
        train.
        """
        return dict(self._metainfo)

    def __len__(self) -> int:
        return len(self._records)

    def num_points(self, index: int) -> int:
        """Annotated points of an image, by the option `outside`."""
        record = self._records[index]
        return len(record.points) + (record.outside if self._counts_outside else 0)

    def sample(self, index: int) -> Sample:
        """The image and its points before any transform."""
        record, entry = self._records[index], self.entries[index]
        image = read_image(entry.image) if self._images is None else self._images[index]
        return Sample(
            image=image,
            points=record.points,
            sigma=record.sigma,
            image_id=entry.image_id,
            img_path=str(entry.image),
            ori_shape=record.shape,
            outside=record.outside if self._counts_outside else 0,
        )

    def __getitem__(self, index: int) -> Any:
        if get_worker_info() is not None:
            cv2.setNumThreads(0)  # a pool of threads in each worker would fight over the cores
        epoch = 0 if self.test_mode else getattr(index, "epoch", 0)
        position = range(len(self))[index]
        rng = np.random.default_rng(np.random.SeedSequence((self.seed, epoch, position)))
        item: Any = self.sample(position)
        for transform in self.pipeline:
            item = transform(item, rng)
        return item


def _build(transform: dict[str, Any] | Transform) -> Transform:
    if callable(transform):
        return transform
    name = transform.get("type") if isinstance(transform, dict) else None
    if isinstance(name, str) and TRANSFORMS.get(name) is None:
        near = did_you_mean(name, TRANSFORMS.module_dict)
        raise UserInputError(f"pipeline: transform {name!r} is unknown, expected a registered name.{near}")
    try:
        return TRANSFORMS.build(transform)
    except UserInputError:
        raise
    except (TypeError, KeyError, ValueError) as error:
        raise UserInputError(f"pipeline: {transform!r} cannot be built: {error}") from error


def _read(entry: Entry, layout: Layout) -> _Record:
    shape = image_shape(entry.image)
    kept, outside = settled(layout.read(entry), shape)
    sigma = adaptive_sigma(kept, shape).astype(np.float32)
    return _Record(entry, shape, kept, sigma, outside)


def settled(points_xy: np.ndarray, shape_hw: tuple[int, int]) -> tuple[np.ndarray, int]:
    """Moves points up to `BORDER` pixels beyond the border onto it; returns those inside, and how many are not."""
    height, width = shape_hw
    near = ((points_xy >= -BORDER) & (points_xy <= (width + BORDER, height + BORDER))).all(axis=1)
    kept = keep_inside(points_xy[near], shape_hw)
    assert inside_mask(kept, shape_hw).all()
    return kept, int((~near).sum())


def _leaked(known: Sequence[str], entries: Sequence[Entry]) -> list[str]:
    ids = {entry.image_id for entry in entries}
    return [image_id for image_id in known if image_id in ids]

"""Folders of images and masks, read by mmsegmentation's transforms as a function of (seed, epoch, index) only."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.registry import DATASETS
from mmseg.datasets import BaseSegDataset, PascalVOCDataset

from backbones.errors import UserInputError, did_you_mean
from transfer.engine.data import find_data

LIST = "ImageSets/Segmentation/train.txt"
PREFIX = {"img_path": "JPEGImages", "seg_map_path": "SegmentationClass"}
VOC_CLASSES: tuple[str, ...] = tuple(PascalVOCDataset.METAINFO["classes"])
VOC_PALETTE: tuple[tuple[int, ...], ...] = tuple(map(tuple, PascalVOCDataset.METAINFO["palette"]))


@DATASETS.register_module()
class VOCLayoutDataset(BaseSegDataset):
    """Images, masks of class ids and a list of names, by default laid out as in VOCdevkit/VOC2012.

    All files that the list names must be there when the data set is built. `LoadPicture` and `LoadMask` refuse what is
    broken when a sample is read; no sample ever stands in for another. mmsegmentation's transforms draw from global
    generators, which are seeded from `seed`, epoch and index around each sample and put back afterwards.

    Args:
        data_root: folder of the data set, looked for as it stands, under `data/`, and where `TRANSFER_DATA` says.
        ann_file: list of names, one a line, relative to `data_root`; None or empty: all images in the folder of images
            and below it, by name.
        data_prefix: folders of images (`img_path`) and masks (`seg_map_path`), relative to `data_root`.
        img_suffix: what follows a name in the files of images.
        seg_map_suffix: likewise of masks.
        metainfo: `classes` (names, by id) and `palette` (RGB, by id; default mmsegmentation's random colours), default
            those of VOC.
        pipeline: transforms by their registered names.
        indices: keep the first so many names only, or these positions of the list.
        ignore_index: id of pixels that count for nothing. The config's other places for it (heads, losses, metrics,
            padding) follow, see `tasks.segmentation.agreement`.
        seed: of the pipeline's randomness.
        test_mode: the randomness is that of epoch 0 in every epoch.

    Raises:
        UserInputError: a list, image or mask is missing, or `metainfo` does not fit together.
    """

    def __init__(
        self,
        data_root: str | Path,
        ann_file: str | None = LIST,
        data_prefix: Mapping[str, str] | None = None,
        img_suffix: str = ".jpg",
        seg_map_suffix: str = ".png",
        metainfo: Mapping[str, Any] | None = None,
        pipeline: Sequence[dict[str, Any] | Callable] = (),
        indices: int | Sequence[int] | None = None,
        ignore_index: int = 255,
        seed: int = 0,
        test_mode: bool = False,
    ) -> None:
        self.seed = int(seed)
        self.masks_needed = not test_mode or any(_loads_masks(transform) for transform in pipeline)
        super().__init__(
            ann_file=ann_file or "",
            img_suffix=img_suffix,
            seg_map_suffix=seg_map_suffix,
            metainfo=read_metainfo(metainfo),
            data_root=str(find_data(data_root)),
            data_prefix={**PREFIX, **(data_prefix or {})},
            indices=indices,
            pipeline=list(pipeline),
            test_mode=test_mode,
            ignore_index=checked_id(ignore_index),
        )
        images, masks = (Path(self.data_prefix[key]).name for key in ("img_path", "seg_map_path"))
        listed = Path(ann_file).name if ann_file else f"{images}/*{img_suffix}"
        self._metainfo.update(name=Path(data_root).name, list=listed, masks=masks)

    def load_data_list(self) -> list[dict[str, Any]]:
        """One entry a name, in the order of the list; checks that every file is there."""
        folder = Path(self.data_prefix["img_path"])
        names = read_list(self.ann_file) if self.ann_file else list_names(folder, self.img_suffix)
        where = f"{self.ann_file}: names" if self.ann_file else f"{folder}: holds"
        entries = []
        for name in names:
            image = folder / (name + self.img_suffix)
            mask = Path(self.data_prefix["seg_map_path"], name + self.seg_map_suffix)
            for file in (image, mask) if self.masks_needed else (image,):
                if not file.is_file():
                    raise UserInputError(
                        f"{where} {name!r}, but {file} does not exist; `tools/check_data.py CONFIG` lists everything "
                        "that is missing"
                    )
            entries.append(
                {
                    "img_path": str(image),
                    "seg_map_path": str(mask),
                    "label_map": None,
                    "reduce_zero_label": False,
                    "seg_fields": [],
                    "num_classes": len(self._metainfo["classes"]),
                    "ignore_index": self.ignore_index,
                }
            )
        return entries

    def __getitem__(self, index: int) -> dict[str, Any]:
        """The sample `dict(inputs=..., data_samples=...)`; an index with an `epoch` (`EpochIndex`) is of that epoch."""
        epoch = 0 if self.test_mode else getattr(index, "epoch", 0)
        entry = self.get_data_info(int(index))
        with seeded(self.seed, epoch, int(index)):
            sample = self.pipeline(entry)
        if sample is None:
            raise UserInputError(f"{entry['img_path']}: a transform of the pipeline dropped it, expected a sample")
        return sample


@contextmanager
def seeded(*numbers: int) -> Iterator[None]:
    """Inside, Python's, numpy's and torch's global CPU generators start from `numbers`; then all is as before."""
    words = [int(word) for word in np.random.SeedSequence(numbers).generate_state(3)]
    before = random.getstate(), np.random.get_state(), torch.get_rng_state()
    random.seed(words[0])
    np.random.seed(words[1])
    torch.default_generator.manual_seed(words[2])  # torch.manual_seed would reach for the GPUs as well
    try:
        yield
    finally:
        random.setstate(before[0])
        np.random.set_state(before[1])
        torch.set_rng_state(before[2])


def read_list(path: str | Path) -> list[str]:
    """The names in a list file; empty lines do not count.

    Raises:
        UserInputError: no such file (with close matches), or no names in it.
    """
    path = Path(path)
    if not path.is_file():
        near = did_you_mean(path.name, [p.name for p in path.parent.glob("*.txt")])
        raise UserInputError(f"{path}: no such list, expected a text file with one name a line.{near}")
    try:
        names = [line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    except UnicodeDecodeError:
        raise UserInputError(f"{path}: is no text file, expected one name a line") from None
    if not names:
        raise UserInputError(f"{path}: is empty, expected one name a line")
    return names


def list_names(folder: Path, suffix: str) -> list[str]:
    """Names of the images in a folder and below it, without their suffix, sorted.

    Raises:
        UserInputError: no such folder, or no file in it that ends in `suffix`.
    """
    if not folder.is_dir():
        raise UserInputError(f"{folder}: no such folder, expected images; see data_prefix.img_path of the data set")
    files = [path for path in folder.rglob("*") if path.is_file()]
    names = [path.relative_to(folder).as_posix().removesuffix(suffix) for path in files if path.name.endswith(suffix)]
    if not names:
        endings = ", ".join(sorted({path.suffix for path in files})) or "no files"
        raise UserInputError(
            f"{folder}: holds no image *{suffix} (found: {endings}), expected at least one; see img_suffix of the data "
            "set"
        )
    return sorted(names)


def checked_id(ignore_index: Any) -> int:
    """Returns the ignored id; raises `UserInputError` where no mask can hold it."""
    if not isinstance(ignore_index, int) or not 0 <= ignore_index <= 255:
        raise UserInputError(f"dataset.ignore_index={ignore_index!r}: expected an id of a mask, 0 to 255")
    return ignore_index


def read_metainfo(metainfo: Mapping[str, Any] | None) -> dict[str, Any]:
    """Checks `classes` and `palette`; VOC's where nothing is given.

    Raises:
        UserInputError: names what does not fit.
    """
    if not metainfo:
        return {"classes": VOC_CLASSES, "palette": VOC_PALETTE}
    classes, palette = metainfo.get("classes"), metainfo.get("palette")
    if not isinstance(classes, (list, tuple)) or not classes or len({*map(str, classes)}) != len(classes):
        raise UserInputError(f"metainfo.classes={classes!r}: expected a list of different names, by class id")
    if palette and not isinstance(palette, (list, tuple)):
        raise UserInputError(f"metainfo.palette={palette!r:.60}: expected a list of one (R, G, B) a class")
    if palette and len(palette) != len(classes):
        raise UserInputError(
            f"metainfo.palette: has {len(palette)} colours for {len(classes)} classes, expected one (R, G, B) a class"
        )
    for colour in palette or ():
        if (
            not isinstance(colour, (list, tuple))
            or len(colour) != 3
            or not all(isinstance(c, int) and 0 <= c <= 255 for c in colour)
        ):
            raise UserInputError(f"metainfo.palette: {colour!r} is no colour, expected (R, G, B) of 0 to 255")
    return {**metainfo, "classes": tuple(classes), "palette": [tuple(c) for c in palette or ()]}


def _loads_masks(transform: Any) -> bool:
    """Whether a transform, or one inside it (`TestTimeAug`), loads masks."""
    if isinstance(transform, Mapping):
        inner = transform.get("transforms", ())
        return transform.get("type") in ("LoadMask", "LoadAnnotations") or _loads_masks(inner)
    return isinstance(transform, (list, tuple)) and any(_loads_masks(part) for part in transform)

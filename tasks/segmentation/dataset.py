"""Folders in VOC's layout, read through mmsegmentation's transforms as a function of (seed, epoch, index) only."""

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

PREFIX = {"img_path": "JPEGImages", "seg_map_path": "SegmentationClass"}
VOC_CLASSES: tuple[str, ...] = tuple(PascalVOCDataset.METAINFO["classes"])
VOC_PALETTE: tuple[tuple[int, ...], ...] = tuple(map(tuple, PascalVOCDataset.METAINFO["palette"]))


@DATASETS.register_module()
class VOCLayoutDataset(BaseSegDataset):
    """Pictures, masks of class ids and a list of names, laid out as in VOCdevkit/VOC2012.

    All files that the list names must be there when the data set is built. `LoadPicture` and `LoadMask` refuse what is
    broken when a sample is read; no sample ever stands in for another. mmsegmentation's transforms draw from global
    generators, which are seeded from `seed`, epoch and index around each sample and put back afterwards.

    Args:
        data_root: folder of the data set, looked for as it stands, under `data/`, and where `TRANSFER_DATA` says.
        ann_file: list of names, one a line, relative to `data_root`.
        data_prefix: folders of pictures (`img_path`) and masks (`seg_map_path`), relative to `data_root`.
        img_suffix: of pictures.
        seg_map_suffix: of masks.
        metainfo: `classes` (names, by id) and `palette` (RGB, by id; default mmsegmentation's random colours), default
            those of VOC.
        pipeline: transforms by their registered names.
        indices: keep the first so many names only, or these positions of the list.
        ignore_index: id of pixels that count for nothing.
        seed: of the pipeline's randomness.
        test_mode: the randomness is that of epoch 0 in every epoch.

    Raises:
        UserInputError: a list, picture or mask is missing, or `metainfo` does not fit together.
    """

    def __init__(
        self,
        data_root: str | Path,
        ann_file: str = "ImageSets/Segmentation/train.txt",
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
            ann_file=ann_file,
            img_suffix=img_suffix,
            seg_map_suffix=seg_map_suffix,
            metainfo=read_metainfo(metainfo),
            data_root=str(find_data(data_root)),
            data_prefix={**PREFIX, **(data_prefix or {})},
            indices=indices,
            pipeline=list(pipeline),
            test_mode=test_mode,
            ignore_index=ignore_index,
        )
        folders = {key: Path(folder).name for key, folder in self.data_prefix.items()}
        self._metainfo.update(name=Path(data_root).name, list=Path(ann_file).name, masks=folders["seg_map_path"])

    def load_data_list(self) -> list[dict[str, Any]]:
        """One entry a name of the list, in its order; checks that every file is there."""
        names = read_list(self.ann_file)
        entries = []
        for name in names:
            picture = Path(self.data_prefix["img_path"], name + self.img_suffix)
            mask = Path(self.data_prefix["seg_map_path"], name + self.seg_map_suffix)
            for file in (picture, mask) if self.masks_needed else (picture,):
                if not file.is_file():
                    raise UserInputError(
                        f"{self.ann_file}: names {name!r}, but {file} does not exist; `tools/check_data.py CONFIG` "
                        "lists everything that is missing"
                    )
            entries.append(
                {
                    "img_path": str(picture),
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


def read_metainfo(metainfo: Mapping[str, Any] | None) -> dict[str, Any]:
    """Checks `classes` and `palette`; VOC's where nothing is given.

    Raises:
        UserInputError: names what does not fit.
    """
    if not metainfo:
        return {"classes": VOC_CLASSES, "palette": VOC_PALETTE}
    classes, palette = metainfo.get("classes"), metainfo.get("palette")
    if not isinstance(classes, (list, tuple)) or not classes or len(set(classes)) != len(classes):
        raise UserInputError(f"metainfo.classes={classes!r}: expected a list of different names, by class id")
    if palette and len(palette) != len(classes):
        raise UserInputError(
            f"metainfo.palette: has {len(palette)} colours for {len(classes)} classes, expected one (R, G, B) a class"
        )
    for colour in palette or ():
        if len(colour) != 3 or not all(isinstance(c, int) and 0 <= c <= 255 for c in colour):
            raise UserInputError(f"metainfo.palette: {colour!r} is no colour, expected (R, G, B) of 0 to 255")
    return {**metainfo, "classes": tuple(classes), "palette": [tuple(c) for c in palette or ()]}


def _loads_masks(transform: Any) -> bool:
    """Whether a transform, or one inside it (`TestTimeAug`), loads masks."""
    if isinstance(transform, Mapping):
        inner = transform.get("transforms", ())
        return transform.get("type") in ("LoadMask", "LoadAnnotations") or _loads_masks(inner)
    return isinstance(transform, (list, tuple)) and any(_loads_masks(part) for part in transform)

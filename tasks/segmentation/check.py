"""Reads all the data of a segmentation config and says what is wrong with them, all of it at once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from backbones.errors import UserInputError
from tasks.segmentation.dataset import PREFIX, read_list, read_metainfo
from tasks.segmentation.masks import read_mask, size_text, wrong_ids
from transfer.engine.data import find_data
from transfer.engine.data_report import DataReport
from transfer.engine.images import read_image


@dataclass(frozen=True)
class Split:
    """What one loader's data set names: files by the same rule as `VOCLayoutDataset`.

    Attributes:
        loader: `train`, `val` or `test`.
        root: folder of the data set.
        list: file of names.
        names: of the list, in order.
        pictures, masks: folders.
        suffixes: of pictures and of masks.
        classes: names by id.
        ignored: id of pixels that count for nothing.
    """

    loader: str
    root: Path
    list: Path
    names: tuple[str, ...]
    pictures: Path
    masks: Path
    suffixes: tuple[str, str]
    classes: tuple[str, ...]
    ignored: int

    def files(self, name: str) -> tuple[Path, Path]:
        """The picture and the mask of a name."""
        return self.pictures / (name + self.suffixes[0]), self.masks / (name + self.suffixes[1])


@dataclass
class _Finding:
    """What one picture and its mask turned out to be."""

    problems: list[str] = field(default_factory=list)
    counts: np.ndarray | None = None
    shape: tuple[int, ...] = (0, 0)


def check(config: Mapping[str, Any]) -> DataReport:
    """Checks the data sets of the config's train, val and test loaders.

    Every picture and every mask is decoded. Problems are names of a list without picture or mask, files that cannot be
    read, masks of colours instead of ids, of another size than their picture, or with ids that are no class. Remarks
    are names that stand in a list twice or in more than one list, classes without a pixel, and pictures whose mask is
    all ignored.
    """
    report = DataReport()
    seen: dict[tuple[Path, str], list[str]] = defaultdict(list)
    done: list[Split] = []
    for loader in ("train", "val", "test"):
        options = (config.get(f"{loader}_dataloader") or {}).get("dataset")
        if options is None:
            continue
        try:
            split = read_split(loader, options)
        except UserInputError as error:
            if str(error) not in report.problems:
                report.problems.append(str(error))
            continue
        if not any(_same_files(split, other) for other in done):
            _add_split(report, split)
            for name in split.names:
                seen[split.files(name)[0], name].append(split.loader)
        done.append(split)
    report.remarks += _repeated(seen)
    return report


def read_split(loader: str, options: Mapping[str, Any]) -> Split:
    """Reads the list that a data set's config names; raises `UserInputError` where there is none."""
    if "data_root" not in options:
        raise UserInputError(f"config key {loader}_dataloader.dataset: has no data_root, expected the data's folder")
    root = find_data(options["data_root"])
    prefix = {**PREFIX, **(options.get("data_prefix") or {})}
    listed = root / options.get("ann_file", "ImageSets/Segmentation/train.txt")
    names = read_list(listed)
    indices = options.get("indices")
    if indices is not None:
        names = names[:indices] if isinstance(indices, int) else [names[i] for i in indices]
    return Split(
        loader,
        root,
        listed,
        tuple(names),
        root / prefix["img_path"],
        root / prefix["seg_map_path"],
        (options.get("img_suffix", ".jpg"), options.get("seg_map_suffix", ".png")),
        tuple(read_metainfo(options.get("metainfo"))["classes"]),
        options.get("ignore_index", 255),
    )


def _same_files(one: Split, other: Split) -> bool:
    return (one.list, one.names, one.masks, one.pictures) == (other.list, other.names, other.masks, other.pictures)


def _add_split(report: DataReport, split: Split) -> None:
    with ThreadPoolExecutor() as pool:
        findings = list(pool.map(lambda name: _read(split, name), split.names))
    report.problems += [problem for finding in findings for problem in finding.problems]
    sound = [finding for finding in findings if finding.counts is not None]
    pixels = sum((finding.counts for finding in sound), np.zeros(256, np.int64))
    shapes = np.array([finding.shape for finding in sound] or [(0, 0)])
    total, present = max(int(pixels.sum()), 1), pixels[: len(split.classes)]
    report.rows.append(
        {
            "data": split.root.name,
            "split": f"{split.loader} ({split.list.name})",
            "images": len(split.names),
            "classes": f"{int((present > 0).sum())} of {len(split.classes)}",
            "class 0 %": round(100 * float(present[0]) / total, 2),
            "ignored %": round(100 * float(pixels[split.ignored]) / total, 2),
            "shortest side": int(shapes.min()),
            "longest side": int(shapes.max()),
        }
    )
    absent = [name for name, count in zip(split.classes, present, strict=True) if not count]
    if sound and absent:
        report.remarks.append(f"{split.list}: no pixel of {', '.join(absent)}")
    for name, finding in zip(split.names, findings, strict=True):
        if finding.counts is not None and finding.counts[split.ignored] == finding.counts.sum():
            report.remarks.append(f"{split.files(name)[1]}: all pixels are ignored ones")


def _read(split: Split, name: str) -> _Finding:
    picture, mask = split.files(name)
    found = _Finding(list(_missing(split, name, picture, mask)))
    shape = ids = None
    try:
        shape = read_image(picture).shape[:2] if picture.is_file() else None
    except UserInputError as error:
        found.problems.append(str(error))
    try:
        ids = read_mask(mask) if mask.is_file() else None
    except UserInputError as error:
        found.problems.append(str(error))
    if ids is not None and (wrong := wrong_ids(ids, len(split.classes), split.ignored)):
        found.problems.append(
            f"{mask}: holds the class ids {', '.join(map(str, wrong[:8]))}, expected 0 to {len(split.classes) - 1}, or "
            f"{split.ignored} for ignored pixels"
        )
    if ids is not None and shape is not None and ids.shape != shape:
        found.problems.append(f"{mask}: the mask is {size_text(ids.shape)}, its picture {size_text(shape)}")
    if ids is not None and not found.problems:
        found.counts, found.shape = np.bincount(ids.ravel(), minlength=256), ids.shape
    return found


def _missing(split: Split, name: str, picture: Path, mask: Path) -> Iterator[str]:
    for what, file in (("picture", picture), ("mask", mask)):
        if not file.is_file():
            yield f"{file}: the {what} is missing, but {split.list} names {name!r}"


def _repeated(seen: Mapping[tuple[Path, str], Sequence[str]]) -> Iterator[str]:
    """Remarks on names that are used more than once."""
    twice = defaultdict(list)
    for (_, name), loaders in seen.items():
        if len(loaders) > 1:
            twice[tuple(loaders)].append(name)
    for loaders, names in twice.items():
        where = f"{loaders[0]} twice" if len(set(loaders)) == 1 else " and ".join(dict.fromkeys(loaders))
        yield f"{', '.join(names[:5])}{', ...' if len(names) > 5 else ''}: {len(names)} pictures are in {where}"

"""Reads all the data of a segmentation config and says what is wrong with them, all of it at once."""

from __future__ import annotations

import copy
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from backbones.errors import UserInputError
from tasks.segmentation.agreement import disagreements, fill
from tasks.segmentation.dataset import LIST, PREFIX, checked_id, list_names, read_list, read_metainfo
from tasks.segmentation.masks import read_mask, size_text, wrong_ids, wrong_ids_text
from transfer.engine.console import tracked
from transfer.engine.data import find_data
from transfer.engine.data_report import DataReport
from transfer.engine.images import read_image


@dataclass(frozen=True)
class Split:
    """What one loader's data set names: files by the same rule as `VOCLayoutDataset`.

    Attributes:
        loader: `train`, `val` or `test`.
        root: folder of the data set.
        source: file of names, or the folder whose images are all taken.
        names: in order.
        images, masks: folders.
        suffixes: of images and of masks.
        classes: names by id.
        ignored: id of pixels that count for nothing.
    """

    loader: str
    root: Path
    source: Path
    names: tuple[str, ...]
    images: Path
    masks: Path
    suffixes: tuple[str, str]
    classes: tuple[str, ...]
    ignored: int

    def files(self, name: str) -> tuple[Path, Path]:
        """The image and the mask of a name."""
        return self.images / (name + self.suffixes[0]), self.masks / (name + self.suffixes[1])


@dataclass
class _Finding:
    """What one image and its mask turned out to be."""

    problems: list[str] = field(default_factory=list)
    counts: np.ndarray | None = None
    shape: tuple[int, ...] = (0, 0)


def check(config: Mapping[str, Any]) -> DataReport:
    """Checks the data sets of the config's train, val and test loaders, and that all of the config agrees with them.

    Every image and every mask is decoded. Problems are names of a list without image or mask, files that cannot be
    read, masks of colours instead of ids, of another size than their image, or with ids that are no class, two ignored
    ids, and heads of another number of classes. Remarks are names that stand in a list twice or in more than one list,
    masks of no image, classes without a pixel, and images whose mask is all ignored.
    """
    config = copy.deepcopy(config)
    fill(config)
    report = DataReport(problems=disagreements(config))
    seen: dict[tuple[Path, str], list[str]] = defaultdict(list)
    done: list[Split] = []
    for split in _splits(config, report):
        if not any(_same_files(split, other) for other in done):
            _add_split(report, split)
            for name in split.names:
                seen[split.files(name)[0], name].append(split.loader)
        done.append(split)
    report.remarks += _repeated(seen)
    return report


def _splits(config: Mapping[str, Any], report: DataReport) -> Iterator[Split]:
    """The splits of the config's loaders; those that cannot be found go to the report's problems."""
    for loader in ("train", "val", "test"):
        options = (config.get(f"{loader}_dataloader") or {}).get("dataset")
        if options is None:
            continue
        try:
            yield read_split(loader, options)
        except UserInputError as error:
            if str(error) not in report.problems:
                report.problems.append(str(error))


def read_split(loader: str, options: Mapping[str, Any]) -> Split:
    """Lists the names that a data set's config asks for; raises `UserInputError` where there are none."""
    if "data_root" not in options:
        raise UserInputError(f"config key {loader}_dataloader.dataset: has no data_root, expected the data's folder")
    root = find_data(options["data_root"])
    prefix = {**PREFIX, **(options.get("data_prefix") or {})}
    images, suffix = root / prefix["img_path"], options.get("img_suffix", ".jpg")
    listed = options.get("ann_file", LIST)
    source = root / listed if listed else images
    names = read_list(source) if listed else list_names(images, suffix)
    indices = options.get("indices")
    if indices is not None:
        names = names[:indices] if isinstance(indices, int) else [names[i] for i in indices]
    return Split(
        loader,
        root,
        source,
        tuple(names),
        images,
        root / prefix["seg_map_path"],
        (suffix, options.get("seg_map_suffix", ".png")),
        tuple(read_metainfo(options.get("metainfo"))["classes"]),
        checked_id(options.get("ignore_index", 255)),
    )


def _same_files(one: Split, other: Split) -> bool:
    return (one.source, one.names, one.masks, one.images) == (other.source, other.names, other.masks, other.images)


def _add_split(report: DataReport, split: Split) -> None:
    with ThreadPoolExecutor() as pool:
        found = pool.map(lambda name: _read(split, name), split.names)
        findings = list(tracked(found, "images", len(split.names)))
    report.problems += [problem for finding in findings for problem in finding.problems]
    counts = [finding.counts for finding in findings if finding.counts is not None]
    pixels = np.sum([np.zeros(256, np.int64), *counts], axis=0)
    shapes = np.array([finding.shape for finding in findings if finding.counts is not None] or [(0, 0)])
    total, present = max(int(pixels.sum()), 1), pixels[: len(split.classes)]
    report.rows.append(
        {
            "data": split.root.name,
            "split": f"{split.loader} ({split.source.name})",
            "images": len(split.names),
            "classes": f"{int((present > 0).sum())} of {len(split.classes)}",
            "class 0 %": round(100 * float(present[0]) / total, 2),
            "ignored %": round(100 * float(pixels[split.ignored]) / total, 2),
            "shortest side": int(shapes.min()),
            "longest side": int(shapes.max()),
        }
    )
    absent = [name for name, count in zip(split.classes, present, strict=True) if not count]
    report.remarks += _remarks(split, absent if counts else [])
    for name, finding in zip(split.names, findings, strict=True):
        if finding.counts is not None and finding.counts[split.ignored] == finding.counts.sum():
            report.remarks.append(f"{split.files(name)[1]}: all pixels are ignored ones")


def _remarks(split: Split, absent: Sequence[str]) -> Iterator[str]:
    if split.ignored < len(split.classes):
        name = split.classes[split.ignored]
        yield f"ignore_index={split.ignored} is the class {name!r}, which is neither trained nor counted"
    if split.source == split.images and (over := _masks_of_no_image(split)):
        yield f"{split.masks}: {len(over)} masks of no image in {split.images}: {_some(over)}"
    if absent:
        yield f"{split.source}: no pixel of {', '.join(absent)}"


def _masks_of_no_image(split: Split) -> list[str]:
    suffix = split.suffixes[1]
    masks = (path.relative_to(split.masks).as_posix() for path in split.masks.rglob(f"*{suffix}"))
    return sorted(mask for mask in masks if not split.files(mask.removesuffix(suffix))[0].is_file())


def _some(names: Sequence[str]) -> str:
    return f"{', '.join(names[:5])}{', ...' if len(names) > 5 else ''}"


def _read(split: Split, name: str) -> _Finding:
    image, mask = split.files(name)
    found = _Finding(list(_missing(split, name, image, mask)))
    shape = ids = None
    try:
        shape = read_image(image).shape[:2] if image.is_file() else None
    except UserInputError as error:
        found.problems.append(str(error))
    try:
        ids = read_mask(mask) if mask.is_file() else None
    except UserInputError as error:
        found.problems.append(str(error))
    if ids is not None and (wrong := wrong_ids(ids, len(split.classes), split.ignored)):
        found.problems.append(f"{mask}: {wrong_ids_text(wrong, len(split.classes), split.ignored)}")
    if ids is not None and shape is not None and ids.shape != shape:
        found.problems.append(f"{mask}: the mask is {size_text(ids.shape)}, its image {size_text(shape)}")
    if ids is not None and not found.problems:
        found.counts, found.shape = np.bincount(ids.ravel(), minlength=256), ids.shape
    return found


def _missing(split: Split, name: str, image: Path, mask: Path) -> Iterator[str]:
    why = f"its image is in {split.source}" if split.source == split.images else f"{split.source} names {name!r}"
    for what, file in (("image", image), ("mask", mask)):
        if not file.is_file():
            yield f"{file}: the {what} is missing, but {why}"


def _repeated(seen: Mapping[tuple[Path, str], Sequence[str]]) -> Iterator[str]:
    """Remarks on names that are used more than once."""
    twice = defaultdict(list)
    for (_, name), loaders in seen.items():
        if len(loaders) > 1:
            twice[tuple(loaders)].append(name)
    for loaders, names in twice.items():
        where = f"{loaders[0]} twice" if len(set(loaders)) == 1 else " and ".join(dict.fromkeys(loaders))
        yield f"{_some(names)}: {len(names)} images are in {where}"

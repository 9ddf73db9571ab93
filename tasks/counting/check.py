"""Reads all the data of a counting config and says what is wrong with them, all of it at once."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from backbones.errors import UserInputError
from tasks.counting.dataset import settled
from tasks.counting.layouts import Entry, Layout, Source, find_source, get_layout, select
from tasks.counting.metric import mae, mse
from tasks.counting.structures import NOUN
from transfer.engine.console import tracked
from transfer.engine.data_report import DataReport
from transfer.engine.images import read_image

_SELECTION = ("fold", "val_ratio", "val_seed", "val_list", "indices")


@dataclass(frozen=True)
class _Finding:
    """What one image and its points turned out to be; the figures hold where there are no problems."""

    problems: tuple[str, ...] = ()
    points: int = 0
    outside: int = 0
    shape: tuple[int, int] = (0, 0)
    digest: str = ""


@dataclass(frozen=True)
class _Selection:
    """The images of one loader."""

    source: Source
    layout: Layout
    name: str
    entries: list[Entry]


def check(config: Mapping[str, Any]) -> DataReport:
    """Checks the data sets of the config's train, val and test loaders.

    Every image is decoded and every file of points read, once. Problems are images without ground truth and the
    reverse, files that cannot be read, coordinates that are no numbers. Remarks are points outside their image,
    images without points, files that are in two splits, and files that are the same byte for byte.
    """
    report = DataReport()
    splits = _find_splits(config, report)
    entries = {entry.image: (entry, split.layout) for split in splits for entry in split.entries}
    with ThreadPoolExecutor() as pool:
        found = tracked(pool.map(lambda pair: _read(*pair), entries.values()), "images", len(entries))
        findings = dict(zip(entries, found, strict=True))
    report.problems += [problem for finding in findings.values() for problem in finding.problems]
    noun = (config.get("model") or {}).get("noun", NOUN)
    counts = {split.name: _add_split(report, split, splits, findings, noun) for split in splits}
    if {"train", "test"} <= counts.keys():
        report.notes.append(_median_predictor(counts["train"], counts["test"]))
    report.remarks += [*_without_points(findings), *_shared(splits), *_identical(splits, findings)]
    return report


def _find_splits(config: Mapping[str, Any], report: DataReport) -> list[_Selection]:
    """Lists each split once, however many loaders name it; what cannot be found goes to the report's problems."""
    found: dict[tuple[str, str], tuple[Source, Layout]] = {}
    splits: list[_Selection] = []
    for loader in ("train_dataloader", "val_dataloader", "test_dataloader"):
        dataset = (config.get(loader) or {}).get("dataset")
        if dataset is None:
            continue
        try:
            selection = _select(loader, dataset, found, report)
        except UserInputError as error:
            if str(error) not in report.problems:
                report.problems.append(str(error))
            continue
        if selection not in splits:
            splits.append(selection)
    return splits


def _select(
    loader: str,
    dataset: Mapping[str, Any],
    found: dict[tuple[str, str], tuple[Source, Layout]],
    report: DataReport,
) -> _Selection:
    """The images of a loader; the first one of a data set reports what is wrong in any of its splits."""
    if "data_root" not in dataset:
        raise UserInputError(f"config key {loader}.dataset: has no data_root, expected the data's folder")
    key = (str(dataset["data_root"]), dataset.get("layout", "shanghaitech"))
    if key not in found:
        found[key] = find_source(*key), get_layout(key[1])
        report.problems += [line for split in found[key][0].splits.values() for line in split.problems]
        report.remarks += found[key][0].remarks
    source, layout = found[key]
    name = dataset.get("split", "train")
    options = {option: dataset[option] for option in _SELECTION if option in dataset}
    return _Selection(source, layout, name, select(source, name, **options, strict=False))


def _add_split(
    report: DataReport, split: _Selection, splits: Iterable[_Selection], findings: Mapping[Path, _Finding], noun: str
) -> np.ndarray:
    """Adds the split's row, and a remark on points outside; returns the points of each sound image."""
    sound = [f for entry in split.entries if not (f := findings[entry.image]).problems]
    outside = sum(finding.outside for finding in sound)
    if outside:
        report.remarks.append(
            f"{split.source.name}, {split.name}: {outside} points outside their image, see the option 'outside'"
        )
    release = _release(split.source, splits, findings)
    counts, shapes = np.array([f.points for f in sound] or [0]), np.array([f.shape for f in sound] or [(0, 0)])
    report.rows.append(
        {
            "data": split.source.name + (f" ({release})" if release else ""),
            "split": split.name,
            "images": len(split.entries),
            noun: int(counts.sum()),
            "fewest": int(counts.min()),
            "median": float(np.median(counts)),
            "most": int(counts.max()),
            "min side": int(shapes.min()),
            "max side": int(shapes.max()),
        }
    )
    return counts


def _release(source: Source, splits: Iterable[_Selection], findings: Mapping[Path, _Finding]) -> str | None:
    """As `CrowdDataset` has it: points outside images may tell the release."""
    entries = [entry for split in splits if split.source.root == source.root for entry in split.entries]
    return source.release_of(any(findings[entry.image].outside for entry in entries))


def _median_predictor(train: np.ndarray, test: np.ndarray) -> str:
    guess = np.full(len(test), np.median(train))
    errors = f"MAE {mae(guess, test):.1f}, MSE {mse(guess, test):.1f}"
    return f"always saying the training median, {guess[0]:g}, gets {errors} on test"


def _without_points(findings: Mapping[Path, _Finding]) -> Iterator[str]:
    for image, finding in findings.items():
        if not finding.problems and not finding.points:
            yield f"{image}: no points, which is valid: its count is 0"


def _shared(splits: Iterable[_Selection]) -> Iterator[str]:
    """Remarks on pairs of splits that have files in common."""
    for one, other in combinations(splits, 2):
        images = {entry.image for entry in other.entries}
        both = [entry.image_id for entry in one.entries if entry.image in images]
        if both:
            some = ", ".join(both[:5]) + (", ..." if len(both) > 5 else "")
            yield f"{one.name} and {other.name} have {len(both)} images in common: {some}"


def _identical(splits: Iterable[_Selection], findings: Mapping[Path, _Finding]) -> Iterator[str]:
    """Remarks on different files with the same bytes, wherever they are."""
    names: dict[str, dict[Path, str]] = defaultdict(dict)
    for split in splits:
        for entry in split.entries:
            if digest := findings[entry.image].digest:
                names[digest].setdefault(entry.image, f"{split.name} {entry.image_id}")
    for same in names.values():
        if len(same) > 1:
            yield f"{', '.join(same.values())}: the same image, byte for byte"


def _read(entry: Entry, layout: Layout) -> _Finding:
    problems: list[str] = []
    shape = points = None
    try:
        shape = read_image(entry.image).shape[:2]
    except UserInputError as error:
        problems.append(str(error))
    try:
        points = layout.read(entry)
    except UserInputError as error:
        problems.append(str(error))
    if shape is None or points is None:
        return _Finding(tuple(problems))
    digest = hashlib.sha256(entry.image.read_bytes()).hexdigest()
    return _Finding((), len(points), settled(points, shape)[1], shape, digest)

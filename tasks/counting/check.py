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
from tasks.counting.layouts import Entry, Source, find_source, select
from tasks.counting.metric import mae, mse
from tasks.counting.points import read_points
from transfer.engine.data_report import DataReport
from transfer.engine.images import read_image

_SELECTION = ("val_ratio", "val_seed", "val_list")


@dataclass(frozen=True)
class _Finding:
    """What one picture and its points turned out to be; the figures hold where there are no problems."""

    problems: tuple[str, ...] = ()
    heads: int = 0
    outside: int = 0
    shape: tuple[int, int] = (0, 0)
    digest: str = ""


@dataclass(frozen=True)
class _Split:
    """The pictures of one loader."""

    source: Source
    name: str
    entries: list[Entry]


def check(config: Mapping[str, Any]) -> DataReport:
    """Checks the data sets of the config's train, val and test loaders.

    Every picture is decoded and every file of points read, once. Problems are pictures without ground truth and the
    reverse, files that cannot be read, coordinates that are no numbers. Remarks are heads outside their picture,
    pictures without heads, files that are in two splits, and files that are the same byte for byte.
    """
    report = DataReport()
    splits = _find_splits(config, report)
    entries = {entry.image: entry for split in splits for entry in split.entries}
    with ThreadPoolExecutor() as pool:
        findings = dict(zip(entries, pool.map(_read, entries.values()), strict=True))
    report.problems += [problem for finding in findings.values() for problem in finding.problems]
    counts = {split.name: _add_split(report, split, splits, findings) for split in splits}
    if {"train", "test"} <= counts.keys():
        report.notes.append(_median_predictor(counts["train"], counts["test"]))
    report.remarks += [*_without_heads(findings), *_shared(splits), *_identical(splits, findings)]
    return report


def _find_splits(config: Mapping[str, Any], report: DataReport) -> list[_Split]:
    """Lists each split once, however many loaders name it; what cannot be found goes to the report's problems."""
    sources: dict[tuple[str, str, int], Source] = {}
    splits: list[_Split] = []
    for loader in ("train_dataloader", "val_dataloader", "test_dataloader"):
        dataset = (config.get(loader) or {}).get("dataset")
        if dataset is None:
            continue
        try:
            if "data_root" not in dataset:
                raise UserInputError(f"config key {loader}.dataset: has no data_root, expected the data's folder")
            key = (str(dataset["data_root"]), dataset.get("layout", "shanghaitech"), dataset.get("fold", 0))
            if key not in sources:
                sources[key] = find_source(*key, strict=False)
                report.problems += [line for line in sources[key].problems if line not in report.problems]
            name = dataset.get("split", "train")
            entries = select(sources[key], name, **{k: dataset[k] for k in _SELECTION if k in dataset})
        except UserInputError as error:
            if str(error) not in report.problems:
                report.problems.append(str(error))
            continue
        split = _Split(sources[key], name, entries)
        if split not in splits:
            splits.append(split)
    return splits


def _add_split(
    report: DataReport, split: _Split, splits: Iterable[_Split], findings: Mapping[Path, _Finding]
) -> np.ndarray:
    """Adds the split's row, and a remark on heads outside; returns the heads of each sound picture."""
    sound = [f for entry in split.entries if not (f := findings[entry.image]).problems]
    outside = sum(finding.outside for finding in sound)
    if outside:
        report.remarks.append(
            f"{split.source.name}, {split.name}: {outside} heads outside their picture, see the option 'outside'"
        )
    release = _release(split.source, splits, findings)
    counts, shapes = np.array([f.heads for f in sound] or [0]), np.array([f.shape for f in sound] or [(0, 0)])
    report.rows.append(
        {
            "data": split.source.name + (f" ({release})" if release else ""),
            "split": split.name,
            "images": len(split.entries),
            "heads": int(counts.sum()),
            "fewest": int(counts.min()),
            "median": float(np.median(counts)),
            "most": int(counts.max()),
            "min side": int(shapes.min()),
            "max side": int(shapes.max()),
        }
    )
    return counts


def _release(source: Source, splits: Iterable[_Split], findings: Mapping[Path, _Finding]) -> str | None:
    """As `CrowdDataset` has it: heads outside pictures are what the release of 2016 took out."""
    entries = [entry for split in splits if split.source.root == source.root for entry in split.entries]
    outside = any(findings[entry.image].outside for entry in entries)
    return "2015" if source.part and outside else source.release


def _median_predictor(train: np.ndarray, test: np.ndarray) -> str:
    guess = np.full(len(test), np.median(train))
    errors = f"MAE {mae(guess, test):.1f}, MSE {mse(guess, test):.1f}"
    return f"always saying the training median, {guess[0]:g}, gets {errors} on test"


def _without_heads(findings: Mapping[Path, _Finding]) -> Iterator[str]:
    for image, finding in findings.items():
        if not finding.problems and not finding.heads:
            yield f"{image}: no heads, which is valid: its count is 0"


def _shared(splits: Iterable[_Split]) -> Iterator[str]:
    """Remarks on pairs of splits that have files in common."""
    for one, other in combinations(splits, 2):
        images = {entry.image for entry in other.entries}
        both = [entry.image_id for entry in one.entries if entry.image in images]
        if both:
            some = ", ".join(both[:5]) + (", ..." if len(both) > 5 else "")
            yield f"{one.name} and {other.name} have {len(both)} pictures in common: {some}"


def _identical(splits: Iterable[_Split], findings: Mapping[Path, _Finding]) -> Iterator[str]:
    """Remarks on different files with the same bytes, wherever they are."""
    names: dict[str, dict[Path, str]] = defaultdict(dict)
    for split in splits:
        for entry in split.entries:
            if digest := findings[entry.image].digest:
                names[digest].setdefault(entry.image, f"{split.name} {entry.image_id}")
    for same in names.values():
        if len(same) > 1:
            yield f"{', '.join(same.values())}: the same picture, byte for byte"


def _read(entry: Entry) -> _Finding:
    problems: list[str] = []
    shape = points = None
    try:
        shape = read_image(entry.image).shape[:2]
    except UserInputError as error:
        problems.append(str(error))
    try:
        points = read_points(entry.points)
    except UserInputError as error:
        problems.append(str(error))
    if shape is None or points is None:
        return _Finding(tuple(problems))
    digest = hashlib.sha256(entry.image.read_bytes()).hexdigest()
    return _Finding((), len(points), settled(points, shape)[1], shape, digest)

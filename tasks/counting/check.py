"""Reads all the data of a counting config and says what is wrong with them, all of it at once."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from backbones.errors import UserInputError
from tasks.counting.dataset import settled
from tasks.counting.images import read_image
from tasks.counting.layouts import Entry, Source, find_source, select
from tasks.counting.metric import mae, mse
from tasks.counting.points import read_points
from transfer.engine.data_report import DataReport

_SELECTION = ("val_ratio", "val_seed", "val_list")


@dataclass(frozen=True)
class _Finding:
    """What one picture and its points turned out to be."""

    entry: Entry
    heads: int = 0
    outside: int = 0
    shape: tuple[int, int] = (0, 0)
    digest: str = ""
    problem: str | None = None


def check(config: Mapping[str, Any]) -> DataReport:
    """Checks the data sets of the config's train, val and test loaders.

    Every picture is decoded and every file of points read. Problems are pictures without ground truth and the reverse,
    files that cannot be read, coordinates that are no numbers. Remarks are heads outside their picture, pictures
    without heads, and pictures that stand in more than one place, byte for byte.
    """
    report = DataReport()
    sources: dict[tuple[str, str, int], Source] = {}
    places: dict[str, list[str]] = defaultdict(list)
    counts: dict[str, np.ndarray] = {}
    for loader in ("train_dataloader", "val_dataloader", "test_dataloader"):
        dataset = (config.get(loader) or {}).get("dataset")
        if dataset is None:
            continue
        key = (str(dataset["data_root"]), dataset.get("layout", "shanghaitech"), dataset.get("fold", 0))
        try:
            if key not in sources:
                sources[key] = find_source(*key, strict=False)
                report.problems += sources[key].problems
            split = dataset.get("split", "train")
            entries = select(sources[key], split, **{k: dataset[k] for k in _SELECTION if k in dataset})
        except UserInputError as error:
            if str(error) not in report.problems:
                report.problems.append(str(error))
            continue
        counts[split] = _add_split(report, sources[key], split, entries, places)
    if {"train", "test"} <= counts.keys():
        report.notes.append(_median_predictor(counts["train"], counts["test"]))
    report.remarks += [
        f"{', '.join(same)}: the same picture, byte for byte" for same in places.values() if len(same) > 1
    ]
    return report


def _add_split(
    report: DataReport, source: Source, split: str, entries: list[Entry], places: dict[str, list[str]]
) -> np.ndarray:
    with ThreadPoolExecutor() as pool:
        findings = list(pool.map(_read, entries))
    report.problems += [f.problem for f in findings if f.problem and f.problem not in report.problems]
    sound = [f for f in findings if not f.problem]
    for finding in sound:
        places[finding.digest].append(f"{split} {finding.entry.image_id}")
        if not finding.heads:
            report.remarks.append(f"{finding.entry.image}: no heads, which is valid: its count is 0")
    outside = sum(f.outside for f in sound)
    if outside:
        report.remarks.append(
            f"{source.name}, {split}: {outside} heads outside their picture, see the option 'outside'"
        )
    counts, shapes = np.array([f.heads for f in sound] or [0]), np.array([f.shape for f in sound] or [(0, 0)])
    report.rows.append(
        {
            "data": source.name + (f" ({source.release})" if source.release else ""),
            "split": split,
            "images": len(entries),
            "heads": int(counts.sum()),
            "fewest": int(counts.min()),
            "median": float(np.median(counts)),
            "most": int(counts.max()),
            "min side": int(shapes.min()),
            "max side": int(shapes.max()),
        }
    )
    return counts


def _median_predictor(train: np.ndarray, test: np.ndarray) -> str:
    guess = np.full(len(test), np.median(train))
    errors = f"MAE {mae(guess, test):.1f}, MSE {mse(guess, test):.1f}"
    return f"always saying the training median, {guess[0]:g}, gets {errors} on test"


def _read(entry: Entry) -> _Finding:
    try:
        shape = read_image(entry.image).shape[:2]
        points = read_points(entry.points)
    except UserInputError as error:
        return _Finding(entry, problem=str(error))
    digest = hashlib.sha256(entry.image.read_bytes()).hexdigest()
    return _Finding(entry, len(points), settled(points, shape)[1], shape, digest)

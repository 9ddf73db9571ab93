"""Looks at every image of a classification config and says what is wrong, all of it at once."""

from __future__ import annotations

import hashlib
import warnings
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from backbones.errors import UserInputError
from backbones.registry import get_card
from tasks.classification.folder import decoding
from transfer.engine.config_check import resolve
from transfer.engine.console import progress
from transfer.engine.data_report import DataReport
from transfer.engine.images import open_image

LOADERS = ("train", "val", "test")
_VIEWS = ("augment", "scale", "seed", "size", "resize")  # options that choose no images
_SHARE = 128  # images that a thread reads at a time


class _Look(NamedTuple):
    """What an image turned out to be; the figures hold where there is no problem."""

    problem: str = ""
    height: int = 0
    width: int = 0
    channels: int = 0
    colour: bool = True
    digest: bytes = b""


@dataclass(frozen=True)
class _Split:
    """What one loader reads: a data set that has `labels`, and `files` or `pixels` (N, C, H, W)."""

    loader: str
    name: str
    dataset: Any
    looks: list[_Look]

    def image(self, index: int) -> str:
        """What to call an image."""
        files = getattr(self.dataset, "files", None)
        return f"{self.name} {Path(files[index]).name if files else index}"


def check(config: Mapping[str, Any]) -> DataReport:
    """Checks the data sets of the config's train, val and test loaders.

    Every image file is decoded, once. Problems are files and folders that are missing or cannot be read, and another
    number of classes or channels than the model's. Remarks are classes without an image, images that are the same byte
    for byte within a split, in two splits or in two classes, and grey ones that are read as RGB.
    """
    report = DataReport()
    datasets = _build(config, report)
    seen: dict[str, _Look] = {}
    _read_files(datasets.values(), seen)
    splits = [
        _Split(loader, _name(loader, dataset), dataset, list(_looks(dataset, seen)))
        for loader, dataset in datasets.items()
    ]
    report.problems += [look.problem for look in seen.values() if look.problem]
    report.problems += _against_model(config.get("model") or {}, splits)
    report.rows += [_row(split) for split in splits]
    report.remarks += [line for split in splits for line in _absent_classes(split)]
    report.remarks += [*_same_images(splits), *_without_colour(seen)]
    report.notes += _largest_class(splits)
    return report


def _build(config: Mapping[str, Any], report: DataReport) -> dict[str, Any]:
    """Each loader's data set, those of the same images once; what cannot be found goes to the report's problems."""
    built: dict[str, Any] = {}
    known: list[dict[str, Any]] = []
    for loader in LOADERS:
        options = (config.get(f"{loader}_dataloader") or {}).get("dataset")
        if options is None:
            continue
        chosen = {key: value for key, value in options.items() if key not in _VIEWS}
        if chosen in known:
            continue
        known.append(chosen)
        try:
            built[loader] = _dataset(f"config key {loader}_dataloader.dataset", options, config)
        except UserInputError as error:
            if str(error) not in report.problems:
                report.problems.append(str(error))
    return built


def _dataset(key: str, options: Mapping[str, Any], config: Mapping[str, Any]) -> Any:
    kind = options.get("type")
    found = resolve(kind, config.get("default_scope") or "mmengine")
    if not found:
        raise UserInputError(f"{key}: type={kind!r} is unknown, expected a registered data set")
    try:
        dataset = found[0](**{name: value for name, value in options.items() if name != "type"})
    except TypeError as error:
        raise UserInputError(f"{key}: {error}") from error
    if not hasattr(dataset, "labels") or not (hasattr(dataset, "files") or hasattr(dataset, "pixels")):
        raise UserInputError(f"{key}: {kind} has no 'labels' beside 'files' or 'pixels', by which data can be checked")
    return dataset


def _name(loader: str, dataset: Any) -> str:
    return str((getattr(dataset, "metainfo", None) or {}).get("split", loader))


# ---- reading


def _read_files(datasets: Iterable[Any], seen: dict[str, _Look]) -> None:
    files = list(dict.fromkeys(file for dataset in datasets for file in getattr(dataset, "files", ())))
    parts = [files[start : start + _SHARE] for start in range(0, len(files), _SHARE)]
    with ThreadPoolExecutor() as pool, warnings.catch_warnings(), progress("images", len(files)) as show:
        warnings.simplefilter("ignore")  # odd EXIF entries and large images are no concern of the user's
        looks = pool.map(lambda part: [_look_at_file(file) for file in part], parts)
        for part, found in zip(parts, looks, strict=True):
            seen.update(zip(part, found, strict=True))
            show(len(seen))


def _look_at_file(path: str) -> _Look:
    try:
        with decoding(path):
            content = Path(path).read_bytes()
            with open_image(BytesIO(content)) as image:
                image.load()
                colour = image.mode not in ("1", "L", "LA", "I", "I;16", "F")
                return _Look("", image.height, image.width, 3, colour, _digest(content))
    except UserInputError as error:
        return _Look(" ".join(str(error).split()))


def _looks(dataset: Any, seen: Mapping[str, _Look]) -> Iterator[_Look]:
    if hasattr(dataset, "files"):
        yield from (seen[file] for file in dataset.files)
        return
    for pixels in dataset.pixels:
        channels, height, width = pixels.shape
        yield _Look("", height, width, channels, True, _digest(pixels.tobytes()))


def _digest(content: bytes) -> bytes:
    return hashlib.blake2b(content, digest_size=16).digest()


# ---- what is said of it


def _row(split: _Split) -> dict[str, Any]:
    sound = [look for look in split.looks if not look.problem]
    sides = [side for look in sound for side in (look.height, look.width)] or [0]
    counts = _per_class(split)
    metainfo = getattr(split.dataset, "metainfo", None) or {}
    return {
        "data": metainfo.get("name", type(split.dataset).__name__),
        "split": split.name if split.name == split.loader else f"{split.name} ({split.loader})",
        "images": len(split.looks),
        "classes": f"{int((counts > 0).sum())} of {len(counts)}",
        "fewest": int(counts.min()),
        "most": int(counts.max()),
        "min side": min(sides),
        "max side": max(sides),
        "channels": ", ".join(map(str, sorted({look.channels for look in sound}))) or "-",
    }


def _per_class(split: _Split) -> np.ndarray:
    labels = np.asarray(split.dataset.labels)
    return np.bincount(labels, minlength=_classes(split))


def _classes(split: _Split) -> int:
    said = (getattr(split.dataset, "metainfo", None) or {}).get("num_classes")
    return int(said if said is not None else np.max(split.dataset.labels) + 1)


def _against_model(model: Mapping[str, Any], splits: Sequence[_Split]) -> Iterator[str]:
    wanted, backbone = model.get("num_classes"), model.get("backbone") or {}
    channels = {"model.backbone.in_channels": backbone.get("in_channels", 3)} if backbone else {}
    means = (model.get("data_preprocessor") or {}).get("mean") or _card_mean(backbone.get("name"))
    if means is not None:
        channels["model.data_preprocessor.mean"] = len(means)
    for split in splits:
        where = f"{split.loader}_dataloader.dataset"
        if wanted is not None and wanted != _classes(split):
            yield f"config key model.num_classes={wanted}: {where} has {_classes(split)} classes, expected as many"
        found = {look.channels for look in split.looks if not look.problem}
        for key, value in channels.items():
            if found - {value}:
                has = ", ".join(map(str, sorted(found)))
                yield f"config key {key}: is for {value} channels, {where} has images of {has}; expected as many"


def _card_mean(name: str | None) -> Sequence[float] | None:
    try:
        return get_card(name).mean if name else None
    except UserInputError:
        return None  # the model's own error, when it is built


def _absent_classes(split: _Split) -> Iterator[str]:
    absent = np.flatnonzero(_per_class(split) == 0)
    if len(absent):
        names = getattr(split.dataset, "classes", None)
        yield f"{split.name}: no image of {_some([str(names[i]) if names else f'class {i}' for i in absent])}"


def _same_images(splits: Sequence[_Split]) -> Iterator[str]:
    """Remarks on images with the same bytes, by the splits in which they are."""
    places: dict[bytes, list[tuple[int, int]]] = defaultdict(list)
    for number, split in enumerate(splits):
        for index, look in enumerate(split.looks):
            if look.digest:
                places[look.digest].append((number, index))
    groups: dict[tuple[int, ...], list[list[tuple[int, int]]]] = defaultdict(list)
    for same in places.values():
        if len(same) > 1:
            groups[tuple(sorted({number for number, _ in same}))].append(same)
    for numbers, found in sorted(groups.items()):
        where = " and ".join(splits[number].name for number in numbers)
        shown = _some([" = ".join(splits[number].image(index) for number, index in same) for same in found], 3)
        labels = sum(len({int(splits[n].dataset.labels[i]) for n, i in same}) > 1 for same in found)
        also = f", {labels:,} of them with two labels" if labels else ""
        images = f"{len(found):,} images are there" if len(found) > 1 else "1 image is there"
        yield f"{where}: {images} more than once, byte for byte{also}: {shown}"


def _without_colour(seen: Mapping[str, _Look]) -> Iterator[str]:
    grey = [file for file, look in seen.items() if not look.problem and not look.colour]
    if grey:
        yield f"{len(grey):,} of {len(seen):,} files are grey and read as RGB: {_some([Path(p).name for p in grey], 3)}"


def _largest_class(splits: Sequence[_Split]) -> Iterator[str]:
    """What a result on test is to be held against."""
    by_loader = {split.loader: split for split in splits}
    if {"train", "test"} <= by_loader.keys():
        label = int(_per_class(by_loader["train"]).argmax())
        counts = Counter(np.asarray(by_loader["test"].dataset.labels).tolist())
        share = 100 * counts[label] / max(sum(counts.values()), 1)
        yield f"always saying the largest class of training gets a top-1 of {share:.1f} on test"


def _some(names: Sequence[str], most: int = 5) -> str:
    return f"{', '.join(names[:most])}{', ...' if len(names) > most else ''}"

"""Which images belong to a split: the official one, or a part of the training images that is held out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from backbones.errors import UserInputError, did_you_mean
from tasks.counting.layouts._base import Entry, Source, Split
from transfer.engine.data import find_data
from transfer.engine.images import EXTENSIONS

SPLITS = ("train", "val", "test", "all")
VAL_RATIO = 0.1


def select(
    source: Source,
    split: str,
    *,
    fold: int = 0,
    val_ratio: float | None = None,
    val_seed: int = 0,
    val_list: str | Path | None = None,
    indices: int | Sequence[int] | None = None,
    strict: bool = True,
) -> list[Entry]:
    """The images of a split.

    `train`, `val` and `test` are the official ones. Without an official val, `val` is a part of the training images,
    and `train` is the rest. `all` is everything, where `image_id` begins with the split's name if there are several.

    Args:
        source: as `find_source` gives it.
        split: one of `SPLITS`.
        fold: which part of a data set with `folds` is the test split, from 0.
        val_ratio: share of the training images that is held out, rounded to whole images; None for `VAL_RATIO`.
        val_seed: seed of that draw.
        val_list: text file with the names of the images held out, instead of a draw.
        indices: keep the first so many images of the split (the last, if negative), or those at these places; None for
            all. For quick trials.
        strict: refuse a split with images without points or the reverse; otherwise these are left out.

    Raises:
        UserInputError: no such split or fold, files that do not pair, nothing left in the split, `val_ratio` or
            `val_list` beside an official val, or `indices` that lead out of the split.
    """
    entries = _select(source, split, fold, val_ratio, val_seed, val_list, strict)
    return entries if indices is None else _at(entries, indices, f"data_root {source.root}: split={split!r}")


def _select(
    source: Source,
    split: str,
    fold: int,
    val_ratio: float | None,
    val_seed: int,
    val_list: str | Path | None,
    strict: bool,
) -> list[Entry]:
    official = official_splits(source, split, fold)
    problems = [line for part in official.values() for line in part.problems]
    if strict and problems:
        more = len(problems) - 1
        raise UserInputError(problems[0] + (f" ({more} more: tools/check_data.py lists them)" if more else ""))
    if "val" in source.splits and (val_ratio is not None or val_list is not None):
        option = f"val_ratio={val_ratio}" if val_list is None else f"val_list={str(val_list)!r}"
        raise UserInputError(f"{option}: {source.root} has an official val split, which is used: leave the option out")
    if split == "all":
        return _everything(official)
    (entries,) = (part.entries for part in official.values())
    if not _held_out_from_train(source, split) or not entries:
        return entries
    held_out = _listed(entries, Path(val_list)) if val_list else _drawn(entries, val_ratio, val_seed)
    chosen = [entry for entry in entries if (entry.image_id in held_out) == (split == "val")]
    if not chosen:
        option = "val_list" if val_list else f"val_ratio={VAL_RATIO if val_ratio is None else val_ratio}"
        raise UserInputError(
            f"data_root {source.root}: nothing is left for split={split!r}, {len(held_out)} of {len(entries)} training "
            f"images are held out for validation: change {option}"
        )
    return chosen


def _at(entries: list[Entry], indices: int | Sequence[int], where: str) -> list[Entry]:
    """What mmengine's data sets keep for their option of that name; at least one."""
    places = [indices] if isinstance(indices, int) else indices
    if not isinstance(places, Sequence) or not all(type(place) is int for place in places):
        raise UserInputError(f"indices={indices!r}: expected how many images to keep, or a list of places")
    if isinstance(indices, int):
        chosen = entries[:indices] if indices >= 0 else entries[indices:]
    else:
        beyond = next((place for place in indices if not -len(entries) <= place < len(entries)), None)
        if beyond is not None:
            raise UserInputError(f"indices={indices!r}: {where} has {len(entries)} images, none at place {beyond}")
        chosen = [entries[place] for place in indices]
    if not chosen and entries:
        raise UserInputError(f"indices={indices!r}: nothing of {where} is left, expected at least one image")
    return chosen


def official_splits(source: Source, split: str, fold: int = 0) -> dict[str, Split]:
    """The official splits that the images of `split` come from: one by its name, or each of them for `all`.

    Raises:
        UserInputError: the data set has no such split or fold.
    """
    if split not in SPLITS:
        raise UserInputError(
            f"split={split!r} is unknown, expected one of {', '.join(SPLITS)}.{did_you_mean(split, SPLITS)}"
        )
    splits = _folded(source, fold)
    if split == "all":
        return dict(source.splits)
    name = "train" if _held_out_from_train(source, split) else split
    if name == "train" and name not in splits and "all" in splits:
        name = "all"
    if name not in splits:
        hint = "name split='all', or put its images into folders train and test" if "all" in splits else ""
        raise UserInputError(
            f"data_root {source.root}: has no split {name!r} (found {', '.join(splits)}): "
            + (hint or "; ".join(source.remarks) or "expected it beside the others")
        )
    return {name: splits[name]}


def _held_out_from_train(source: Source, split: str) -> bool:
    return split in ("train", "val") and "val" not in source.splits


def _folded(source: Source, fold: int) -> Mapping[str, Split]:
    """Train and test of a fold: parts of consecutive images, of which the fold's is the test split."""
    if source.folds is None:
        if fold != 0:
            raise UserInputError(f"fold={fold!r}: {source.name} has no folds, expected 0")
        return source.splits
    if fold not in range(source.folds):
        raise UserInputError(f"fold={fold!r}: expected a whole number from 0 to {source.folds - 1}")
    entries, problems = source.splits["all"].entries, source.splits["all"].problems
    test = {int(i) for i in np.array_split(np.arange(len(entries)), source.folds)[fold]}
    return {
        "train": Split([entry for i, entry in enumerate(entries) if i not in test], problems),
        "test": Split([entry for i, entry in enumerate(entries) if i in test], problems),
    }


def _everything(splits: Mapping[str, Split]) -> list[Entry]:
    if len(splits) == 1:
        return next(iter(splits.values())).entries
    return [
        Entry(entry.image, entry.points, f"{name}/{entry.image_id}")
        for name, split in splits.items()
        for entry in split.entries
    ]


def _drawn(entries: Sequence[Entry], ratio: float | None, seed: int) -> set[str]:
    """Names of `round(ratio * N)` images, drawn with the seed: 30 of part A's 300, 40 of part B's 400."""
    ratio = VAL_RATIO if ratio is None else ratio
    if not 0 <= ratio < 1:
        raise UserInputError(f"val_ratio={ratio}: expected a number from 0 to below 1")
    order = np.random.default_rng(seed).permutation(len(entries))
    return {entries[i].image_id for i in order[: round(ratio * len(entries))]}


def _listed(entries: Sequence[Entry], val_list: Path) -> set[str]:
    """Names in a text file, one on each line, with or without folder and ending."""
    file = find_data(val_list)
    known = {entry.image_id for entry in entries}
    chosen = set()
    for number, name in _names(file):
        stem = Path(name).stem if Path(name).suffix.lower() in EXTENSIONS else name
        if stem not in known:
            raise UserInputError(
                f"val_list {file}: line {number} names {name!r}, which is none of the {len(entries)} training images."
                f"{did_you_mean(stem, known)}"
            )
        chosen.add(stem)
    return chosen


def _names(file: Path) -> Iterator[tuple[int, str]]:
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserInputError(
            f"val_list {file}: cannot be read, expected a text file with the name of an image on each line"
        ) from error
    for number, line in enumerate(lines, start=1):
        if name := line.strip():
            yield number, Path(name).name

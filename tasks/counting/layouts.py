"""Where data sets keep their pictures and points, and which pictures belong to which split."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from backbones.errors import UserInputError, did_you_mean
from tasks.counting.points import READERS
from transfer.engine.data import find_data
from transfer.engine.images import EXTENSIONS

SPLITS = ("train", "val", "test", "all")
UCF_FOLDS = 5

# Part A, test: 98 is train 121 byte for byte, the others are near-duplicates of train 60, 2, 139, 154 and 97.
LEAKED_PART_A = tuple(f"IMG_{n}" for n in (98, 40, 173, 82, 181, 142))

SHANGHAITECH_SOURCE = "get it from https://github.com/desenzhou/ShanghaiTechDataset"
UCF_SOURCE = "get it from https://www.crcv.ucf.edu/data/ucf-cc-50/"

# The folder of points tells ShanghaiTech's releases apart.
RELEASES = {"ground-truth": "2016", "ground_truth": "2015"}
POINT_FOLDERS = ("points", "ground-truth", "ground_truth")


@dataclass(frozen=True)
class Entry:
    """A picture and the file with its heads; `image_id` is unique within its split."""

    image: Path
    points: Path
    image_id: str


@dataclass(frozen=True)
class Source:
    """A data set on disk.

    Attributes:
        name: what results call it.
        root: its folder.
        splits: "train" and "test", as far as they are there, in natural order of the file names; "all" for a folder
            without splits.
        part: "A" or "B" of ShanghaiTech.
        release: "2015" or "2016" of ShanghaiTech, as the folders' names have it.
        problems: a line for each picture without points and the reverse; such are in no split.
    """

    name: str
    root: Path
    splits: dict[str, list[Entry]]
    part: str | None = None
    release: str | None = None
    problems: tuple[str, ...] = ()


def find_source(data_root: str | Path, layout: str, fold: int = 0, *, strict: bool = True) -> Source:
    """Finds a data set and lists its pictures.

    Args:
        data_root: its folder, as it stands or as `find_data` finds it.
        layout: "shanghaitech", "ucf_cc_50" or "folder".
        fold: which fifth of UCF_CC_50 is the test split, 0 to 4.
        strict: refuse pictures without points and the reverse; otherwise they are listed as `problems`.

    Raises:
        UserInputError: the folder is missing or laid out otherwise, a picture has no points or points no picture.
    """
    if layout not in LAYOUTS:
        expected = ", ".join(LAYOUTS)
        raise UserInputError(
            f"layout={layout!r} is unknown, expected one of {expected}.{did_you_mean(layout, LAYOUTS)}"
        )
    root = _find_root(Path(data_root), layout)
    if not root.is_dir():
        raise UserInputError(f"data_root {root}: is a file, expected the folder of a data set")
    source = LAYOUTS[layout](root, fold)
    if strict and source.problems:
        more = len(source.problems) - 1
        raise UserInputError(source.problems[0] + (f" ({more} more: tools/check_data.py lists them)" if more else ""))
    return source


def _find_root(wanted: Path, layout: str) -> Path:
    """ShanghaiTech's parts are `part_A` in the release of 2016, `part_A_final` in that of 2015: either finds either."""
    try:
        return find_data(wanted)
    except UserInputError as error:
        if layout == "shanghaitech" and (match := re.fullmatch(r"(part_[AB])(_final)?", wanted.name)):
            twin = wanted.with_name(match[1] if match[2] else f"{match[1]}_final")
            try:
                return find_data(twin)
            except UserInputError:
                raise UserInputError(f"{error}; {twin.name} is not there either; {SHANGHAITECH_SOURCE}") from None
        raise


def shanghaitech(root: Path, fold: int = 0) -> Source:
    """`{train,test}_data/{images/IMG_n.jpg, ground-truth/GT_IMG_n.mat}`; `ground_truth` in the release of 2015."""
    splits, releases, problems = {}, set(), []
    for split in ("train", "test"):
        folder = root / f"{split}_data"
        points = [folder / name for name in RELEASES if (folder / name).is_dir()]
        if not (folder / "images").is_dir() or not points:
            continue
        releases.add(RELEASES[points[0].name])
        splits[split] = _pair(folder / "images", points[0], lambda stem: [f"GT_{stem}.mat"], problems)
    if not splits:
        parts = [p.name for p in sorted(root.glob("part_[AB]*")) if p.is_dir()]
        inner = f"; its folder {parts[0]} may be meant" if parts else ""
        raise UserInputError(
            f"data_root {root}: is not laid out as ShanghaiTech, looked for train_data and test_data with images and "
            f"ground-truth (2016) or ground_truth (2015) in them{inner}; {SHANGHAITECH_SOURCE}"
        )
    part = _part(root, splits)
    if part is None:  # other pictures in ShanghaiTech's layout, such as generated ones: no release of anything
        return Source(root.resolve().name, root, splits, problems=tuple(problems))
    release = "2015" if root.resolve().name.endswith("_final") else min(releases)
    return Source(f"ShanghaiTech {part}", root, splits, part, release, tuple(problems))


def _part(root: Path, splits: dict[str, list[Entry]]) -> str | None:
    """By the folder's name, else by the number of pictures, which differs between the parts."""
    for name in (root.name, root.resolve().name):
        if match := re.match(r"(?i)part_?([ab])(?![a-z])", name):
            return match[1].upper()
    sizes = {(300, "train"): "A", (182, "test"): "A", (400, "train"): "B", (316, "test"): "B"}
    found = {sizes.get((len(entries), split)) for split, entries in splits.items()}
    return found.pop() if len(found) == 1 else None


def ucf_cc_50(root: Path, fold: int = 0) -> Source:
    """`n.jpg` and `n_ann.mat`; five folds of consecutive pictures, the authors' own having never been published."""
    if fold not in range(UCF_FOLDS):
        raise UserInputError(f"fold={fold!r}: expected a whole number from 0 to {UCF_FOLDS - 1}")
    if not any(root.glob("*_ann.mat")):
        raise UserInputError(
            f"data_root {root}: is not laid out as UCF_CC_50, looked for 1.jpg, 1_ann.mat, ...; {UCF_SOURCE}"
        )
    problems: list[str] = []
    entries = _pair(root, root, lambda stem: [f"{stem}_ann.mat"], problems)
    if len(entries) < UCF_FOLDS:
        raise UserInputError(f"data_root {root}: has {len(entries)} picture(s), expected 50; {UCF_SOURCE}")
    folds = [set(part.tolist()) for part in np.array_split(np.arange(len(entries)), UCF_FOLDS)]
    splits = {
        "train": [entry for i, entry in enumerate(entries) if i not in folds[fold]],
        "test": [entry for i, entry in enumerate(entries) if i in folds[fold]],
    }
    return Source("UCF_CC_50", root, splits, problems=tuple(problems))


def folder(root: Path, fold: int = 0) -> Source:
    """Pictures with a file of points each, in `root` or in its folders `train` and `test`.

    In each of these, pictures lie beside their points, or in `images` with the points in `points`, `ground-truth` or
    `ground_truth`. The points of `a.jpg` are in `a`, `a_ann` or `GT_a`, with any ending that `read_points` knows.
    """

    def names(stem: str) -> list[str]:
        return [f"{name}{suffix}" for name in (stem, f"{stem}_ann", f"GT_{stem}") for suffix in READERS]

    halves = {split: root / split for split in ("train", "test") if (root / split).is_dir()} or {"all": root}
    splits: dict[str, list[Entry]] = {}
    problems: list[str] = []
    for split, place in halves.items():
        pictures = place / "images" if (place / "images").is_dir() else place
        points = next((place / name for name in POINT_FOLDERS if (place / name).is_dir()), pictures)
        splits[split] = _pair(pictures, points, names, problems)
    return Source(root.resolve().name, root, splits, problems=tuple(problems))


LAYOUTS: dict[str, Callable[[Path, int], Source]] = {
    "shanghaitech": shanghaitech,
    "ucf_cc_50": ucf_cc_50,
    "folder": folder,
}


def select(
    source: Source,
    split: str,
    *,
    val_ratio: float = 0.1,
    val_seed: int = 0,
    val_list: str | Path | None = None,
) -> list[Entry]:
    """The pictures of a split.

    `val` is carved out of the training pictures, `train` is the rest; `all` is everything, where `image_id` begins
    with `train/` or `test/` if there are both.

    Raises:
        UserInputError: the data set has no such split, or nothing is left in it.
    """
    if split not in SPLITS:
        raise UserInputError(
            f"split={split!r} is unknown, expected one of {', '.join(SPLITS)}.{did_you_mean(split, SPLITS)}"
        )
    if split == "all":
        return _everything(source)
    official = "test" if split == "test" else "train"
    entries = source.splits.get(official)
    if entries is None and official == "train":
        entries = source.splits.get("all")
    if entries is None:
        hint = "name split='all', or put its pictures into folders train and test" if "all" in source.splits else ""
        raise UserInputError(
            f"data_root {source.root}: has no split {official!r} (found {', '.join(source.splits)})"
            + (f": {hint}" if hint else f": expected it beside the other; {SHANGHAITECH_SOURCE}" if source.part else "")
        )
    if split == "test":
        return entries
    held_out = _listed(entries, Path(val_list)) if val_list else _drawn(entries, val_ratio, val_seed)
    chosen = [entry for entry in entries if (entry.image_id in held_out) == (split == "val")]
    if not chosen:
        raise UserInputError(
            f"data_root {source.root}: nothing is left for split={split!r}, {len(held_out)} of {len(entries)} training "
            f"pictures are held out for validation: change {'val_list' if val_list else f'val_ratio={val_ratio}'}"
        )
    return chosen


def _everything(source: Source) -> list[Entry]:
    if len(source.splits) == 1:
        return next(iter(source.splits.values()))
    return [
        Entry(entry.image, entry.points, f"{split}/{entry.image_id}")
        for split, entries in source.splits.items()
        for entry in entries
    ]


def _drawn(entries: Sequence[Entry], ratio: float, seed: int) -> set[str]:
    """Names of `round(ratio * N)` pictures, drawn with the seed: 30 of part A's 300, 40 of part B's 400."""
    if not 0 <= ratio < 1:
        raise UserInputError(f"val_ratio={ratio}: expected a number from 0 to below 1")
    order = np.random.default_rng(seed).permutation(len(entries))
    return {entries[i].image_id for i in order[: round(ratio * len(entries))]}


def _listed(entries: Sequence[Entry], val_list: Path) -> set[str]:
    """Names in a text file, one a line, with or without folder and ending."""
    file = find_data(val_list)
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserInputError(
            f"val_list {file}: cannot be read, expected a text file with a picture's name a line"
        ) from error
    known = {entry.image_id for entry in entries}
    chosen = set()
    for number, line in enumerate(lines, start=1):
        if not (name := line.strip()):
            continue
        name = Path(name).name
        stem = Path(name).stem if Path(name).suffix.lower() in EXTENSIONS else name
        if stem not in known:
            raise UserInputError(
                f"val_list {file}: line {number} names {name!r}, which is none of the {len(entries)} training pictures."
                f"{did_you_mean(stem, known)}"
            )
        chosen.add(stem)
    return chosen


def _pair(images: Path, points: Path, names: Callable[[str], Iterable[str]], problems: list[str]) -> list[Entry]:
    """Pairs each picture with the one of `names(stem)` in `points`, in natural order; others go to `problems`."""
    pictures = sorted((p for p in _files(images) if p.suffix.lower() in EXTENSIONS), key=lambda p: natural(p.name))
    if not pictures:
        raise UserInputError(f"{images}: holds no picture, expected files that end in {', '.join(EXTENSIONS)}")
    there = {p.name for p in _files(points) if p.suffix.lower() in READERS}
    entries: list[Entry] = []
    seen: dict[str, str] = {}
    for picture in pictures:
        other = seen.setdefault(picture.stem, picture.name)
        if other != picture.name:
            problems.append(f"{picture}: {other} has the same name, expected one picture for each file of points")
            continue
        candidates = list(names(picture.stem))
        found = [name for name in candidates if name in there]
        if not found:
            problems.append(
                f"{picture}: has no ground truth, expected {points / candidates[0]}: add it or remove the picture"
            )
            continue
        if len(found) > 1:
            problems.append(f"{picture}: has two files of points, {found[0]} and {found[1]}: remove one")
        there.difference_update(found)
        entries.append(Entry(picture, points / found[0], picture.stem))
    problems += [
        f"{points / orphan}: ground truth without a picture in {images}: add the picture or remove the file"
        for orphan in sorted(there, key=natural)
    ]
    return entries


def _files(place: Path) -> list[Path]:
    return [p for p in place.iterdir() if p.is_file() and not p.name.startswith(".")]


def natural(name: str) -> list[tuple[int, str]]:
    """Sort key that puts IMG_2 before IMG_10."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name)]

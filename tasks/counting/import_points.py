"""Turns what annotation tools write into the layout `folder`: images copied, points as CSV, train, val and test."""

from __future__ import annotations

import shutil
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from backbones.errors import UserInputError, did_you_mean
from backbones.files import whole_folder
from tasks.counting.dataset import BORDER
from tasks.counting.formats import Annotated, Mark, find_format, get_format, known_formats, list_formats, read_file
from tasks.counting.image_names import ImagesByName, files_below
from tasks.counting.layouts._files import natural
from tasks.counting.layouts.folder import Folder, write_points
from transfer.engine.console import tracked
from transfer.engine.images import image_shape

BOXES = ("centre", "head")
HEAD_BELOW_TOP = 1 / 15
"""Of the height of someone who stands, 7.5 heads tall: where the head's centre is."""
SPLITS = ("train", "val", "test")


class _Said(NamedTuple):
    """What a file of a format says of one image."""

    path: Path
    form: str
    annotated: Annotated


@dataclass(frozen=True)
class _Image:
    """An image that was found, with its points (N, 2)."""

    path: Path
    said_by: Path
    points: np.ndarray


@dataclass
class Imported:
    """What an import did.

    Attributes:
        out: the folder that was written.
        files: a line for each file of annotations.
        splits: number of images and of points in each split.
        labels: how many marks have each label, all of which were taken.
        unannotated: images that no file says anything of; they were left out.
        empty: images that were annotated without any point; their count is 0.
        remarks: one line each: what else is worth knowing.
    """

    out: Path
    files: list[str] = field(default_factory=list)
    splits: dict[str, tuple[int, int]] = field(default_factory=dict)
    labels: Counter[str] = field(default_factory=Counter)
    unannotated: list[str] = field(default_factory=list)
    empty: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)


def import_points(
    source: str | Path,
    out: str | Path,
    *,
    images: str | Path | None = None,
    format: str | None = None,
    boxes: str = "centre",
    labels: Sequence[str] = (),
    val_share: float = 0.1,
    test_share: float = 0.2,
    seed: int = 0,
) -> Imported:
    """Writes `out/{train,val,test}/{images,points}`, all of it or nothing.

    Args:
        source: file of annotations, or a folder with such files in it and below it.
        out: a new or empty folder.
        images: folder with the images in it and below it; default the source's.
        format: one of `tasks.counting.formats.list_formats()`; default what each file's content says.
        boxes: the point that a box becomes: its `"centre"` (boxes around heads, cars, cells), or the `"head"` of the
            person who stands in it, a fifteenth of the height below the middle of its upper side.
        labels: take marks with these labels only; default all.
        val_share: share of the images, rounded to whole ones, at least one; 0 for none.
        test_share: likewise.
        seed: of the draw, which depends on it and on the images' names only.

    Raises:
        UserInputError: a file is in no known format or holds anything but points and boxes; an image that it names is
            missing or of another size; points are no pixels of their image; an option is wrong.
    """
    source, out = Path(source), Path(out)
    if not source.exists():
        raise UserInputError(f"{source}: no such file or folder, expected annotations")
    _check_options(out, boxes, val_share, test_share, seed)
    report = Imported(out)
    folder = Path(images) if images else source if source.is_dir() else source.parent
    found = ImagesByName(folder)
    said = [
        _Said(path, name, annotated)
        for path, name in _annotation_files(source, format, found, report)
        for annotated in read_file(path, name)
    ]
    said = _with_labels(said, labels, report)
    taken = _located(said, found, boxes, report)
    _check_points(taken, report)
    splits = _split(taken, val_share, test_share, seed)
    with whole_folder(out) as new:
        _write(new, splits, found, report)
    return report


def _check_options(out: Path, boxes: str, val_share: float, test_share: float, seed: int) -> None:
    if boxes not in BOXES:
        raise UserInputError(f"--boxes {boxes}: expected {' or '.join(BOXES)}.{did_you_mean(boxes, BOXES)}")
    if not (0 <= val_share < 1 and 0 <= test_share < 1 and val_share + test_share < 1):
        raise UserInputError(
            f"--val-share {val_share} --test-share {test_share}: expected numbers from 0 whose sum is below 1"
        )
    if seed < 0:
        raise UserInputError(f"--seed {seed}: expected a whole number from 0")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UserInputError(f"--out {out}: is there already and not empty; remove it, or name another folder")


# ---- files of annotations


def _annotation_files(
    source: Path, form: str | None, found: ImagesByName, report: Imported
) -> Iterator[tuple[Path, str]]:
    """Yields each file with the name of its format; a file of none that belongs to no image is remarked on."""
    endings = {ending for name in ([form] if form else list_formats()) for ending in get_format(name).endings}
    files = [p for p in files_below(source) if p.suffix.lower() in endings] if source.is_dir() else [source]
    if not files:
        raise UserInputError(f"{source}: holds no annotations, expected files that end in {', '.join(sorted(endings))}")
    strays: list[Path] = []
    for path in files:
        name = form or find_format(path)
        if name is not None:
            yield path, name
        elif len(files) == 1 or found.of_stem(path.stem):
            raise _unknown(path)
        else:
            strays.append(path)
    if len(strays) == len(files):
        raise _unknown(strays[0])
    report.remarks += [f"{path}: is in no known format and named like no image, left out" for path in strays]


def _unknown(path: Path) -> UserInputError:
    return UserInputError(f"{path}: is in no known format, expected one of {known_formats()}")


def _with_labels(said: Sequence[_Said], wanted: Sequence[str], report: Imported) -> list[_Said]:
    """Keeps the marks of the labels that are wanted, and counts those that were kept."""
    known = Counter(mark.label for one in said for mark in one.annotated.marks or ())
    for label in wanted:
        if label not in known:
            there = ", ".join(sorted(filter(None, known))) or "no labels"
            raise UserInputError(
                f"--label {label}: expected a label of the files ({there}).{did_you_mean(label, known)}"
            )
    report.labels = Counter({label: n for label, n in known.items() if not wanted or label in wanted})
    left = {label: n for label, n in known.items() if label not in report.labels}
    if left:
        report.remarks.append("left out, as --label says: " + ", ".join(f"{n} {label}" for label, n in left.items()))
    return [one._replace(annotated=_chosen(one.annotated, report.labels)) for one in said]


def _chosen(annotated: Annotated, labels: Mapping[str, int]) -> Annotated:
    if annotated.marks is None:
        return annotated
    return replace(annotated, marks=[mark for mark in annotated.marks if mark.label in labels])


# ---- images


def _located(said: Sequence[_Said], found: ImagesByName, boxes: str, report: Imported) -> list[_Image]:
    """Finds each image, once, and turns its marks into points; the report gets a line for each file."""
    taken: dict[Path, _Image] = {}
    missing: list[tuple[Path, str]] = []
    for said_by, _, annotated in said:
        if annotated.marks is None:
            continue
        path = found.find(annotated.image, said_by)
        if path is None:
            missing.append((said_by, annotated.image))
            continue
        if path in taken:
            raise UserInputError(f"{path}: is annotated twice, in {taken[path].said_by} and in {said_by}: remove one")
        _check_size(path, annotated.size, said_by)
        taken[path] = _Image(path, said_by, _points(annotated.marks, boxes))
    if missing:
        said_by, name = missing[0]
        more = f" ({len(missing) - 1} more are missing)" if missing[1:] else ""
        raise UserInputError(
            f"{said_by}: its image {name!r} is not in {found.folder} or below it{more}: name the images' folder by "
            "--images, or remove it from the annotations"
        )
    report.files = list(_per_file(said, boxes))
    report.unannotated = [found.short(path) for path in found.paths if path not in taken]
    report.empty = [found.short(path) for path, image in taken.items() if not len(image.points)]
    if not taken:
        raise UserInputError(
            f"{found.folder}: none of its {len(found.paths)} images is annotated, expected at least one"
        )
    return sorted(taken.values(), key=lambda image: natural(found.short(image.path)))


def _points(marks: Sequence[Mark], boxes: str) -> np.ndarray:
    return np.array([_point(mark, boxes) for mark in marks], np.float64).reshape(-1, 2)


def _point(mark: Mark, boxes: str) -> tuple[float, float]:
    if mark.width is None or mark.height is None:
        return mark.x, mark.y
    return mark.x + mark.width / 2, mark.y + mark.height * (0.5 if boxes == "centre" else HEAD_BELOW_TOP)


def _per_file(said: Sequence[_Said], boxes: str) -> Iterator[str]:
    """What each file was found to hold, and what of it was left out."""
    by_file: dict[tuple[Path, str], list[Annotated]] = defaultdict(list)
    for path, name, annotated in said:
        by_file[path, name].append(annotated)
    for (path, name), images in by_file.items():
        marks = [mark for image in images for mark in image.marks or ()]
        turned = sum(mark.width is not None for mark in marks)
        place = "centres" if boxes == "centre" else "heads"
        told = f", {turned} of them from boxes, at their {place}" if turned else ""
        annotated = sum(image.marks is not None for image in images)
        notes = Counter(note for image in images for note in image.notes)
        shown = (note if len(images) == 1 else f"{note} (each of {n} images)" for note, n in notes.items())
        yield "; ".join([f"{path} ({name}): {annotated} images, {len(marks)} points{told}", *shown])


def _check_size(path: Path, size: tuple[int, int] | None, said_by: Path) -> None:
    height, width = image_shape(path)
    if size is not None and size != (width, height):
        raise UserInputError(
            f"{path}: has {width} x {height} pixels, {said_by} is about {size[0]} x {size[1]}: expected the image that "
            "was annotated, upright and at its size"
        )


def _check_points(images: Sequence[_Image], report: Imported) -> None:
    """Refuses coordinates that are no pixels of their images, and remarks on single points outside."""
    points = np.concatenate([image.points for image in images])
    if len(points) > 2 and points.min() >= 0 and points.max() <= 1:
        raise UserInputError(
            f"{images[0].said_by}: all coordinates are between 0 and 1, expected pixels: multiply x by the "
            "image's width and y by its height"
        )
    for image in images:
        height, width = image_shape(image.path)
        inside = ((image.points >= -BORDER) & (image.points <= (width + BORDER, height + BORDER))).all(axis=1)
        outside = int((~inside).sum())
        if outside > len(inside) / 2:
            raise UserInputError(
                f"{image.path}: {outside} of its {len(inside)} points in {image.said_by} lie outside its {width} x "
                f"{height} pixels: expected x from the left, y from the top, at this size"
            )
        if outside:
            report.remarks.append(f"{image.path}: {outside} of its {len(inside)} points lie outside the image")


# ---- what is written


def _split(images: Sequence[_Image], val_share: float, test_share: float, seed: int) -> dict[str, list[_Image]]:
    """Draws test and val; each keeps its images' order."""
    total = len(images)
    test, val = (max(1, round(share * total)) if share else 0 for share in (test_share, val_share))
    if test + val >= total:
        raise UserInputError(
            f"{total} annotated images: nothing is left for training besides {val} for val and {test} for test; "
            "annotate more, or give --val-share 0 or --test-share 0"
        )
    order = [int(i) for i in np.random.default_rng(seed).permutation(total)]
    drawn = {"test": order[:test], "val": order[test : test + val], "train": order[test + val :]}
    return {split: [images[i] for i in sorted(drawn[split])] for split in SPLITS if drawn[split]}


def _write(new: Path, splits: Mapping[str, Sequence[_Image]], found: ImagesByName, report: Imported) -> None:
    names = _names([image.path for images in splits.values() for image in images], found)
    pairs = [(split, image) for split, images in splits.items() for image in images]
    for split, image in tracked(pairs, "images", len(pairs)):
        target = new / split / "images" / names[image.path]
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(image.path, target)
        write_points(new / split / "points" / f"{target.stem}.csv", image.points)
    for split, images in splits.items():
        report.splits[split] = len(images), sum(len(image.points) for image in images)
    written = Folder().find(new)
    assert written is not None
    if problems := [line for part in written.splits.values() for line in part.problems]:
        raise UserInputError(problems[0].replace(f"{new}/", ""))
    assert {split: len(part.entries) for split, part in written.splits.items()} == {
        split: len(images) for split, images in splits.items()
    }


def _names(paths: Sequence[Path], found: ImagesByName) -> dict[Path, str]:
    """The images' own names; with their folders in front where two have the same, but for the ending."""
    stems = Counter(path.stem for path in paths)
    names = {p: p.name if stems[p.stem] == 1 else found.short(p).replace("/", "_") for p in paths}
    again = Counter(Path(name).stem for name in names.values())
    for path, name in names.items():
        if again[Path(name).stem] > 1:
            others = [other for other in paths if other != path and Path(names[other]).stem == Path(name).stem]
            raise UserInputError(f"{path}: is called like {others[0]}, expected different names: rename one of them")
    return names


def summary(report: Imported) -> list[str]:
    """What was done, for the terminal; every image and every label that is in no split is named."""
    lines = [*report.files]
    if len(report.labels) > 1:
        each = ", ".join(f"{label or 'without a label'} {n}" for label, n in sorted(report.labels.items()))
        lines.append(f"labels, all counted alike (--label picks): {each}")
    lines += [f"remark: {line}" for line in report.remarks]
    if report.empty:
        lines.append(f"{len(report.empty)} images annotated without points, count 0: {', '.join(report.empty)}")
    if report.unannotated:
        lines.append(f"{len(report.unannotated)} images without annotation, left out: {', '.join(report.unannotated)}")
    each = ", ".join(
        f"{split} {images} images with {points} points" for split, (images, points) in report.splits.items()
    )
    return [*lines, f"{report.out}: {each}"]

"""Folders that a command fills: all of its files appear, or none."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from backbones.errors import UserInputError
from backbones.files import whole_folder


def checked_folder(out: str | Path) -> Path:
    """`--out` as a path; raises `UserInputError` where a file has that name."""
    out = Path(out)
    if out.exists() and not out.is_dir():
        raise UserInputError(f"--out {out}: is a file, expected a folder")
    return out


def all_or_nothing(out: Path) -> AbstractContextManager[Path]:
    """A folder whose files move to `out` at the end, beside what that holds; after an error they are gone."""
    return whole_folder(out, keep=True)


def unique_stems(images: Sequence[Path]) -> Iterator[str]:
    """A name for each image's results, no two the same."""
    used: set[str] = set()
    for image in images:
        stem, number = image.stem, 2
        while stem in used:
            stem, number = f"{image.stem}_{number}", number + 1
        used.add(stem)
        yield stem

"""Folders that a command fills: all of its files appear, or none."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from backbones.errors import UserInputError


def checked_folder(out: str | Path) -> Path:
    """`--out` as a path; raises `UserInputError` where a file has that name."""
    out = Path(out)
    if out.exists() and not out.is_dir():
        raise UserInputError(f"--out {out}: is a file, expected a folder")
    return out


@contextmanager
def all_or_nothing(out: Path) -> Iterator[Path]:
    """A folder whose files move to `out` at the end; after an error they are gone."""
    parent = next(p for p in out.absolute().parents if p.is_dir())
    try:
        folder = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=parent))
    except OSError as error:
        raise UserInputError(f"--out {out}: cannot be written: {error.strerror}") from error
    try:
        yield folder
        out.mkdir(parents=True, exist_ok=True)
        for file in sorted(folder.iterdir()):
            os.replace(file, out / file.name)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def unique_stems(images: Sequence[Path]) -> Iterator[str]:
    """A name for each picture's results, no two the same."""
    used: set[str] = set()
    for image in images:
        stem, number = image.stem, 2
        while stem in used:
            stem, number = f"{image.stem}_{number}", number + 1
        used.add(stem)
        yield stem

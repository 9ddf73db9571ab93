"""A page of Markdown with its pictures, in a folder of their own that appears whole or not at all."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import TypeVar

from backbones.errors import UserInputError
from backbones.files import whole_folder

Subject = TypeVar("Subject")


def refuse_other_files(target: Path, names: Sequence[str]) -> None:
    """Raises `UserInputError` where the page would replace anything but a page: files beside `names` (patterns)."""
    if not target.exists():
        return
    if not target.is_dir():
        raise UserInputError(f"{target}: is a file, expected a folder for the report")
    for path in sorted(target.iterdir()):
        if not any(fnmatch(path.name, name) for name in names):
            raise UserInputError(f"{target}: holds {path.name}, which is no part of a report; choose another --out")


def write_sections(
    target: Path, page: str, title: str, sections: Mapping[str, Callable[[Subject, Path], list[str]]], subject: Subject
) -> Path:
    """Writes `page` with its pictures as the folder `target` and returns its path.

    A section draws its pictures into the folder and returns its paragraphs; one without any is left out.
    """
    with whole_folder(target) as folder:
        blocks = [f"# {title}"]
        for heading, section in sections.items():
            if lines := section(subject, folder):
                blocks += [f"## {heading}", *lines]
        (folder / page).write_text("\n\n".join(blocks) + "\n", encoding="utf-8")
    return target / page

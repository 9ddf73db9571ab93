"""Finds images by the names that files of annotations call them by."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path, PureWindowsPath

from backbones.errors import UserInputError
from tasks.counting.layouts._files import natural
from transfer.engine.images import EXTENSIONS


class ImagesByName:
    """The images in and below a folder, to be found by the names that annotations call them by."""

    def __init__(self, folder: Path) -> None:
        if not folder.is_dir():
            raise UserInputError(f"{folder}: no such folder, expected images")
        self.folder = folder
        self.paths = [path for path in files_below(folder) if path.suffix.lower() in EXTENSIONS]
        if not self.paths:
            raise UserInputError(f"{folder}: holds no images ({', '.join(EXTENSIONS)}): name their folder by --images")
        self._by_name: dict[str, list[Path]] = defaultdict(list)
        self._by_stem: dict[str, list[Path]] = defaultdict(list)
        for path in self.paths:
            self._by_name[path.name].append(path)
            self._by_stem[path.stem].append(path)

    def of_stem(self, stem: str) -> list[Path]:
        """Images whose points may be in a file of this name: `a`, `a_ann` and `GT_a` are of a.jpg."""
        for name in (stem, stem.removesuffix("_ann"), stem.removeprefix("GT_")):
            if name in self._by_stem:
                return self._by_stem[name]
        return []

    def find(self, name: str, said_by: Path) -> Path | None:
        """The image of that name, beside the file that names it where there are several."""
        wanted = PureWindowsPath(name)  # reads / and \ alike
        hits = self._by_name.get(wanted.name, []) if wanted.suffix.lower() in EXTENSIONS else self.of_stem(wanted.name)
        if len(hits) < 2:
            return hits[0] if hits else None
        places = {(base / wanted.as_posix()).resolve() for base in (said_by.parent, self.folder)}
        beside = [hit for hit in hits if hit.resolve() in places or hit.with_suffix("").resolve() in places]
        if len(beside) != 1:
            raise UserInputError(
                f"{said_by}: its image {name!r} may be {hits[0]} or {hits[1]}, expected one of that name: import their "
                "folders one by one"
            )
        return beside[0]

    def short(self, path: Path) -> str:
        """The image's name within the folder."""
        return path.relative_to(self.folder).as_posix()


def files_below(folder: Path) -> list[Path]:
    """Files in and below a folder in natural order, but for hidden ones."""
    inside = (path for path in folder.rglob("*") if path.is_file())
    shown = (path for path in inside if not any(part.startswith(".") for part in path.relative_to(folder).parts))
    return sorted(shown, key=lambda path: natural(path.relative_to(folder).as_posix()))

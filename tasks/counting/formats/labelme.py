"""LabelMe: a JSON file for each image, with "shapes"."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PureWindowsPath
from typing import Any

from backbones.errors import UserInputError
from tasks.counting.formats._base import Annotated, Format, Mark, box, point, read_json, refused, size_of


class LabelMe(Format):
    """Shapes of type point and rectangle."""

    title = "LabelMe's JSON with points or rectangles"
    endings = (".json",)

    def sniff(self, path: Path) -> bool:
        return is_labelme(read_json(path))

    def read(self, path: Path) -> Iterator[Annotated]:
        content = read_json(path)
        image = PureWindowsPath(content.get("imagePath") or path.stem)  # reads / and \ alike
        if image.stem != path.stem:
            raise UserInputError(
                f"{path}: its imagePath is {image.name!r}, expected an image called {path.stem}: which one is it? "
                "Rename the file, or change imagePath"
            )
        size = size_of(content.get("imageWidth"), content.get("imageHeight"))
        yield Annotated(image.as_posix(), marks(content, path), size)


def is_labelme(content: Any) -> bool:
    """Whether a JSON file's content is LabelMe's."""
    return isinstance(content, dict) and isinstance(content.get("shapes"), list)


def marks(content: Any, path: Path) -> list[Mark]:
    """The points and rectangles of a LabelMe file's content."""
    return [_mark(shape, f"{path}: shape {number}") for number, shape in enumerate(content["shapes"], start=1)]


def _mark(shape: dict[str, Any], where: str) -> Mark:
    kind, points, label = shape.get("shape_type"), shape["points"], str(shape.get("label") or "")
    if kind == "point":
        (xy,) = points
        return point(xy, where, label)
    if kind == "rectangle":
        (one, other) = points
        return box([*one, *other], where, label)
    raise refused(kind, where)

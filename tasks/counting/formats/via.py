"""VGG Image Annotator 1 and 2: one CSV or JSON file for all images."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from backbones.errors import UserInputError
from tasks.counting.formats._base import Annotated, Format, Mark, box, number, point, read_json, read_text, refused

SHAPE = "region_shape_attributes"


class VIA(Format):
    """Regions called point and rect."""

    title = "VIA's CSV or JSON with points or rectangles"
    endings = (".csv", ".json")

    def sniff(self, path: Path) -> bool:
        if path.suffix.lower() == ".csv":
            return is_via_heading(read_text(path).split("\n", 1)[0])
        return _images(read_json(path)) is not None

    def read(self, path: Path) -> Iterator[Annotated]:
        yield from _read_csv(path) if path.suffix.lower() == ".csv" else _read_json(path)


def is_via_heading(line: str) -> bool:
    """Whether the first line of a CSV file is VIA's."""
    return SHAPE in line


def _images(content: Any) -> Mapping[str, Any] | None:
    """The images of an annotation or project file; None if it is neither."""
    content = content.get("_via_img_metadata", content) if isinstance(content, dict) else None
    fits = content and all(isinstance(v, dict) and {"filename", "regions"} <= v.keys() for v in content.values())
    return content if fits else None


def _read_json(path: Path) -> Iterator[Annotated]:
    images = _images(read_json(path))
    if images is None:
        raise UserInputError(f"{path}: expected a filename and regions for each image: export it again")
    for image in images.values():
        regions = image["regions"]
        regions = list(regions.values()) if isinstance(regions, dict) else regions  # version 1 numbers them
        where = f"{path}: {image['filename']}: region"
        marks = [
            _mark(region["shape_attributes"], region.get("region_attributes"), f"{where} {n}")
            for n, region in enumerate(regions, start=1)
        ]
        yield Annotated(image["filename"], marks)


def _read_csv(path: Path) -> Iterator[Annotated]:
    images: dict[str, list[Mark]] = {}
    announced: dict[str, int] = {}
    for row in csv.DictReader(read_text(path).splitlines()):
        name, shape = row["filename"], json.loads(row[SHAPE])
        marks = images.setdefault(name, [])
        announced[name] = int(row["region_count"])
        if shape:
            where = f"{path}: {name}: region {len(marks) + 1}"
            marks.append(_mark(shape, json.loads(row["region_attributes"] or "{}"), where))
    for name, marks in images.items():
        if len(marks) != announced[name]:
            raise UserInputError(
                f"{path}: {name}: says {announced[name]} regions and lists {len(marks)}, expected the same number: "
                "export it again"
            )
        yield Annotated(name, marks)


def _mark(shape: Mapping[str, Any], attributes: Any, where: str) -> Mark:
    values = list(attributes.values()) if isinstance(attributes, dict) else []
    label = values[0] if len(values) == 1 and isinstance(values[0], str) else ""
    if shape["name"] == "point":
        return point((shape["cx"], shape["cy"]), where, label)
    if shape["name"] == "rect":
        x, y, width, height = (number(shape[key], where) for key in ("x", "y", "width", "height"))
        return box((x, y, x + width, y + height), where, label)
    raise refused(shape["name"], where)

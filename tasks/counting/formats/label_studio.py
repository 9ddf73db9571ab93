"""Label Studio's JSON: one file for all images, a list of tasks with coordinates in per cent of the image."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from backbones.errors import UserInputError
from tasks.counting.formats._base import Annotated, Format, Mark, box, number, point, read_json, refused, size_of
from transfer.engine.images import EXTENSIONS

KINDS = {"keypointlabels": "keypointlabels", "keypoint": "", "rectanglelabels": "rectanglelabels", "rectangle": ""}
"""The types of a result that are points or boxes, and where their `value` has the labels."""
OF_IMAGE = ("choices", "rating", "textarea", "number")


class LabelStudio(Format):
    """Keypoints and rectangles; of each task the one annotation that was not cancelled.

    A task without any is an image that nobody has annotated; an annotation without results is an image without things.
    """

    title = "Label Studio's JSON (not JSON-MIN) with keypoints or rectangles"
    endings = (".json",)

    def sniff(self, path: Path) -> bool:
        content = read_json(path)
        first = content[0] if isinstance(content, list) and content else None
        return isinstance(first, dict) and "data" in first and bool({"annotations", "completions"} & first.keys())

    def read(self, path: Path) -> Iterator[Annotated]:
        for number_, task in enumerate(read_json(path), start=1):
            yield _annotated(task, f"{path}: task {task.get('id', number_)}")


def _annotated(task: Mapping[str, Any], where: str) -> Annotated:
    image, given = _image(task["data"], where), task.get("annotations", task.get("completions"))
    kept = [annotation for annotation in given if not annotation.get("was_cancelled")]
    if not kept:
        return Annotated(image, None)
    if len(kept) > 1:
        raise UserInputError(f"{where}: has {len(kept)} annotations, expected one: delete the others, or skip them")
    results = [result for result in kept[0]["result"] if "value" in result]
    others = [result["type"] for result in results if result["type"] in OF_IMAGE]
    marks = [_mark(result, where) for result in results if result["type"] not in OF_IMAGE]
    sizes = {size_of(result.get("original_width"), result.get("original_height")) for result in results} - {None}
    if len(sizes) > 1:
        raise UserInputError(f"{where}: says that the image is of {len(sizes)} sizes, expected one: export it again")
    notes = (f"{len(others)} answers on the whole image left out",) if others else ()
    return Annotated(image, marks, sizes.pop() if sizes else None, notes)


def _image(data: Mapping[str, Any], where: str) -> str:
    """The one image among a task's data, without the eight digits that an upload puts in front of its name."""
    texts = [value for value in data.values() if isinstance(value, str)]
    names = [name for text in texts if (name := _file_name(text)).lower().endswith(EXTENSIONS)]
    if len(names) != 1:
        raise UserInputError(f"{where}: its data name {len(names)} images, expected one")
    return names[0]


def _file_name(text: str) -> str:
    """Of `/data/upload/1/0a1b2c3d-a.jpg`, of `/data/local-files/?d=photos/a.jpg`, of any address or path."""
    parts = urlsplit(text)
    path = unquote(parse_qs(parts.query).get("d", [parts.path])[0])
    return re.sub(r"^[0-9a-f]{8}-", "", path.rsplit("/", 1)[-1]) if "/upload/" in path else path


def _mark(result: Mapping[str, Any], where: str) -> Mark:
    kind, value = result["type"], result["value"]
    if kind not in KINDS:
        raise refused(kind, f"{where}: a result")
    if result.get("image_rotation"):
        raise UserInputError(f"{where}: its image was turned by {result['image_rotation']} degrees, expected none")
    width, height = (number(result[f"original_{side}"], where) for side in ("width", "height"))
    label = ", ".join(map(str, value.get(KINDS[kind]) or ()))
    x, y = number(value["x"], where) * width / 100, number(value["y"], where) * height / 100
    if kind.startswith("keypoint"):
        return point((x, y), where, label)
    across, down = number(value["width"], where) * width / 100, number(value["height"], where) * height / 100
    return _turned((x, y), (across, down), math.radians(number(value.get("rotation") or 0, where)), where, label)


def _turned(corner: tuple[float, float], size: tuple[float, float], angle: float, where: str, label: str) -> Mark:
    """The upright box around a rectangle that is turned clockwise about its top left corner; the centre is the same."""
    if not angle:
        return box((*corner, corner[0] + size[0], corner[1] + size[1]), where, label)
    cos, sin = math.cos(angle), math.sin(angle)
    xs, ys = zip(*[(u * cos - v * sin, u * sin + v * cos) for u in (0, size[0]) for v in (0, size[1])], strict=True)
    return box((corner[0] + min(xs), corner[1] + min(ys), corner[0] + max(xs), corner[1] + max(ys)), where, label)

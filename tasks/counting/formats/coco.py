"""COCO: one JSON file for all images, with "images", "annotations" and "categories"."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from backbones.errors import UserInputError
from tasks.counting.formats._base import Annotated, Format, Mark, number, point, read_json, size_of


class COCO(Format):
    """A thing's one visible keypoint, else its box.

    A skeleton of several keypoints is one thing, which its box stands for: no keypoint of it is the thing's place.
    Boxes of `iscrowd` are around many things, so they are left out, and noted.
    """

    title = "COCO's JSON with keypoints or boxes"
    endings = (".json",)

    def sniff(self, path: Path) -> bool:
        content = read_json(path)
        return isinstance(content, dict) and {"images", "annotations"} <= content.keys()

    def read(self, path: Path) -> Iterator[Annotated]:
        content = read_json(path)
        labels = {c["id"]: str(c.get("name", "")) for c in content.get("categories") or ()}
        images = {image["id"]: image for image in content["images"]}
        if len(images) < len(content["images"]):
            raise UserInputError(f"{path}: two of its images have the same id, expected one id for each: export again")
        of: dict[Any, list[Mapping[str, Any]]] = defaultdict(list)
        for annotation in content["annotations"]:
            if annotation["image_id"] not in images:
                raise UserInputError(
                    f"{path}: annotation {annotation.get('id')} is of image {annotation['image_id']!r}, which is none "
                    "of its images, expected one of them: export it again"
                )
            of[annotation["image_id"]].append(annotation)
        for key, image in images.items():
            yield _annotated(image, of[key], labels, path)


def _annotated(
    image: Mapping[str, Any], annotations: list[Mapping[str, Any]], labels: Mapping[Any, str], path: Path
) -> Annotated:
    kept = [annotation for annotation in annotations if not annotation.get("iscrowd")]
    marks = [_mark(a, f"{path}: annotation {a.get('id')}", labels.get(a.get("category_id"), "")) for a in kept]
    crowds, skeletons = len(annotations) - len(kept), sum(len(_visible(a)) > 1 for a in kept)
    notes = [
        *([f"{crowds} boxes around many (iscrowd) left out"] if crowds else []),
        *([f"{skeletons} skeletons taken by their boxes"] if skeletons else []),
    ]
    size = size_of(image.get("width"), image.get("height"))
    return Annotated(image["file_name"], marks, size, tuple(notes))


def _mark(annotation: Mapping[str, Any], where: str, label: str) -> Mark:
    visible = _visible(annotation)
    if len(visible) == 1:
        return point(visible[0], where, label)
    if not annotation.get("bbox"):
        raise UserInputError(f"{where}: has {len(visible)} visible keypoints and no bbox, expected one of either")
    x, y, width, height = (number(value, where) for value in annotation["bbox"])
    if min(width, height) < 0:
        raise UserInputError(f"{where}: bbox {annotation['bbox']} has a negative size, expected x, y, width, height")
    return Mark(x, y, width, height, label)


def _visible(annotation: Mapping[str, Any]) -> list[tuple[Any, Any]]:
    """Keypoints (x, y) whose third value is not 0, "not labelled"."""
    flat = annotation.get("keypoints") or []
    if len(flat) % 3:
        raise ValueError("keypoints are not in threes")
    return [(x, y) for x, y, v in zip(flat[::3], flat[1::3], flat[2::3], strict=True) if v]

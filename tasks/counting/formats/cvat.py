"""CVAT for images 1.1: one XML file for all images."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from xml.etree.ElementTree import Element

from backbones.errors import UserInputError
from tasks.counting.formats._base import Annotated, Format, Mark, box, point, read_xml, refused, size_of

CORNERS = ("xtl", "ytl", "xbr", "ybr")


class CVAT(Format):
    """Elements `points`, of which each has one or more, and `box`; what `tag` says of a whole image is noted."""

    title = "CVAT's XML for images 1.1 with points or boxes"
    endings = (".xml",)

    def sniff(self, path: Path) -> bool:
        return read_xml(path).tag == "annotations"

    def read(self, path: Path) -> Iterator[Annotated]:
        root = read_xml(path)
        if root.find("track") is not None:
            raise UserInputError(f"{path}: holds tracks of a video, expected images: export 'CVAT for images 1.1'")
        for image in root.iter("image"):
            name = image.attrib["name"]
            marks = [mark for shape in image for mark in _marks(shape, f"{path}: image {name}: {shape.tag}")]
            tags = sum(shape.tag == "tag" for shape in image)
            notes = (f"{tags} tags of the whole image left out",) if tags else ()
            yield Annotated(name, marks, size_of(image.get("width"), image.get("height")), notes)


def _marks(shape: Element, where: str) -> list[Mark]:
    label = shape.get("label", "")
    if shape.tag == "points":
        return [point(xy.split(","), where, label) for xy in shape.attrib["points"].split(";")]
    if shape.tag == "box":  # a `rotation` turns it about its centre, which stays
        return [box([shape.attrib[key] for key in CORNERS], where, label)]
    if shape.tag == "tag":
        return []
    raise refused(shape.tag, where)

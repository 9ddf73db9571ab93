"""Pascal VOC, as LabelImg writes it: an XML file for each image, with boxes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from xml.etree.ElementTree import Element

from tasks.counting.formats._base import Annotated, Format, Mark, box, read_xml, size_of

CORNERS = ("xmin", "ymin", "xmax", "ymax")


class VOC(Format):
    """The `bndbox` of each `object`."""

    title = "Pascal VOC's XML with boxes"
    endings = (".xml",)

    def sniff(self, path: Path) -> bool:
        return read_xml(path).tag == "annotation"

    def read(self, path: Path) -> Iterator[Annotated]:
        root = read_xml(path)
        marks = [_mark(thing, f"{path}: object {n}") for n, thing in enumerate(root.iter("object"), start=1)]
        size = size_of(root.findtext("size/width"), root.findtext("size/height"))
        yield Annotated(root.findtext("filename") or path.stem, marks, size)


def _mark(thing: Element, where: str) -> Mark:
    return box([thing.findtext(f"bndbox/{key}") for key in CORNERS], where, thing.findtext("name") or "")

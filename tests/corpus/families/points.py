"""Annotated points: each format with what its files may hold that are no points."""

from __future__ import annotations

import gzip
import io
import json
import shutil
import struct
from collections.abc import Callable
from functools import partial
from pathlib import Path

import annotation_files
import numpy as np
import scipy.io
from counting_files import save_mat

from tasks.counting.formats import read_file
from tasks.counting.points import read_points
from tests.corpus.base import base
from tests.corpus.case import Case
from tests.corpus.spoil import spoilt

JSON = {
    "empty": "", "null": "null", "number": "7", "text": '"points"', "true": "true", "cut": "[[1, 2], [3",
    "object": '{"a": 1}', "strings": '[["a", "b"]]', "one number": "[[1]]", "three numbers": "[[1, 2, 3]]",
    "numbers": "[1, 2, 3]", "null point": "[null]", "null x": "[[null, 1]]", "true x": "[[true, 1]]",
    "nan": "[[NaN, 1]]", "infinite": "[[1e999, 1]]", "an integer of 400 digits": f"[[{10**400}, 1]]",
    "an integer of 5000 digits": f"[[{'9' * 5000}, 1]]", "nested deeply": "[" * 100_000 + "]" * 100_000,
    "nested objects": '{"points":' * 50_000 + "1" + "}" * 50_000, "without y": '[{"x": 1}]',
    "points is text": '{"points": "none"}', "points is null": '{"points": null}', "counted wrongly":
    '{"points": [[1, 2]], "human_num": 2}', "counted in words": '{"points": [[1, 2]], "human_num": "one"}',
    "labelme without points": '{"shapes": [{"shape_type": "point"}]}', "labelme's shapes are numbers": '{"shapes": [1]}',
    "labelme's circle": '{"shapes": [{"shape_type": "circle", "points": [[1, 2], [3, 4]]}]}',
    "labelme's rectangle": '{"shapes": [{"shape_type": "rectangle", "points": [[1, 2], [3, 4]]}]}',
    "labelme's point is text": '{"shapes": [{"shape_type": "point", "points": ["ab"]}]}',
    "labelme's point is huge": f'{{"shapes": [{{"shape_type": "point", "points": [[{10**400}, 1]]}}]}}',
    "nested in a point": f"[[{'[' * 50}{']' * 50}, 1]]", "two values": "[[1, 2]] [[3, 4]]", "comments": "// [[1, 2]]",
}  # fmt: skip
TABLES = {
    "words": "left right\n", "one column": "1\n2\n", "three columns": "1 2 3\n", "ragged": "1 2\n3\n",
    "nan": "1 nan\n", "infinite": "1 inf\n", "text": "1 two\n", "hexadecimal": "0x1 0x2\n", "quotes": '"1 2\n',
    "a heading twice": "x,y\nx,y\n", "huge": "1e400 1\n", "a line of a million cells": "1 " * 1_000_000 + "\n",
    "another heading": "width,height\n1,2\n", "bracketed": "[1, 2]\n", "decimal commas": "1,5 2,5\n",
}  # fmt: skip
BYTES: dict[str, bytes] = {
    "zeros": bytes(100), "not utf-8": b"\xff\xfe\xfa\xfb 1 2", "utf-16": "1 2\n".encode("utf-16"),
    "random": bytes(range(256)) * 8,
}  # fmt: skip


def _array(values: object, **options: object) -> bytes:
    out = io.BytesIO()
    np.save(out, values, **options)
    return out.getvalue()


def _npy_header(header: str) -> bytes:
    return b"\x93NUMPY\x01\0" + struct.pack("<H", len(header)) + header.encode()


ARRAYS: dict[str, Callable[[], bytes]] = {
    "empty": bytes,
    "objects": lambda: _array(np.array([{"x": 1}], object), allow_pickle=True),
    "text": lambda: _array(np.array([["a", "b"]])),
    "three columns": lambda: _array(np.zeros((4, 3))),
    "one axis": lambda: _array(np.zeros(4)),
    "three axes": lambda: _array(np.zeros((2, 2, 2))),
    "no axis": lambda: _array(np.float64(3)),
    "complex": lambda: _array(np.zeros((2, 2), complex)),
    "dates": lambda: _array(np.zeros((2, 2), "datetime64[s]")),
    "records": lambda: _array(np.zeros(3, [("x", "f4"), ("y", "f4")])),
    "nan": lambda: _array(np.array([[1, np.nan]])),
    "cut": lambda: _array(np.zeros((9, 2)))[:-8],
    "code in the header": lambda: _npy_header("{'descr': __import__('os').system('true'), 'shape': (1, 2)}\n"),
    "claims 10^12 rows": lambda: _npy_header("{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000, 2)}\n"),
    "negative shape": lambda: _npy_header("{'descr': '<f8', 'fortran_order': False, 'shape': (-1, 2)}\n"),
    "odd type": lambda: _npy_header("{'descr': '<f99', 'fortran_order': False, 'shape': (1, 2)}\n") + bytes(99),
    "a pickle": lambda: b"cos\nsystem\n(S'true'\ntR.",
    "several arrays": lambda: _zipped(),
    "gzipped": lambda: gzip.compress(_array(np.zeros((2, 2)))),
}


def _zipped() -> bytes:
    out = io.BytesIO()
    np.savez(out, a=np.zeros((1, 2)))
    return out.getvalue()


def _mat(**variables: object) -> bytes:
    out = io.BytesIO()
    scipy.io.savemat(out, variables, do_compression=bool(variables.pop("_packed", False)))
    return out.getvalue()


def _counted(number: int) -> bytes:
    save_mat(Path("counted.mat"), np.zeros((3, 2)), number=number)
    data = Path("counted.mat").read_bytes()
    Path("counted.mat").unlink()
    return data


MATS: dict[str, Callable[[], bytes]] = {
    "empty": bytes,
    "text": lambda: b"12 13\n14 15\n",
    "other variables": lambda: _mat(other=np.zeros((2, 2))),
    "no variables": lambda: _mat(),
    "points of three": lambda: _mat(annPoints=np.zeros((2, 3))),
    "text for points": lambda: _mat(annPoints="none"),
    "nan": lambda: _mat(annPoints=np.array([[1, np.nan]])),
    "image_info is a number": lambda: _mat(image_info=3),
    "image_info is empty": lambda: _mat(image_info=np.zeros((0, 0))),
    "a structure without points": lambda: _mat(image_info={"a": 1}),
    "counted wrongly": lambda: _counted(7),
    "cut": lambda: _mat(annPoints=np.zeros((99, 2)))[:300],
    "packed and cut": lambda: _mat(annPoints=np.zeros((99, 2)), _packed=True)[:150],
    "packed and flipped": lambda: _flipped(_mat(annPoints=np.random.default_rng(0).random((99, 2)), _packed=True)),
    "a bomb": lambda: _mat(annPoints=np.zeros((20_000_000, 2)), _packed=True),
    "MATLAB 7.3 without content": lambda: b"MATLAB 7.3 MAT-file".ljust(124) + struct.pack("<H", 0x0200) + b"IM",
    "complex": lambda: _mat(annPoints=np.full((2, 2), 1j)),
}


def _flipped(data: bytes) -> bytes:
    changed = bytearray(data)
    changed[len(data) // 2] ^= 0xFF
    return bytes(changed)


def _read(name: str, data: bytes | str | Callable[[], bytes], folder: Path) -> Callable[[], object]:
    content = data() if callable(data) else data
    Path(name).write_bytes(content.encode() if isinstance(content, str) else content)
    return partial(read_points, name)


def _list(name: str, form: str, content: object) -> Callable[[Path], Callable[[], object]]:
    def make(folder: Path) -> Callable[[], object]:
        Path(name).write_text(json.dumps(content))
        return lambda: list(read_file(Path(name), form))

    return make


def _imported(text: str, ending: str, folder: Path) -> list[str]:
    Path(f"marks{ending}").write_text(text)
    shutil.copy(base() / "a.png", "a.png")
    return ["import-points", f"marks{ending}", "--out", "out"]


FORMATS = {
    "labelme": annotation_files.LABELME, "coco": annotation_files.COCO, "via": annotation_files.VIA,
    "label_studio": annotation_files.LABEL_STUDIO,
}  # fmt: skip
FOUND = {
    "nested deeply": "5 tracebacks of points", "nested objects": "5 tracebacks of points", "a bomb": "58",
    "an integer of 400 digits": "5 tracebacks of points", "an integer of 5000 digits": "5 tracebacks of points",
    "labelme's point is huge": "5 tracebacks of points",
}  # fmt: skip
XML = {
    "cut": "<annotation><object>", "entities": '<!DOCTYPE a [<!ENTITY b "bb">]><annotation>&b;</annotation>',
    "another root": "<html></html>", "empty": "", "nested deeply": "<annotation>" * 20_000,
    "no box": "<annotation><object><name>a</name></object></annotation>",
    "words in a box": "<annotation><object><bndbox><xmin>a</xmin><ymin>1</ymin><xmax>2</xmax><ymax>3</ymax></bndbox></object></annotation>",
    "cvat without images": "<annotations><version>1.1</version></annotations>",
    "cvat's polygon": '<annotations><image id="0" name="a.jpg" width="9" height="9"><polygon points="1,2;3,4"/></image></annotations>',
    "cvat's points in words": '<annotations><image id="0" name="a.jpg" width="9" height="9"><points points="a,b"/></image></annotations>',
}  # fmt: skip


def cases() -> list[Case]:
    """Points by themselves and in the files of tools."""
    found = []
    for ending, texts in ((".json", JSON), (".csv", TABLES), (".txt", TABLES), (".json", BYTES), (".csv", BYTES),
                          (".npy", ARRAYS), (".mat", MATS), (".npy", BYTES), (".mat", BYTES)):  # fmt: skip
        for what, data in texts.items():
            name = f"{what.replace(' ', '_').replace(chr(39), '')}{ending}"
            binary = ending in (".npy", ".mat")
            found.append(
                Case("points", name, partial(_read, name, data), name, failed=FOUND.get(what, ""), editable=not binary)
            )
    for what, text in XML.items():
        found.append(Case("points", f"imported {what}.xml", partial(_imported, text, ".xml"), "marks.xml"))
    for what in ("cut", "nested deeply", "null", "object", "numbers"):
        found.append(Case("points", f"imported {what}.json", partial(_imported, JSON[what], ".json"), "marks.json"))
    for form, content in FORMATS.items():
        for change in spoilt(content):
            name = f"{form} {change.name}"
            if change.kind == "type":
                found.append(
                    Case(
                        "points",
                        name,
                        _list("street.json", form, change.table),
                        "street.json",
                        handled=_fine(form, change.key),
                    )
                )
    return [
        *found,
        Case("points", "missing", lambda _: partial(read_points, "missing.json"), "missing.json"),
        Case("points", "another ending", partial(_read, "points.docx", "1 2"), "points.docx"),
        Case("points", "a folder", lambda _: partial(read_points, "."), "."),
        Case("points", "empty.txt", partial(_read, "empty.txt", ""), handled="an image without people"),
        Case("points", "no points.json", partial(_read, "none.json", "[]"), handled="an image without people"),
        Case("points", "a comment.csv", partial(_read, "comment.csv", "# none\n"), handled="an image without people"),
    ]


UNUSED = {
    "labelme": ("version", "flags", "imageData", "imageHeight", "imageWidth", "shapes.0.flags", "shapes.0.label"),
    "coco": ("images.0.width", "images.0.height", "annotations.0.category_id", "categories.0.keypoints", "categories.0.name", "annotations.0.id",
             "annotations.0.num_keypoints", "annotations.0.bbox"),
    "via": ("street.jpg999.regions.0.region_attributes", "street.jpg999.size", "street.jpg999.file_attributes", "street.jpg999.regions.0.region_attributes.kind"),
    "label_studio": ("0.annotations.0.was_cancelled", "0.annotations.0.result.0.value.width", "0.id", "0.annotations.0.id"),
}  # fmt: skip


def _fine(form: str, key: str) -> str:
    """In which way a key of another type is handled: those that say nothing of where points are, are not read."""
    return "is not read" if key in UNUSED[form] or key.endswith((".annotations.0.id", ".from_name", ".to_name")) else ""

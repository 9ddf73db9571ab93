"""What a format of annotations is: what it hands over, and how its files are opened and its numbers checked."""

from __future__ import annotations

import json
import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar, NamedTuple
from xml.etree import ElementTree

import numpy as np

from backbones.errors import UserInputError
from backbones.limits import ANNOTATIONS


class Mark(NamedTuple):
    """One annotated thing, in pixels: a point, or an upright box by its top left corner and its size."""

    x: float
    y: float
    width: float | None = None
    height: float | None = None
    label: str = ""


@dataclass(frozen=True)
class Annotated:
    """What a file says of an image.

    Attributes:
        image: its file's name, perhaps with folders in front, or its name without ending.
        marks: None where the file names the image and says that nobody has annotated it yet.
        size: (width, height) in pixels at which it was annotated, where the file says so.
        notes: one line each: what of the file is in no mark.
    """

    image: str
    marks: list[Mark] | None
    size: tuple[int, int] | None = None
    notes: tuple[str, ...] = ()


class Format(ABC):
    """How one tool writes annotations: the one public subclass in a file of this package.

    Attributes:
        title: what it is, for messages.
        endings: of its files, in lower case.
    """

    title: ClassVar[str]
    endings: ClassVar[tuple[str, ...]]

    @abstractmethod
    def sniff(self, path: Path) -> bool:
        """Whether the file, which has one of `endings`, is in this format; no two formats say so of one file.

        Raises:
            UserInputError: the file cannot be read, or is cut.
        """

    @abstractmethod
    def read(self, path: Path) -> Iterator[Annotated]:
        """Yields each image that the file names; coordinates are read as they are, in pixels of the upright image.

        Raises:
            UserInputError: a mark is neither point nor box, or not finite: nothing is left out without a note.
            KeyError, TypeError, ValueError, IndexError, AttributeError: the file is not in this format after all.
        """


def read_text(path: Path) -> str:
    """A text file of at most `limits.ANNOTATIONS`, UTF-8 with or without a byte order mark."""
    try:
        ANNOTATIONS.check(path.stat().st_size, str(path))
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise UserInputError(f"{path}: is not text in UTF-8, expected annotations") from None
    except OSError as error:
        raise UserInputError(f"{path}: cannot be read: {error.strerror or error}") from error


def read_json(path: Path) -> Any:
    """The content of a JSON file; who reads the same file again gets the same objects, which nobody changes."""
    return _parsed(path, _json, _stamp(path))


def read_xml(path: Path) -> ElementTree.Element:
    """The root of an XML file, which must declare no document type: that is where entities would come from."""
    return _parsed(path, _xml, _stamp(path))


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        return (path.stat().st_mtime_ns, path.stat().st_size)
    except OSError:
        return None  # `read_text` says why


@lru_cache(maxsize=1)  # every format looks at a file before one of them reads it
def _parsed(path: Path, parse: Any, stamp: tuple[int, int] | None) -> Any:
    return parse(path)


def _json(path: Path) -> Any:
    try:
        return json.loads(read_text(path))
    except UserInputError:
        raise
    except RecursionError:
        raise UserInputError(f"{path}: is nested too deeply, expected annotations") from None
    except ValueError as error:
        raise UserInputError(f"{path}: is not JSON ({error}), expected annotations: export it again") from error


class _Builder(ElementTree.TreeBuilder):
    """Refuses a document type, which is where entities that expand to gigabytes are declared."""

    def doctype(self, name: str, pubid: str | None, system: str | None) -> None:
        raise UserInputError("declares a document type, expected plain XML: remove the <!DOCTYPE ...>")


def _xml(path: Path) -> ElementTree.Element:
    parser = ElementTree.XMLParser(target=_Builder())
    try:
        parser.feed(read_text(path))
        return parser.close()
    except UserInputError as error:
        raise UserInputError(f"{path}: {str(error).removeprefix(f'{path}: ')}") from None
    except ElementTree.ParseError as error:
        raise UserInputError(f"{path}: is not XML ({error}), expected annotations: export it again") from error


def number(value: Any, where: str) -> float:
    """`value`, or the text of a number, as a finite float; `where` begins the message otherwise."""
    try:
        found = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        found = math.nan
    if not math.isfinite(found):
        raise UserInputError(f"{where}: coordinate {str(value)[:40]!r} is not a finite number, expected pixels")
    return found


def point(xy: Sequence[Any], where: str, label: str = "") -> Mark:
    """A point of [x, y]."""
    x, y = xy
    return Mark(number(x, where), number(y, where), label=label)


def box(corners: Sequence[Any], where: str, label: str = "") -> Mark:
    """A box of two opposite corners [x1, y1, x2, y2]."""
    x1, y1, x2, y2 = (number(value, where) for value in corners)
    return Mark(min(x1, x2), min(y1, y2), abs(x2 - x1), abs(y2 - y1), label)


def size_of(width: Any, height: Any) -> tuple[int, int] | None:
    """(width, height), or None where the file does not say them."""
    try:
        found = int(width), int(height)
    except (TypeError, ValueError):
        return None
    return found if min(found) > 0 else None


def refused(kind: Any, where: str) -> UserInputError:
    """The error for a mark that is neither point nor box: leaving it out would make a crowd an image without people."""
    return UserInputError(
        f"{where} is {kind!r}, expected a point or an upright rectangle: mark each thing to be counted by one of them"
    )


def as_points(values: Any, path: Path) -> np.ndarray:
    """Checks that `values` are N pairs of finite numbers and returns them (N, 2) float64."""
    try:
        array = np.asarray(values)
    except ValueError:  # rows of different lengths
        raise UserInputError(
            f"{path}: rows of different lengths, expected an x and a y in each; correct the file"
        ) from None
    if array.size == 0:
        return np.zeros((0, 2))
    if array.dtype.kind not in "iuf":
        found = next((v for v in array.ravel().tolist() if not isinstance(v, (int, float))), array.dtype)
        raise UserInputError(
            f"{path}: coordinate {found!r} is not a number, expected an x and a y for each point; correct the file"
        )
    if array.ndim != 2 or array.shape[1] != 2:
        raise UserInputError(
            f"{path}: points of shape {array.shape}, expected (N, 2): an x and a y for each point; correct the file"
        )
    array = array.astype(np.float64)
    bad = ~np.isfinite(array).all(axis=1)
    if bad.any():
        row = int(bad.argmax())
        raise UserInputError(
            f"{path}: point {row + 1} is ({array[row, 0]}, {array[row, 1]}), expected finite numbers; correct the file"
        )
    return array


class PointsFile(Format):
    """A format that has a file for each image, called like it, with nothing but points."""

    @abstractmethod
    def points(self, path: Path) -> np.ndarray:
        """Points (N, 2) float64 of the file."""

    def read(self, path: Path) -> Iterator[Annotated]:
        yield Annotated(path.stem, [Mark(float(x), float(y)) for x, y in self.points(path)])

"""What a layout of counting data is: where a data set keeps its images and points, and how it writes the points."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import numpy as np

from tasks.counting.points import read_points


@dataclass(frozen=True)
class Entry:
    """An image and the file with its points; `image_id` is unique within its split."""

    image: Path
    points: Path
    image_id: str


@dataclass(frozen=True)
class Split:
    """One split of a data set on disk.

    Attributes:
        entries: in natural order of the file names.
        problems: a line for each image without points and the reverse, which are in no entry.
    """

    entries: list[Entry]
    problems: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Source:
    """A data set on disk, and what is known of it beside its files.

    Attributes:
        name: what results call it.
        root: its folder.
        splits: the official ones, "train", "val" and "test" as far as they are there; "all" where there are none.
        part: which of several data sets of one layout it is.
        release: as the folders' names have it.
        release_if_outside: the release that it must be where points lie outside their images, whatever it is called.
        leaked: for a split, the `image_id` of each image that training has seen, or nearly so.
        folds: into how many parts "all" is divided for cross-validation; None for no such protocol.
        remarks: one line each: what of it is not there, as it should be.
    """

    name: str
    root: Path
    splits: Mapping[str, Split]
    part: str | None = None
    release: str | None = None
    release_if_outside: str | None = None
    leaked: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    folds: int | None = None
    remarks: tuple[str, ...] = ()

    def release_of(self, any_outside: bool) -> str | None:
        """The release, given whether points lie outside their images."""
        return self.release_if_outside if any_outside and self.release_if_outside else self.release


class Layout(ABC):
    """How one kind of data set lies on disk: the one subclass in a file of this package.

    Attributes:
        expected: what `find` looks for, for messages.
        origin: where such data come from, for messages.
        splits: the official splits that such data may have, and that `write` writes.
    """

    expected: ClassVar[str]
    origin: ClassVar[str] = ""
    splits: ClassVar[tuple[str, ...]]

    @abstractmethod
    def find(self, root: Path) -> Source | None:
        """Lists the data set in the folder `root` with all its official splits; None if it is not laid out so.

        Raises:
            OSError: a folder cannot be listed.
        """

    def read(self, entry: Entry) -> np.ndarray:
        """Points (N, 2) float64 of an image, in the coordinates of `tasks.counting.points`.

        Raises:
            UserInputError: the file is missing or holds something else.
        """
        return read_points(entry.points)

    @abstractmethod
    def write(self, root: Path, split: str, number: int, image_HW3: np.ndarray, points_xy: np.ndarray) -> Entry:
        """Writes one image and its points to where `find` finds them, making folders on the way.

        Args:
            root: folder of the data set.
            split: one of `splits`.
            number: names the image within its split; from 1.
            image_HW3: uint8 RGB.
            points_xy: (N, 2) continuous pixel coordinates.

        Raises:
            OSError: it cannot be written.
        """

    def other_names(self, root: Path) -> list[Path]:
        """Folders that stand in for `root` where that is missing."""
        return []

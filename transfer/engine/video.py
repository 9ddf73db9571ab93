"""Videos, frame by frame: read by OpenCV, written as VP9 in WebM, which browsers play and OpenCV's wheel can encode."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np

from backbones.errors import UserInputError

os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # read once; what a file lacks is said here, in one line

import cv2

ENDING = ".webm"
FEWEST = 0.9  # of the frames that a file announces (not all formats count them exactly); with fewer it is cut off


class Frame(NamedTuple):
    """One frame: its number from 0, its time in seconds, and its pixels (H, W, 3), uint8 RGB."""

    number: int
    seconds: float
    image: np.ndarray


class Video:
    """A video file that is open for reading, see `opened`.

    Attributes:
        path: of the file.
        fps: frames per second; 25 where the file does not say it.
        announced: number of frames as the file says it, about right; 0 where it does not.
    """

    def __init__(self, path: Path, capture: cv2.VideoCapture) -> None:
        self.path, self._capture = path, capture
        fps, frames = (capture.get(what) for what in (cv2.CAP_PROP_FPS, cv2.CAP_PROP_FRAME_COUNT))
        self.fps = fps if 0 < fps < 1000 else 25.0
        self.announced = int(frames) if 0 < frames < 1e9 else 0

    def frames(self, every: int = 1) -> Iterator[Frame]:
        """Every so-manieth frame, from the first one on; none is kept.

        Raises:
            UserInputError: the first frame cannot be decoded, or the file ends long before what it announces.
        """
        number, seconds = 0, 0.0
        while self._capture.grab():
            seconds = max(seconds, self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1000) or number / self.fps
            if number % every == 0:
                decoded, image = self._capture.retrieve()
                if not decoded:
                    break
                yield Frame(number, seconds, cv2.cvtColor(image, cv2.COLOR_BGR2RGB))
            number += 1
        if not number:
            raise UserInputError(_unreadable(self.path))
        if number < FEWEST * self.announced:
            raise UserInputError(
                f"{self.path}: ends after {number} of {self.announced} frames, expected a whole video: copy it again; "
                "the frames before are predicted"
            )


@contextmanager
def opened(path: Path) -> Iterator[Video]:
    """A video for reading.

    Raises:
        UserInputError: it is no video, or one that OpenCV cannot read.
    """
    with quiet():
        capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
    try:
        if not capture.isOpened():
            raise UserInputError(_unreadable(path))
        yield Video(path, capture)
    finally:
        capture.release()


@contextmanager
def writer(path: Path, fps: float) -> Iterator[Callable[[np.ndarray], None]]:
    """What to call with each frame (H, W, 3), uint8 RGB; the file `path` appears when the block ends well.

    Frames are cut to the even sides of the first one, as VP9 wants them.

    Args:
        path: of a `.webm`.
        fps: frames per second.
    """
    temporary = path.with_name(f".{path.stem}.{secrets.token_hex(4)}{ENDING}")  # OpenCV goes by the ending
    made: list[cv2.VideoWriter] = []
    size = (0, 0)

    def add(image_HW3: np.ndarray) -> None:
        nonlocal size
        if not made:
            size = (image_HW3.shape[1] // 2 * 2, image_HW3.shape[0] // 2 * 2)
            with quiet():
                made.append(cv2.VideoWriter(str(temporary), cv2.VideoWriter.fourcc(*"VP90"), fps, size))
            if not made[0].isOpened():
                raise OSError(None, "OpenCV cannot write a video here", str(path))
        frame = np.ascontiguousarray(image_HW3[: size[1], : size[0], ::-1])
        made[0].write(frame)

    try:
        yield add
        if made:
            made[0].release()
            os.replace(temporary, path)
    finally:
        for one in made:
            one.release()
        temporary.unlink(missing_ok=True)


@contextmanager
def quiet() -> Iterator[None]:
    """Nothing reaches standard error meanwhile: OpenCV prints there what only its authors understand."""
    kept, nothing = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nothing)


def _unreadable(path: Path) -> str:
    return (
        f"{path}: holds no frame that OpenCV can decode, expected a video: copy it again, or convert it, such as by "
        f"`ffmpeg -i {path.name} -c:v libvpx-vp9 {path.stem}{ENDING}`"
    )

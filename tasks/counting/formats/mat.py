"""MATLAB's files of ShanghaiTech, UCF_CC_50, UCF-QNRF and NWPU-Crowd, of any version, one for each image."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import scipy.io

from backbones.errors import UserInputError
from backbones.limits import ANNOTATIONS
from tasks.counting.formats._base import PointsFile, as_points

MATLAB_OFFSET = 0.5


class Mat(PointsFile):
    """The points under `image_info` (ShanghaiTech) or `annPoints` (the others); MATLAB's first pixel is at (1, 1)."""

    title = "ShanghaiTech's or UCF's .mat for each image"
    endings = (".mat",)

    def sniff(self, path: Path) -> bool:
        return True

    def points(self, path: Path) -> np.ndarray:
        _check_unpacked_size(path)
        try:
            content = scipy.io.loadmat(str(path))
        except NotImplementedError:  # what scipy says to MATLAB 7.3, which is HDF5
            content = _read_hdf5(path)
        except Exception as error:  # scipy raises a dozen kinds, of which ValueError, zlib.error and EOFError are some
            raise UserInputError(
                f"{path}: is truncated or no MATLAB file ({type(error).__name__}), expected a .mat: copy it again"
            ) from error
        if "image_info" in content:
            points = _image_info(content["image_info"], path)
        elif "annPoints" in content:
            points = content["annPoints"]
        else:
            keys = ", ".join(key for key in content if not key.startswith("__")) or "nothing"
            raise UserInputError(
                f"{path}: holds {keys}, expected image_info (ShanghaiTech) or annPoints (UCF) with coordinates: export "
                "it again"
            )
        return as_points(points, path) - MATLAB_OFFSET


_INFLATED_AT_MOST = 1032
"""Times its own size that deflated data can take."""
_COMPRESSED = 15


def _check_unpacked_size(path: Path) -> None:
    """Refuses a file whose compressed variables would take more than `limits.ANNOTATIONS`, without keeping them."""
    size = path.stat().st_size
    if size * _INFLATED_AT_MOST <= ANNOTATIONS.bytes:
        return
    ANNOTATIONS.check(size, str(path))
    data = path.read_bytes()
    order = "<" if data[126:128] == b"IM" else ">"
    place, total = 128, 0
    while place + 8 <= size:
        kind, length = struct.unpack_from(f"{order}II", data, place)
        if kind == _COMPRESSED:
            for part in _inflated(data[place + 8 : place + 8 + length]):
                total += part
                ANNOTATIONS.check(total, f"{path}: unpacked")
        place += 8 + length


def _inflated(data: bytes) -> Iterator[int]:
    """Sizes of the parts that deflated data consist of; ends where they are damaged, which scipy will say."""
    unpacker = zlib.decompressobj()
    try:
        while data and not unpacker.eof:
            yield len(unpacker.decompress(data, 1 << 20))
            data = unpacker.unconsumed_tail
    except zlib.error:
        return


def _read_hdf5(path: Path) -> dict[str, Any]:
    """A MATLAB 7.3 file as `loadmat` would give it: arrays transposed back, ShanghaiTech's cell and struct resolved."""
    import h5py

    def array(data: Any) -> np.ndarray:
        ANNOTATIONS.check(data.size * data.dtype.itemsize, f"{path}: {data.name}")
        return np.zeros((0, 2)) if data.attrs.get("MATLAB_empty", 0) else np.asarray(data[()]).T

    try:
        with h5py.File(path) as file:
            content: dict[str, Any] = {key: array(file[key]) for key in ("annPoints",) if key in file}
            if "image_info" in file:
                struct = file[file["image_info"][0, 0]]
                info = np.empty((1, 1), dtype=object)
                info[0, 0] = np.empty((1, 1), dtype=object)
                info[0, 0][0, 0] = (array(struct["location"]), array(struct["number"]))
                content["image_info"] = info
            return content or {key: None for key in file}
    except UserInputError:
        raise
    except (OSError, KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
        raise UserInputError(
            f"{path}: is a MATLAB 7.3 file that cannot be read ({error}), expected image_info (ShanghaiTech) or "
            "annPoints (UCF): save it with -v7"
        ) from error


def _image_info(info: Any, path: Path) -> Any:
    """ShanghaiTech's struct: the points, then how many they are."""
    try:
        points, number = info[0, 0][0, 0]
        number = int(np.asarray(number).item())
    except (IndexError, TypeError, ValueError):
        raise UserInputError(
            f"{path}: image_info is not ShanghaiTech's, expected image_info{{1}} with location (N, 2) and number: "
            "export "
            "it again"
        ) from None
    found = 0 if np.size(points) == 0 else len(points)
    if number != found:
        raise UserInputError(f"{path}: says {number} points and lists {found}, expected the same number: copy it again")
    return points

"""Reads points, one for each person's head, from `.mat`, `.json`, `.csv`, `.txt` and `.npy` files.

Points are continuous pixel coordinates of the upright image: x to the right, y down, (0, 0) the outer corner of the
first pixel, (0.5, 0.5) its centre. MATLAB's first pixel has its centre at (1, 1), so 0.5 is taken off what a `.mat`
holds. All other files are read as they are.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import scipy.io

from backbones.errors import UserInputError

MATLAB_OFFSET = 0.5


Reader = Callable[[Path], np.ndarray]


def read_points(path: str | Path, reader: Reader | None = None) -> np.ndarray:
    """Returns the points (N, 2) float64, x and y in continuous pixel coordinates; N may be 0.

    Args:
        path: the file.
        reader: of its format, instead of the one of `READERS` that its ending names.

    Raises:
        UserInputError: the file is missing, truncated, of another format, or holds coordinates that are no numbers.
    """
    path = Path(path)
    reader = reader or READERS.get(path.suffix.lower())
    if reader is None:
        raise UserInputError(f"{path}: cannot hold points, expected a file that ends in {', '.join(READERS)}")
    if not path.is_file():
        raise UserInputError(f"{path}: no such file, expected the points of an image")
    try:
        return reader(path)
    except UserInputError:
        raise
    except OSError as error:
        raise UserInputError(f"{path}: cannot be read: {error.strerror or error}") from error


def as_points(values: Any, path: Path) -> np.ndarray:
    """Checks that `values` are N pairs of finite numbers and returns them (N, 2) float64."""
    try:
        array = np.asarray(values)
    except ValueError:  # rows of different lengths
        raise UserInputError(f"{path}: rows of different lengths, expected an x and a y in each") from None
    if array.size == 0:
        return np.zeros((0, 2))
    if array.dtype.kind not in "iuf":
        found = next((v for v in array.ravel().tolist() if not isinstance(v, (int, float))), array.dtype)
        raise UserInputError(f"{path}: coordinate {found!r} is not a number, expected an x and a y for each point")
    if array.ndim != 2 or array.shape[1] != 2:
        raise UserInputError(f"{path}: points of shape {array.shape}, expected (N, 2): an x and a y for each point")
    array = array.astype(np.float64)
    bad = ~np.isfinite(array).all(axis=1)
    if bad.any():
        row = int(bad.argmax())
        raise UserInputError(f"{path}: point {row + 1} is ({array[row, 0]}, {array[row, 1]}), expected finite numbers")
    return array


def _read_mat(path: Path) -> np.ndarray:
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
            f"{path}: holds {keys}, expected image_info (ShanghaiTech) or annPoints (UCF) with coordinates"
        )
    return as_points(points, path) - MATLAB_OFFSET


def _read_hdf5(path: Path) -> dict[str, Any]:
    """A MATLAB 7.3 file as `loadmat` would give it: arrays transposed back, ShanghaiTech's cell and struct resolved."""
    import h5py

    def array(data: Any) -> np.ndarray:
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
            f"{path}: image_info is not ShanghaiTech's, expected image_info{{1}} with location (N, 2) and number"
        ) from None
    found = 0 if np.size(points) == 0 else len(points)
    if number != found:
        raise UserInputError(f"{path}: says {number} points and lists {found}, expected the same number: copy it again")
    return points


def _read_json(path: Path) -> np.ndarray:
    """A list of [x, y] or of {"x": .., "y": ..}, by itself or under "points"; or labelme's "shapes"."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UserInputError(f"{path}: is not JSON ({error}), expected a list of points [[x, y], ...]") from error
    try:
        if isinstance(content, dict) and "shapes" in content:
            content = [_labelme_point(shape, number, path) for number, shape in enumerate(content["shapes"], start=1)]
        elif isinstance(content, dict):
            content = content["points"]
        rows = [(p["x"], p["y"]) if isinstance(p, dict) else tuple(p) for p in content]
    except (KeyError, TypeError, IndexError, AttributeError):
        raise UserInputError(
            f'{path}: holds no points, expected [[x, y], ...], [{{"x": .., "y": ..}}, ...], {{"points": ...}} or '
            "labelme's shapes of type point"
        ) from None
    _check_rows([(number + 1, row) for number, row in enumerate(rows)], path, "point")
    return as_points(rows, path)


def _labelme_point(shape: dict[str, Any], number: int, path: Path) -> Any:
    kind = shape.get("shape_type")
    if kind != "point":  # leaving it out would make a crowd an image without people
        raise UserInputError(
            f"{path}: shape {number} has shape_type {kind!r}, expected 'point': mark each person by a point, or give "
            "the centres as [[x, y], ...]"
        )
    return shape["points"][0]


def read_numbers(path: Path, columns: Sequence[str]) -> np.ndarray:
    """Reads a text file of numbers, (N, len(columns)) float64.

    Numbers are parted by a comma, a semicolon or blanks; a heading with the columns' names may come first.

    Raises:
        UserInputError: a line with anything else than a finite number for each column.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise UserInputError(f"{path}: is not text, expected {', '.join(columns)} in each line") from None
    rows: list[tuple[int, tuple[Any, ...]]] = []
    for number, line in enumerate(lines, start=1):
        cells = line.replace(",", " ").replace(";", " ").split()
        if not cells or cells[0].startswith("#") or (not rows and _is_heading(cells, columns)):
            continue
        rows.append((number, tuple(_number(cell) for cell in cells)))
    _check_rows(rows, path, "line", columns)
    return np.array([row for _, row in rows], np.float64).reshape(-1, len(columns))


def _read_text(path: Path) -> np.ndarray:
    return read_numbers(path, ("x", "y"))


def _is_heading(cells: list[str], columns: Sequence[str]) -> bool:
    return [cell.strip("\"'").lower() for cell in cells] == list(columns)


def _number(cell: str) -> float | str:
    try:
        return float(cell)
    except ValueError:
        return cell


def _check_rows(
    rows: list[tuple[int, tuple[Any, ...]]], path: Path, unit: str, columns: Sequence[str] = ("x", "y")
) -> None:
    for number, row in rows:
        fine = len(row) == len(columns) and all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in row)
        if not fine or not np.isfinite(row).all():
            found = ", ".join(str(v) for v in row)[:60]
            raise UserInputError(
                f"{path}: {unit} {number} is {found!r}, expected {len(columns)} finite numbers: {', '.join(columns)}"
            )


def _read_npy(path: Path) -> np.ndarray:
    try:
        content = np.load(path, allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise UserInputError(f"{path}: is truncated or no array of numbers, expected shape (N, 2)") from error
    if not isinstance(content, np.ndarray):
        raise UserInputError(f"{path}: holds several arrays, expected one of shape (N, 2)")
    return as_points(content, path)


READERS: dict[str, Reader] = {
    ".mat": _read_mat,
    ".json": _read_json,
    ".csv": _read_text,
    ".txt": _read_text,
    ".npy": _read_npy,
}

"""One place for what a reader cannot foresee: whatever a broken file makes a parser raise becomes one line."""

from __future__ import annotations

import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from pickle import UnpicklingError
from tarfile import TarError

from backbones.errors import RunError, UserInputError
from backbones.files import disk_full

COPY_AGAIN = "copy it again, or take another file"

BROKEN = (
    ValueError,  # of numbers, JSON, TOML and text encodings
    ArithmeticError,
    LookupError,
    TypeError,
    AttributeError,
    RecursionError,
    NotImplementedError,
    EOFError,
    SyntaxError,  # Pillow's, for a broken PNG
    struct.error,
    zlib.error,
    zipfile.BadZipFile,
    TarError,
    UnpicklingError,
    RuntimeError,  # torch's
)
"""What parsers raise for a broken file."""
_BY_NAME = ("cv2.error", "safetensors_rust.SafetensorError", "PIL.Image.DecompressionBombError", "_pickle")
"""The same, of packages that are not imported for this: what a class's full name begins with."""


@contextmanager
def reading(path: str | Path, expected: str, mend: str = COPY_AGAIN) -> Iterator[None]:
    """Turns what is raised inside for a file that cannot be read into a `UserInputError` that names it.

    Only parsing belongs inside: there, an `IndexError` is the file's fault, and elsewhere a defect of the program.
    `UserInputError`, `RunError`, `MemoryError` and a full disk pass as they are.

    Args:
        path: the file, or where in it.
        expected: what it should be, such as `"an image"`.
        mend: what to do about it, as an order.

    Raises:
        UserInputError: the file is missing, cannot be opened, or is not what was expected.
    """
    try:
        yield
    except (UserInputError, RunError):
        raise
    except FileNotFoundError:
        raise UserInputError(f"{path}: no such file, expected {expected}; {mend}") from None
    except OSError as error:
        if disk_full(error):
            raise
        reason = error.strerror or _first_line(error, path)
        raise UserInputError(f"{path}: cannot be read ({reason}), expected {expected}; {mend}") from error
    except Exception as error:
        if not isinstance(error, BROKEN) and not _full_name(error).startswith(_BY_NAME):
            raise
        raise UserInputError(
            f"{path}: cannot be read ({type(error).__name__}: {_first_line(error, path)}), expected {expected}; {mend}"
        ) from error


def _full_name(error: BaseException) -> str:
    return f"{type(error).__module__}.{type(error).__qualname__}"


def _first_line(error: BaseException, path: str | Path, most: int = 160) -> str:
    line = next((line.strip() for line in str(error).splitlines() if line.strip()), "nothing more is said of it")
    return line.replace(str(path), "file")[:most]

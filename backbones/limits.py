"""How much a file from elsewhere may take: sizes that it declares are compared with these before it is read.

Each limit can be raised by an environment variable, in MiB.
"""

from __future__ import annotations

import gzip
import os
from dataclasses import dataclass
from pathlib import Path

from backbones.errors import UserInputError

_MIB = 1 << 20


@dataclass(frozen=True)
class Limit:
    """A number of bytes.

    Attributes:
        variable: the environment variable that raises it, in MiB.
        mib: what it is without.
    """

    variable: str
    mib: int

    @property
    def bytes(self) -> int:
        """What holds now; raises `UserInputError` where the variable is no number of MiB."""
        given = os.environ.get(self.variable)
        if given is None:
            return self.mib * _MIB
        if not given.isascii() or not given.isdigit() or int(given) < 1:
            raise UserInputError(f"{self.variable}={given!r}: expected a whole number of MiB, such as {self.mib}")
        return int(given) * _MIB

    def check(self, size: int, what: str) -> None:
        """Raises `UserInputError` for what is larger, and says how to raise the limit."""
        if size > self.bytes:
            raise UserInputError(
                f"{what}: takes {-(-size // _MIB):,} MiB, expected {self.bytes // _MIB:,} MiB at most; if it may, set "
                f"{self.variable}={-(-size // _MIB)}"
            )


DOWNLOAD = Limit("TRANSFER_MAX_DOWNLOAD", 4096)
PACKED_WEIGHTS = Limit("TRANSFER_MAX_WEIGHTS", 1024)
TABLE = Limit("TRANSFER_MAX_TABLE", 128)
ANNOTATIONS = Limit("TRANSFER_MAX_ANNOTATIONS", 256)
IMAGE = Limit("TRANSFER_MAX_IMAGE", 300)
"""Decoded, of 3 bytes a pixel: 104 megapixels."""


def inflated(path: Path, limit: Limit) -> bytes:
    """What a gzipped file holds, read no further than `limit`: the size that it declares may be false.

    Raises:
        UserInputError: it holds more.
        OSError, EOFError, zlib.error: there is no such file, or no gzipped one.
    """
    with gzip.open(path) as unpacked:
        content = unpacked.read(limit.bytes + 1)
    limit.check(len(content), f"{path}: unpacked")
    return content

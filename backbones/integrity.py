"""Whether a file still holds what was written: a SHA-256 beside it, CRCs of an archive's members and of a log's lines.

No torch.
"""

from __future__ import annotations

import errno
import hashlib
import json
import re
import struct
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from backbones.errors import UserInputError
from backbones.files import sha256_file, write_atomically

_ENDING = ".sha256"
_ZIP = b"PK\x03\x04"
_BROKEN = (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, ValueError, struct.error, OSError)
_MEND = "it is damaged or was cut off: copy it again, or take another one"


def hash_beside(path: str | Path) -> Path:
    """Where the SHA-256 of a file stands that `write_with_hash` wrote."""
    path = Path(path)
    return path.with_name(path.name + _ENDING)


def write_with_hash(path: str | Path, data: bytes) -> None:
    """Writes a file, and beside it a line as `sha256sum` writes and checks it.

    Killed in between, it leaves the old file or the new one, without a hash at worst: never with the other's.
    """
    path = Path(path)
    hash_beside(path).unlink(missing_ok=True)
    write_atomically(path, data)
    write_atomically(hash_beside(path), f"{hashlib.sha256(data).hexdigest()}  {path.name}\n".encode())


def remove_with_hash(path: str | Path) -> None:
    """Removes a file and its hash."""
    Path(path).unlink(missing_ok=True)
    hash_beside(path).unlink(missing_ok=True)


def check_whole(path: str | Path) -> None:
    """Compares a file of `torch.save` with its own checksums, and with the SHA-256 beside it, where there is one.

    An archive's members are what their CRC says, and no larger than the file itself: reading them takes no more memory
    than that. Files of torch before 1.6, no archives, have no CRC.

    Raises:
        UserInputError: the file is damaged, or no such archive.
    """
    path = Path(path)
    _check_hash(path)
    with path.open("rb") as file:
        is_archive = file.read(len(_ZIP)) == _ZIP
    if is_archive and (reason := _damage(path)):
        raise UserInputError(f"{path}: cannot be read safely ({reason}); {_MEND}")


def _check_hash(path: Path) -> None:
    beside = hash_beside(path)
    if not beside.is_file():
        return
    with beside.open("rb") as file:
        said = re.match(rb"([0-9a-f]{64})\s", file.read(65))
    if said is None:
        raise UserInputError(f"{beside}: holds no sha256, expected what `sha256sum {path.name}` prints; delete it")
    if sha256_file(path) != said[1].decode():
        raise UserInputError(f"{path}: its sha256 is not the one in {beside.name}; {_MEND}")


def _damage(path: Path) -> str:
    """What is wrong with an archive whose members should lie in it as they are; empty where nothing is."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            if len({member.filename for member in members}) < len(members):
                return "two members of the archive have the same name"
            for member in members:
                if member.compress_type != zipfile.ZIP_STORED or member.compress_size != member.file_size:
                    return f"member {member.filename!r} is compressed, which torch.save never does"
            if sum(member.file_size for member in members) > path.stat().st_size:
                return "its members are larger than the file"
            damaged = archive.testzip()
            return f"member {damaged!r} is not what its CRC says" if damaged else ""
    except (
        zipfile.BadZipFile,
        NotImplementedError,
        RuntimeError,
        EOFError,
        ValueError,
        struct.error,
        OSError,
    ) as error:
        if isinstance(error, OSError) and error.errno != errno.EINVAL:  # a place outside of the file; else the disk's
            raise
        return f"no whole archive: {str(error) or type(error).__name__}"


# ---- logs, a line of JSON at a time

_SUM = re.compile(rb'(.*), "crc32": "([0-9a-f]{8})"\}')


def log_line(values: Mapping[str, Any]) -> str:
    """A line of a log: values as JSON, and behind them the CRC-32 of the line without it."""
    text = json.dumps(values)
    return f'{text[:-1]}, "crc32": "{zlib.crc32(text.encode()):08x}"}}\n'


def checked_lines(data: bytes, path: str | Path) -> Iterator[bytes]:
    """The complete lines of a log, each held against its CRC.

    Logs of earlier versions have none; where one has it, so have all that follow.

    Args:
        data: what the file holds; what follows its last line break was cut off by a kill, and is left out.
        path: the file, for errors.

    Raises:
        UserInputError: a line was changed.
    """
    summed = False
    for number, line in enumerate(data[: data.rfind(b"\n") + 1].splitlines(), 1):
        found = _SUM.fullmatch(line)
        if (found is None and summed) or (found and zlib.crc32(found[1] + b"}") != int(found[2], 16)):
            raise UserInputError(
                f"{path}, line {number}: is not what its CRC says, so it was changed; bring back the original, or "
                "choose another folder"
            )
        summed = found is not None
        yield line

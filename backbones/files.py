"""Files: hashes, atomic writing, paths that must not leave a folder, where downloaded weights lie. No torch."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath, PureWindowsPath

from backbones.errors import UserInputError

_CHUNK = 1 << 20


def sha256_file(path: str | Path) -> str:
    """Returns the file's SHA-256 as 64 hexadecimal digits."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


@contextmanager
def atomic_path(target: str | Path) -> Iterator[Path]:
    """Gives a temporary path beside `target`; it becomes `target` when the block ends well, and is gone otherwise.

    The folder is made where it is missing. The contents are on disk before the name is.
    """
    target = Path(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.", suffix=".tmp")
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        temporary.chmod(0o666 & ~_umask())
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def check_plain_name(name: str, what: str) -> str:
    """Returns `name` if it is a file name alone, valid on every platform; else raises `UserInputError`."""
    parts = {PurePosixPath(name).name, PureWindowsPath(name).name}
    if parts != {name} or name in ("", ".", ".."):
        raise UserInputError(
            f"{what} is {name!r}, which leaves the card's folder; expected a file name without folders"
        )
    return name


def inside(folder: Path, name: str, what: str) -> Path:
    """Returns `folder / name`, unless that leads out of the folder, by its parts or by a link."""
    path = folder / check_plain_name(name, what)
    if path.resolve().parent != folder.resolve():
        raise UserInputError(f"{what} is {name!r}, a link that leaves the card's folder; put the file itself there")
    return path


def weights_folders() -> list[Path]:
    """Where downloaded weights are looked for: `TRANSFER_WEIGHTS`, then torch's hub cache. The first takes new ones."""
    own = os.environ.get("TRANSFER_WEIGHTS")
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    hub = Path(os.environ.get("TORCH_HOME") or Path(cache) / "torch").expanduser() / "hub" / "checkpoints"
    return [Path(own).expanduser(), hub] if own else [hub]

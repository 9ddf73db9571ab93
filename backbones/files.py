"""Files: hashes, writing all or nothing, locks, paths that must not leave a folder, where downloads lie. No torch."""

from __future__ import annotations

import errno
import glob
import hashlib
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import FileIO
from pathlib import Path, PurePosixPath, PureWindowsPath

from filelock import FileLock, Timeout

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

from backbones.errors import RunError, UserInputError

_CHUNK = 1 << 20
_TEMPORARY = ".tmp"
_TOKEN = "[0-9a-f]" * 8


def sha256_file(path: str | Path) -> str:
    """Returns the file's SHA-256 as 64 hexadecimal digits."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def disk_full(error: BaseException) -> bool:
    """Whether a system error says that there is no room: a full disk, a spent quota, a file beyond its limit."""
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextmanager
def atomic_path(target: str | Path) -> Iterator[Path]:
    """Gives a temporary path beside `target`; it becomes `target` when the block ends well, and is gone otherwise.

    The folder is made where it is missing. The contents are on disk before the name is, even after a power cut.
    """
    target = Path(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(4)}{_TEMPORARY}")
    try:
        temporary.touch(exist_ok=False)
        with _held(temporary):
            yield temporary
            with open(temporary, "rb+") as file:
                os.fsync(file.fileno())
            os.replace(temporary, target)
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
    with suppress(OSError, AttributeError):  # Windows cannot open folders
        folder = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def write_atomically(path: str | Path, data: bytes) -> None:
    """Writes `data` so that `path` holds either its old content or all of the new one."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)


def remove_temporary(folder: Path) -> None:
    """Removes what writers that were killed left in a folder, and nothing that is still being written."""
    for path in folder.glob(f".*.{_TOKEN}{_TEMPORARY}"):
        with _held(path) as free:
            if free:
                path.unlink(missing_ok=True)


@contextmanager
def _held(path: Path) -> Iterator[bool]:
    """Marks a file or folder as in use by this process until the block or the process ends; False: it is another's.

    Where the system has no such marks (Windows), False.
    """
    if fcntl is None or path.is_symlink():
        yield False
        return
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError:
        yield False
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        free = True
    except OSError:
        free = False
    try:
        yield free
    finally:
        os.close(descriptor)


@contextmanager
def whole_folder(target: str | Path) -> Iterator[Path]:
    """Gives a new folder to write into; it becomes `target` when the block ends well, and is gone otherwise.

    What a killed writer of the same folder left is removed first; if it had put the old one aside, that comes back.

    Args:
        target: the folder, which the new one takes the place of; those above it are made in the end.

    Raises:
        UserInputError: nothing can be written there.
    """
    target = Path(target).absolute()
    parent = next(folder for folder in target.parents if folder.is_dir())
    _clear_up(target, parent)
    token = secrets.token_hex(4)
    new, old = (parent / f".{target.name}.{token}.{what}" for what in ("new", "old"))
    try:
        new.mkdir()
    except OSError as error:
        if disk_full(error):
            raise
        raise UserInputError(f"{target}: cannot be written: {error.strerror}; choose another folder") from error
    try:
        with _held(new):
            yield new
            target.parent.mkdir(parents=True, exist_ok=True)
            _swap(new, target, old)
    finally:
        shutil.rmtree(new, ignore_errors=True)
        if target.exists():
            shutil.rmtree(old, ignore_errors=True)


def _clear_up(target: Path, parent: Path) -> None:
    for old in parent.glob(f".{glob.escape(target.name)}.{_TOKEN}.old"):
        with _held(old) as free, suppress(OSError):
            if free and not target.exists():
                old.rename(target)
            elif free:
                shutil.rmtree(old)
    for new in parent.glob(f".{glob.escape(target.name)}.{_TOKEN}.new"):
        with _held(new) as free:
            if free:
                shutil.rmtree(new, ignore_errors=True)


def _swap(new: Path, target: Path, old: Path) -> None:
    """Puts `new` in the place of `target`, which goes to `old`, or back again if anything happens in between."""
    if target.exists():
        target.rename(old)
    try:
        new.rename(target)
    except BaseException:
        if old.exists():
            old.rename(target)
        raise


def open_to_append(path: Path) -> FileIO:
    """Opens a file of our own to append to, unbuffered: never through a link, and nothing in it is cut.

    What is written is the system's, whatever becomes of this process.

    Raises:
        UserInputError: it is a link, or cannot be opened.
    """
    if path.is_symlink():
        raise UserInputError(f"{path}: is a link, put the file itself there, or choose another folder")
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o666)
    except OSError as error:
        if disk_full(error):
            raise
        raise UserInputError(f"{path}: cannot be opened: {error.strerror}; choose another folder") from error
    return FileIO(descriptor, "a+")


@contextmanager
def locked_file(path: Path, busy: str, *, wait: float = 0) -> Iterator[None]:
    """Holds the lock file `path` for this process, and removes it in the end.

    Args:
        path: never opened through a link, never cut.
        busy: what to say where another process holds it.
        wait: for it, so many seconds.

    Raises:
        RunError: another process holds it.
        UserInputError: it is a link, or cannot be opened.
    """
    if path.is_symlink():
        raise UserInputError(f"{path}: is a link, expected a lock file of our own; delete it")
    try:
        lock = FileLock(path, timeout=wait).acquire()
    except Timeout:
        raise RunError(busy) from None
    except OSError as error:
        if disk_full(error):
            raise
        raise UserInputError(f"{path}: cannot be opened: {error.strerror}; choose another folder") from error
    with lock:
        try:
            yield
        finally:
            with suppress(OSError):  # Windows removes no open file
                path.unlink()  # while it is ours: who opened it meanwhile sees that it has no name, and opens another


def check_plain_name(name: str, what: str) -> str:
    """Returns `name` if it is a file name alone, valid on every platform; else raises `UserInputError`."""
    if not name.isprintable():
        raise UserInputError(f"{what} is {name!r}, which no file should be called; expected letters and digits")
    parts = {PurePosixPath(name).name, PureWindowsPath(name).name}
    if parts != {name} or name in ("", ".", ".."):
        raise UserInputError(
            f"{what} is {name!r}, which leaves the card's folder; expected a file name without folders; correct it"
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

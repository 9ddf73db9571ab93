"""Work directories: one run at a time, nothing useless left behind, words for what fails around a run."""

from __future__ import annotations

import errno
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from mmengine.dist import is_main_process

from backbones.errors import RunError, UserInputError
from backbones.files import disk_full, locked_file, remove_temporary
from transfer.cli import Terminated, received_signal
from transfer.engine.checkpoint import newest_checkpoint
from transfer.engine.console import resume_command

LOCK = ".lock"
_WRITTEN_IN_PLACE = ("", ".jsonl", ".log", ".py")
"""Endings of what mmengine and we write in a work directory without putting a new file in its place."""
_LESS_MEMORY = "lower train_dataloader.batch_size or the crop"
_NO_MEMORY = ("out of memory", "can't allocate memory")


def newest_of(folder: Path) -> list[str]:
    """What is worth keeping of a training: its newest checkpoint."""
    newest = newest_checkpoint(folder)
    return [] if newest is None else [newest.name]


@dataclass(frozen=True)
class WorkDir:
    """A folder that one run at a time fills.

    Attributes:
        path: the folder.
        kept: names what a folder holds that is worth keeping, and that a run can go on from.
    """

    path: Path
    kept: Callable[[Path], Sequence[str]] = newest_of

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Holds the folder for this process; creates it and, left empty, removes it again.

        A run that ends with `UserInputError`, or by a signal, takes what it wrote with it, unless something there is
        worth keeping.

        Raises:
            RunError: another process holds it.
            UserInputError: it cannot be created, or what is written there is a link to elsewhere.
        """
        if not is_main_process():
            yield
            return
        with no_empty_folders(self.path):
            _make(self.path)
            self._refuse_links()
            busy = f"{self.path}: another run is using this work directory; wait for it, or choose another --work-dir"
            with locked_file(self.path / LOCK, busy), cleared(self.path, self._in_vain):
                remove_temporary(self.path)
                yield

    def _refuse_links(self) -> None:
        for entry in sorted(self.path.iterdir()):
            if entry.is_symlink() and entry.suffix in _WRITTEN_IN_PLACE and not entry.is_dir():
                raise UserInputError(
                    f"{entry}: is a link to {entry.readlink()}, which would be written to; put the file itself there, "
                    "or choose another --work-dir"
                )

    def _in_vain(self, error: BaseException) -> bool:
        ended = isinstance(error, (UserInputError, KeyboardInterrupt, Terminated)) or bool(received_signal())
        return ended and not self.kept(self.path)

    @contextmanager
    def explained(self) -> Iterator[None]:
        """Turns failures of the surroundings into one line: what happened, what is safe, how to go on."""
        try:
            yield
        except RunError:
            raise
        except (KeyboardInterrupt, Terminated) as stop:
            if kept := ", ".join(self.kept(self.path)):
                stop.add_note(f"{self.path}: safe there: {kept}; continue with: {resume_command()}")
            raise
        except Exception as error:
            if message := _from_worker(error):
                raise UserInputError(message) from error
            if found := _failure(error):
                what, mend = found
                kept = ", ".join(self.kept(self.path))
                safe = f"safe there: {kept}" if kept else "there was nothing to keep yet"
                then = f"continue with: {resume_command()}" if kept else "start again"
                raise RunError(f"{self.path}: {what}; {safe}; {mend} and {then}") from error
            raise


@contextmanager
def cleared(folder: Path, in_vain: Callable[[BaseException], bool]) -> Iterator[None]:
    """Removes what is written into a folder inside, where that ends with an error of which `in_vain` holds."""
    before = _entries(folder)
    try:
        yield
    except BaseException as error:
        if in_vain(error):
            for entry in _entries(folder) - before:
                shutil.rmtree(entry, ignore_errors=True) if entry.is_dir() else entry.unlink(missing_ok=True)
        raise


def _entries(folder: Path) -> set[Path]:
    return set(folder.iterdir()) if folder.is_dir() else set()


@contextmanager
def no_empty_folders(folder: Path) -> Iterator[None]:
    """Removes in the end, of a folder and those above it, what was made inside and holds nothing."""
    new = [parent for parent in (folder, *folder.parents) if not parent.exists()]
    try:
        yield
    finally:
        for parent in new:
            with suppress(OSError):  # something is in it
                parent.rmdir()


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        if disk_full(error):
            raise RunError(f"--work-dir {folder}: cannot be created: {error.strerror}; make room there") from error
        raise UserInputError(f"--work-dir {folder}: cannot be created: {error.strerror}; choose another") from error


def _failure(error: Exception) -> tuple[str, str] | None:
    """What failed around the run and how to mend it; None where it is the run's own."""
    if isinstance(error, OSError) and disk_full(error):
        return f"the disk is full ({error.strerror})", "make room"
    if isinstance(error, MemoryError):
        return "out of memory", _LESS_MEMORY
    if isinstance(error, (EOFError, ConnectionError)):  # a pipe to a data worker that ended
        return "a data worker was lost, often for want of memory", "lower train_dataloader.num_workers"
    if isinstance(error, PermissionError) or (isinstance(error, OSError) and error.errno == errno.EROFS):
        return f"{error.filename or 'a file'} cannot be written or read ({error.strerror})", "allow it"
    if not isinstance(error, RuntimeError):
        return None
    if "DataLoader worker" in str(error):
        first = str(error).splitlines()[0]
        return f"a data worker was lost ({first}), often for want of memory", "lower train_dataloader.num_workers"
    if any(words in str(error).lower() for words in _NO_MEMORY):
        return "out of memory", _LESS_MEMORY
    return None


def _from_worker(error: Exception) -> str | None:
    """The line of a `UserInputError` that a data worker raised, out of the traceback that torch wraps it in."""
    if not isinstance(error, UserInputError) or not str(error).startswith("Caught "):
        return None
    found = re.findall(r"^\S*UserInputError: (.*)$", str(error), re.MULTILINE)
    return found[-1] if found else None

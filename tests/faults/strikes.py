"""The faults, one class each."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from pathlib import Path

from .others import Case, Fault, Skipped, caught_running, kill_all, linux
from .process import Ended, family, kill

ROOM = 16 << 20
"""Bytes more than enough, for a disk with room again."""


class Signalled(Fault):
    """A signal in the middle of the work: a checkpoint, and the command that goes on.

    Args:
        signum: that is sent.
        group: to the whole process group, as a terminal or a scheduler does.
    """

    runs = ("counting", "search", "classification")

    def __init__(self, signum: signal.Signals, *, group: bool = False) -> None:
        self.signum, self.group = signum, group
        self.name = signum.name + (" to the group" if group else "")
        self.statuses = (128 + signum,)
        self.words = f"stopped by {signum.name}.*--resume"

    def strike(self, case: Case) -> Ended:
        running = caught_running(case)
        (os.killpg if self.group else os.kill)(running.pid, self.signum)
        return running.end()


class SignalledEarly(Fault):
    """SIGTERM while the command is still starting: at most a line; before Python is there, the signal's own end."""

    name = "SIGTERM at the start"
    runs = ("counting", "search", "predict")
    statuses = (128 + signal.SIGTERM, -signal.SIGTERM)

    def strike(self, case: Case) -> Ended:
        running = case.start()
        running.sleep(case.draw.random() * 0.2 * case.reference.seconds)
        kill([running.pid], signal.SIGTERM)
        return running.end()


class Mounted(Fault):
    """A fault of the file system that the run lies on; only root may mount."""

    def mount(self, *words: str) -> None:
        """Calls `mount`."""
        linux()
        done = subprocess.run(["mount", *words], capture_output=True, text=True)
        if done.returncode:
            raise Skipped(f"cannot mount: {done.stderr.strip()}")

    def release(self, case: Case) -> None:
        if os.path.ismount(case.place):
            subprocess.run(["umount", str(case.place)], check=True, capture_output=True)


class FullDisk(Mounted):
    """A file system that has room for a part of what the run writes."""

    words = r"(?i)^error: .*(work|out|cards).*(disk is full|no space left).*room"

    def __init__(self, what: str, runs: tuple[str, ...]) -> None:
        self.name, self.runs = f"full disk: {what}", runs

    def prepare(self, case: Case) -> None:
        inputs, whole = _used(case.place), _used(case.reference.place)
        room = inputs + int((whole - inputs) * case.draw.uniform(0.3, 0.85))
        self.mount("-t", "tmpfs", "-o", f"size={room}", "tmpfs", str(case.place))
        case.home.fill(case.run, case.place)

    def strike(self, case: Case) -> Ended:
        return case.start().end()

    def mend(self, case: Case) -> None:
        self.mount("-o", f"remount,size={_used(case.reference.place) * 4 + ROOM}", str(case.place))


class ReadOnly(Mounted):
    """A folder that nothing can be written to; a mount, as root may write whatever the permissions say."""

    statuses = (1, 2)
    words = r"(?i)^error: .*(work|out|cards).*(read-only|cannot be|permission).*(choose|another|make|write)"

    def __init__(self, what: str, runs: tuple[str, ...]) -> None:
        self.name, self.runs = f"read-only folder: {what}", runs

    def strike(self, case: Case) -> Ended:
        self.mount("--bind", str(case.place), str(case.place))
        self.mount("-o", "remount,ro,bind", str(case.place))
        return case.start().end()

    def mend(self, case: Case) -> None:
        self.release(case)


class Spoilt(Fault):
    """The newest checkpoint is damaged after a kill; it is passed over for the one before, with a line."""

    runs = ("counting", "segmentation", "classification")
    statuses = (0,)
    words = r"iter_\d+\.pth.*passed over"
    goes_on = True

    def __init__(self, name: str) -> None:
        self.name = name

    def strike(self, case: Case) -> Ended:
        kill_all(caught_running(case, files=2))
        newest = case.place / "work" / (case.place / "work" / "last_checkpoint").read_text().strip().rpartition("/")[2]
        newest.write_bytes(self.spoil(newest.read_bytes(), case))
        return case.start(*case.run.again).end()

    def spoil(self, data: bytes, case: Case) -> bytes:
        """What becomes of the file."""
        raise NotImplementedError

    def said(self, case: Case, ended: Ended) -> str:
        lines = f"{ended.out}\n{ended.err}".splitlines()
        return "\n".join(line for line in lines if not re.search("^(done|training|resuming|iteration)", line))


class Torn(Spoilt):
    """Its end is missing."""

    def spoil(self, data: bytes, case: Case) -> bytes:
        return data[: case.draw.choice((0, len(data) // 2, len(data) - 1))]


class Flipped(Spoilt):
    """One bit is another."""

    def spoil(self, data: bytes, case: Case) -> bytes:
        place = case.draw.randrange(len(data))
        return data[:place] + bytes([data[place] ^ 1 << case.draw.randrange(8)]) + data[place + 1 :]


class Vanished(Fault):
    """The folder of the data is gone, and comes back."""

    name = "vanished data"
    runs = ("counting", "segmentation")
    statuses = (1, 2)
    words = r"^error: .*data/sample_.*(no such|missing|not there|cannot|vanished|gone)"

    def strike(self, case: Case) -> Ended:
        running = caught_running(case)
        (case.place / "data").rename(case.place / "away")
        return running.end()

    def mend(self, case: Case) -> None:
        if (case.place / "away").exists():
            (case.place / "away").rename(case.place / "data")


class LostDataWorker(Fault):
    """kill -9 of a process that loads data."""

    name = "killed data worker"
    runs = ("counting", "segmentation", "classification")
    words = r"^error: .*data worker.*num_workers"

    def strike(self, case: Case) -> Ended:
        linux()
        running = caught_running(case)
        mine = _words(running.pid)
        workers = [pid for pid in family(running.pid) if pid != running.pid and _words(pid) == mine]
        kill(sorted(workers)[:1])
        return running.end()


class LostRank(Fault):
    """kill -9 of one of the processes of torchrun: the other one ends as well, with a line."""

    name = "killed rank"
    runs = ("torchrun",)
    words = r"^error: .*(process|rank|peer|lost|stopped by)"

    def strike(self, case: Case) -> Ended:
        linux()
        running = caught_running(case)
        kill([pid for pid in family(running.pid) if "RANK=1" in _variables(pid)])
        return running.end()

    def said(self, case: Case, ended: Ended) -> str:
        # What torchrun itself says is not ours.
        return "".join(path.read_text() for path in sorted(case.place.glob("logs/**/0/stderr.log"))[:1])


class LostRayWorker(Fault):
    """kill -9 of a worker of Ray's: its schemes are dealt again, and the search ends as if nothing had happened."""

    name = "killed Ray worker"
    runs = ("ray",)
    statuses = (0,)
    words = r"worker was lost.*dealt again"
    goes_on = True

    def strike(self, case: Case) -> Ended:
        linux()
        running = case.start()
        running.until(lambda: self._workers(running.pid), 0.2)
        kill(self._workers(running.pid)[:1])
        return running.end()

    def _workers(self, pid: int) -> list[int]:
        return [pid for pid in family(pid) if _words(pid).startswith("ray::_Worker")]


class LittleMemory(Fault):
    """A batch that the address space has no room for."""

    name = "little memory"
    runs = ("counting", "segmentation", "classification")
    words = r"(?i)^error: .*memory.*(lower|smaller)"
    batch = 1024

    def strike(self, case: Case) -> Ended:
        linux()
        options = {"batch_size": self.batch, "num_workers": 0, "persistent_workers": False}
        words = [f"train_dataloader.{key}={value}" for key, value in options.items()]
        return case.start("--cfg-options", *words, memory=case.reference.peak + (64 << 20)).end()


def _words(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    except OSError:
        return ""


def _variables(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/environ").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return []


def _used(folder: Path) -> int:
    """Bytes in whole pages, as a file system in memory counts them."""
    return sum(4096 + -(-path.lstat().st_size // 4096) * 4096 for path in folder.rglob("*"))


FAULTS: tuple[Fault, ...] = (
    Signalled(signal.SIGTERM),
    Signalled(signal.SIGTERM, group=True),
    Signalled(signal.SIGHUP),
    Signalled(signal.SIGUSR1),
    SignalledEarly(),
    FullDisk("runs", ("counting", "classification", "search")),
    FullDisk("commands", ("predict", "scenes", "export")),
    ReadOnly("runs", ("counting", "classification", "search")),
    ReadOnly("commands", ("predict", "register", "scenes", "export")),
    Torn("torn newest checkpoint"),
    Flipped("flipped bit in the newest checkpoint"),
    Vanished(),
    LostDataWorker(),
    LostRank(),
    LostRayWorker(),
    LittleMemory(),
)

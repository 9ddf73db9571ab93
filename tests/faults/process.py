"""Commands as processes of their own, which can be watched, signalled and killed together with what they start."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

PATIENCE = 900.0
"""Seconds after which a command counts as hanging."""
GRACE = 15.0
"""Seconds that what a killed command started has to end by itself."""
POLL = 0.001
TEMPORARY = re.compile(r"^\..+\.(?:[a-z0-9_]{8}|\d+)(?:\.(?:tmp|new|old))?$")
"""Names of temporary files and folders: hidden, the target's name, a token, and mostly an ending."""


@dataclass(frozen=True)
class Ended:
    """How a command ended; a negative status is the signal that killed it."""

    status: int
    out: str
    err: str
    seconds: float


class Running:
    """A command that runs in a folder, in a session of its own; its output goes to files that lie elsewhere.

    Args:
        argv: the command line.
        folder: where it runs.
        log: path of the output, without ending.
        env: its whole environment.
        prepare: called in the new process before the command starts.
    """

    def __init__(
        self,
        argv: Sequence[str],
        folder: Path,
        log: Path,
        env: Mapping[str, str],
        prepare: Callable[[], None] | None = None,
    ) -> None:
        self.folder, self._log, self._started = folder, log, time.monotonic()
        with open(f"{log}.out", "wb") as out, open(f"{log}.err", "wb") as err:
            self.process = subprocess.Popen(
                argv,
                cwd=folder,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                start_new_session=True,
                preexec_fn=prepare,
            )

    @property
    def pid(self) -> int:
        """Of the command itself."""
        return self.process.pid

    @property
    def runs(self) -> bool:
        """Whether it has not ended yet."""
        return self.process.poll() is None

    def text(self, kind: str = "err") -> str:
        """What it said so far."""
        return Path(f"{self._log}.{kind}").read_text(errors="replace")

    def end(self) -> Ended:
        """Waits for its end; what hangs is killed, and has the status of that."""
        try:
            self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            kill([*family(self.pid)])
            self.process.wait()
        return Ended(self.process.returncode, self.text("out"), self.text(), time.monotonic() - self._started)

    def until(self, ready: Callable[[], object], poll: float = POLL) -> bool:
        """Waits until `ready()` or the end of the command; whether it was ready."""
        ends = time.monotonic() + PATIENCE
        while self.runs and time.monotonic() < ends:
            if ready():
                return True
            time.sleep(poll)
        return bool(ready())

    def sleep(self, seconds: float) -> None:
        """Lets it run for so long, or to its end."""
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(max(seconds, 0))

    def peak(self) -> int:
        """Bytes of address space that it took at most, up to now; 0 where the system does not tell."""
        with suppress(OSError):
            found = re.search(r"VmPeak:\s*(\d+) kB", Path(f"/proc/{self.pid}/status").read_text())
            return int(found[1]) << 10 if found else 0
        return 0


def temporaries(folder: Path) -> Iterator[str]:
    """Paths of temporary files and folders, not what lies inside of those."""
    try:
        entries = list(os.scandir(folder))
    except OSError:
        return
    for entry in entries:
        if TEMPORARY.match(entry.name):
            yield entry.path
        elif entry.is_dir(follow_symlinks=False):
            yield from temporaries(Path(entry.path))


class Writes:
    """Counts the temporary files that appear below a folder, each once."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.seen = folder, set(temporaries(folder))
        self._before = len(self.seen)

    @property
    def count(self) -> int:
        """How many appeared so far."""
        self.seen.update(temporaries(self.folder))
        return len(self.seen) - self._before


# ---- processes below a process; Linux tells, elsewhere only the process itself is known


def _stat(pid: int) -> list[str] | None:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None


def family(pid: int) -> dict[int, str]:
    """A process and all that descend from it, each with the time of its start."""
    children: dict[int, list[int]] = {}
    stats: dict[int, list[str]] = {}
    for entry in Path("/proc").glob("[0-9]*") if Path("/proc/self/stat").exists() else ():
        if stat := _stat(int(entry.name)):
            stats[int(entry.name)] = stat
            children.setdefault(int(stat[1]), []).append(int(entry.name))
    found, waiting = {}, [pid]
    while waiting:
        one = waiting.pop()
        found[one] = stats[one][19] if one in stats else ""
        waiting += children.get(one, [])
    return found


def alive(processes: Mapping[int, str]) -> list[int]:
    """Which of a `family` still run; one that ended and was not waited for does not."""
    return [pid for pid, start in processes.items() if (s := _stat(pid)) and s[0] not in "ZX" and s[19] == start]


def kill(pids: Sequence[int], signum: int = signal.SIGKILL) -> None:
    """Sends all of them a signal."""
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signum)


def outliving(processes: Mapping[int, str]) -> list[int]:
    """Which of a `family` have not ended by themselves after a while; they are killed."""
    ends = time.monotonic() + GRACE
    while (left := alive(processes)) and time.monotonic() < ends:
        time.sleep(0.1)
    kill(left)
    return left

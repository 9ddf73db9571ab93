"""kill -9 at a random moment, or inside a write; then the run is resumed and compared with the unbroken one."""

from __future__ import annotations

import random
import shutil
from dataclasses import dataclass, field
from pathlib import Path

from .compare import differences
from .process import POLL, Ended, Running, Writes, family, kill, outliving, temporaries
from .runs import Home, Run

TRIES = 5
"""How often a moment is drawn anew where the command had ended before it."""


@dataclass(frozen=True)
class Reference:
    """A run that nothing happened to.

    Attributes:
        place: where it lies.
        seconds: that it took.
        writes: temporary files that it was seen to write.
        peak: bytes of address space that it took at most; 0 where that cannot be told.
    """

    place: Path
    seconds: float
    writes: int
    peak: int


@dataclass
class Killed:
    """What came of one kill.

    Attributes:
        inside: a temporary file was there when the process was dead.
        status: of the resumed run; None where there was no kill.
        problems: why it does not hold, a line each.
        left: what stayed for good: temporary files, processes.
    """

    inside: bool = False
    status: int | None = None
    problems: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)

    @property
    def resumed(self) -> bool:
        """It ended with status 0."""
        return self.status == 0

    @property
    def equal(self) -> bool:
        """All is bitwise as in the unbroken run."""
        return self.resumed and not self.problems


def unbroken(run: Run, home: Home) -> Reference:
    """Runs it once from start to end.

    Raises:
        RuntimeError: that failed, or left temporary files.
    """
    place = home.place(run, "unbroken")
    writes, peak, running = Writes(place), 0, home.start(run, place)
    while running.runs:
        peak = max(peak, writes.count and running.peak())
        running.sleep(POLL)
    ended = running.end()
    left = [*temporaries(place)]
    if ended.status or left:
        raise RuntimeError(f"{run.name}: the unbroken run ended with {ended.status}, left {left}: {ended.err[-2000:]}")
    return Reference(place, ended.seconds, writes.count, peak)


def kill_once(run: Run, reference: Reference, home: Home, draw: random.Random, number: int, inside: bool) -> Killed:
    """Kills a run, goes on with it, and compares."""
    place = home.place(run, f"kill{number}")
    found = Killed()
    if not _kill(run, reference, home, place, draw, inside, found):
        found.problems.append("no kill: the command was faster each time")
        return found
    ended = home.start(run, place, *run.again).end()
    found.status = ended.status
    check_end(run, reference, place, ended, found.problems)
    if run.already and run.already in ended.err and not found.problems:
        found.status = 0
    found.left += [Path(path).relative_to(place).as_posix() for path in temporaries(place)]
    if not found.problems and not found.left:
        shutil.rmtree(place)
    return found


def check_end(run: Run, reference: Reference, place: Path, ended: Ended, problems: list[str]) -> None:
    """Adds a line for whatever a resumed or repeated run did not do rightly."""
    if ended.status and not (run.already and run.already in ended.err):
        last = ended.err.strip().splitlines()[-1:] or ["nothing"]
        problems.append(f"went on with status {ended.status}, saying: {last[0]}")
        return
    problems += differences(reference.place, place, run.folders)


def _kill(
    run: Run, reference: Reference, home: Home, place: Path, draw: random.Random, inside: bool, found: Killed
) -> bool:
    for trial in range(TRIES):
        running = home.start(run, place)
        _wait(running, reference, draw, inside, 0.8**trial)
        if running.runs:
            all_of_them = family(running.pid)
            kill(list(all_of_them) if run.together else [running.pid])
            running.end()
            found.inside = any(temporaries(place))
            if left := outliving(all_of_them):
                found.left.append(f"{len(left)} processes")
            return True
        home.empty(run, place)
    return False


def _wait(running: Running, reference: Reference, draw: random.Random, inside: bool, part: float) -> None:
    """Until a temporary file appears, or for a while; within the first `part` of the run."""
    if not inside:
        running.sleep(draw.uniform(0.02, 1) * reference.seconds * part)
        return
    writes, wanted = Writes(running.folder), draw.randint(1, max(1, int(reference.writes * part)))
    running.until(lambda: writes.count >= wanted)

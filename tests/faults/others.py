"""What every other fault shares: a run is struck, says one line, leaves nothing half-written, and goes on bitwise."""

from __future__ import annotations

import json
import random
import re
import shutil
import sys
from dataclasses import dataclass, field
from pathlib import Path

from backbones.errors import UserInputError
from backbones.integrity import check_whole

from .kills import TRIES, Reference, check_end
from .process import Ended, Running, alive, family, kill, outliving, temporaries
from .runs import Home, Run


class Skipped(Exception):
    """A fault that cannot be made here, and why."""


@dataclass
class Case:
    """A run that is struck by a fault.

    Attributes:
        run, reference, home: the run, the same undisturbed, and where all of that lies.
        place: where this one runs.
        draw: of moments and places.
    """

    run: Run
    reference: Reference
    home: Home
    place: Path
    draw: random.Random

    def begun(self, files: int = 1) -> bool:
        """Whether its work has begun: so many of the files are there that tell so."""
        return len(list(self.place.glob(self.run.begun))) >= files

    def start(self, *words: str, memory: int | None = None) -> Running:
        """Starts it."""
        return self.home.start(self.run, self.place, *words, memory=memory)


@dataclass
class Struck:
    """What came of it: what was said, why it does not hold, or why it could not be tried."""

    run: str
    said: str = ""
    problems: list[str] = field(default_factory=list)
    skipped: str = ""


class Fault:
    """One kind of fault.

    Attributes:
        name: in the tables.
        runs: what it strikes, in turn.
        statuses: that the struck command may end with.
        words: pattern of the line that it has to say; empty: it may say nothing.
        goes_on: the struck command itself comes to the end, nothing has to go on.
    """

    name = ""
    runs: tuple[str, ...] = ()
    statuses: tuple[int, ...] = (1,)
    words = ""
    goes_on = False

    def prepare(self, case: Case) -> None:
        """Makes the place ready, before anything starts."""

    def strike(self, case: Case) -> Ended:
        """Starts the command and does the harm; returns how it ended."""
        raise NotImplementedError

    def mend(self, case: Case) -> None:
        """Takes the cause away."""

    def release(self, case: Case) -> None:
        """Leaves the machine as it was."""

    def said(self, case: Case, ended: Ended) -> str:
        """What the struck command said on standard error."""
        return ended.err


def try_fault(fault: Fault, case: Case) -> Struck:
    """Strikes a run once, and judges."""
    found = Struck(case.run.name)
    try:
        fault.prepare(case)
        ended = fault.strike(case)
        text = fault.said(case, ended)
        found.problems += _judge(fault, ended, text, found)
        if not fault.goes_on:
            found.problems += half_written(case.place)
        fault.mend(case)
        if not fault.goes_on:
            ended = case.start(*case.run.again).end()
        check_end(case.run, case.reference, case.place, ended, found.problems)
        found.problems += [f"left behind: {Path(path).name}" for path in temporaries(case.place)]
    except Skipped as reason:
        found.skipped = str(reason)
    finally:
        fault.release(case)
    if not found.problems:
        shutil.rmtree(case.place, ignore_errors=True)
    return found


def _judge(fault: Fault, ended: Ended, text: str, found: Struck) -> list[str]:
    """Whether the status is right, and one line says what happened."""
    problems = []
    if ended.status not in fault.statuses:
        problems.append(f"status {ended.status}, expected {' or '.join(map(str, fault.statuses))}")
    if "Traceback (most recent call last)" in text:
        problems.append(f"a traceback that ends with: {text.strip().splitlines()[-1][:200]}")
    lines = text.splitlines()
    telling = [line for line in lines if re.search(fault.words, line)] if fault.words else lines
    if len(telling) != 1 and (fault.words or telling):
        last = (lines or ["nothing"])[-1][:200]
        problems.append(f"{len(telling)} lines like /{fault.words}/, expected one; the last line: {last}")
    found.said = (telling or lines or [""])[-1]
    return problems


def half_written(place: Path) -> list[str]:
    """Temporary files, and files that are not whole."""
    problems = [f"half-written: {Path(path).name}" for path in temporaries(place)]
    for path in sorted(place.rglob("*")):
        try:
            if path.suffix == ".pth":
                check_whole(path)
            elif path.suffix == ".json" and "vis_data" not in path.parts:
                json.loads(path.read_text())
        except (UserInputError, ValueError) as error:
            problems.append(f"half-written: {path.relative_to(place)}: {error}")
    return problems


def linux() -> None:
    """Raises `Skipped` where processes and limits cannot be looked up as they can on Linux."""
    if sys.platform != "linux":
        raise Skipped("needs Linux")


def caught_running(case: Case, files: int = 1) -> Running:
    """The command, running, once its work has begun; a bit later than that.

    Raises:
        RuntimeError: it ended too early each time.
    """
    for trial in range(TRIES):
        running = case.start()
        if running.until(lambda: case.begun(files), 0.005):
            running.sleep(case.draw.random() * 0.1 * case.reference.seconds * 0.5**trial)
            if running.runs:
                return running
        running.end()
        case.home.empty(case.run, case.place)
    raise RuntimeError(f"{case.run.name}: ended before its work was caught {TRIES} times; {running.text()[-500:]}")


def kill_all(running: Running) -> None:
    """Kills a command and what it started."""
    processes = family(running.pid)
    kill(alive(processes) or [running.pid])
    running.end()
    outliving(processes)

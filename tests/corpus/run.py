"""Runs cases, each in a forked child with bounds on memory and time."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch

import transfer.engine
from tests.corpus.case import Case, Made
from tests.corpus.refusal import missing_parts

SECONDS = 5.0
"""Of processor time, which a busy machine does not change; a multiple of it on the clock ends the case."""
WALL = 40.0
MEMORY = 1 << 30
"""Address space beside what the process holds before the case."""


@dataclass(frozen=True)
class Outcome:
    """What became of a case.

    Attributes:
        case: that ran.
        verdict: `handled` or `refused`, as it should; else `traceback`, `accepted`, `wrong status`, `not handled`,
            `too slow`, `left behind`, `parts missing` or `broken` (the case itself).
        detail: the line that was printed, or what is wrong.
        seconds: of processor time.
    """

    case: Case
    verdict: str
    detail: str
    seconds: float

    @property
    def good(self) -> bool:
        """It is as it should be."""
        return self.verdict in ("handled", "refused")


def run_case(case: Case) -> Outcome:
    """Runs one case; the process must have one thread, and all that cases import should be imported already."""
    with tempfile.TemporaryDirectory(prefix="corpus-") as name:
        place = Path(name)
        for folder in ("work", "tmp", "cards"):
            (place / folder).mkdir()
        pid = os.fork()
        if pid == 0:
            _child(case, place)
        status, seconds, in_time = _waited(pid)
        _writable(place)
        result = place / "result.json"
        if not in_time:
            return Outcome(case, "too slow", f"not done after {WALL:.0f} s", seconds)
        if not result.is_file():
            return Outcome(case, "broken", f"the process died, wait status {status}", seconds)
        return _judged(case, json.loads(result.read_text()), seconds)


def run_cases(cases: Iterable[Case]) -> Iterator[Outcome]:
    """Runs cases one after the other."""
    torch.set_num_threads(1)
    for case in cases:
        sys.stdout.flush()
        sys.stderr.flush()
        yield run_case(case)


def _waited(pid: int) -> tuple[int, float, bool]:
    began = time.monotonic()
    while True:
        done, status, usage = os.wait4(pid, os.WNOHANG)
        if done:
            return status, usage.ru_utime + usage.ru_stime, True
        if time.monotonic() - began > WALL:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            _, status, usage = os.wait4(pid, 0)
            return status, usage.ru_utime + usage.ru_stime, False
        time.sleep(0.005)


def _child(case: Case, place: Path) -> None:
    """Makes the case's files, runs it, writes what it left, and ends this process."""
    try:
        result = _ran(case, place)
    except BaseException:
        result = {"broken": traceback.format_exc()}
    (place / "result.json").write_text(json.dumps(result))
    os._exit(0)


def _ran(case: Case, place: Path) -> dict[str, object]:
    os.environ.update(TRANSFER_CARDS=str(place / "cards"), TMPDIR=str(place / "tmp"))
    tempfile.tempdir = None
    os.chdir(place / "work")
    made = case.make(place / "work")
    before = _tree(place / "work")
    for stream, number in (("stdout", 1), ("stderr", 2)):
        os.dup2(os.open(place / stream, os.O_WRONLY | os.O_CREAT), number)
    sys.stdout, sys.stderr = (open(number, "w", closefd=False) for number in (1, 2))  # noqa: SIM115
    limit = _address_space() + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    began = time.process_time()
    status = _status(made)
    seconds = time.process_time() - began
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    left = sorted({*_tree(place / "work"), *(f"TMPDIR/{name}" for name in _tree(place / "tmp"))} - before)
    gone = sorted(before - _tree(place / "work"))
    return {
        "status": status,
        "seconds": seconds,
        "left": [*left, *(f"{name} (gone)" for name in gone)],
        "stdout": (place / "stdout").read_text(errors="replace"),
        "stderr": (place / "stderr").read_text(errors="replace"),
    }


def _status(made: Made) -> int:
    from transfer.cli import main, run_command

    try:
        if callable(made):
            return run_command(lambda _: (made(), 0)[1])
        sys.argv = ["ean", *made]
        return main(list(made))
    except SystemExit as end:  # argparse
        return end.code if isinstance(end.code, int) else 1
    except BaseException:
        traceback.print_exc()
        return 1


def _tree(folder: Path) -> set[str]:
    return {
        str(Path(root, name).relative_to(folder))
        for root, folders, files in os.walk(folder)
        for name in folders + files
    }


def _address_space() -> int:
    return int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")


def _writable(place: Path) -> None:
    for root, folders, _ in os.walk(place):
        for name in folders:
            if not Path(root, name).is_symlink():
                os.chmod(Path(root, name), 0o700)


def _judged(case: Case, result: dict, seconds: float) -> Outcome:
    if "broken" in result:
        return Outcome(case, "broken", result["broken"][-600:], seconds)
    status, out, err = result["status"], result["stdout"], result["stderr"]
    verdict, detail = _verdict(case, status, out, err, result)
    return Outcome(case, verdict, detail, result["seconds"])


def _verdict(case: Case, status: int, out: str, err: str, result: dict) -> tuple[str, str]:
    if "Traceback (most recent call last)" in err + out:
        return "traceback", err.strip().rpartition("\n")[2] if "report" not in err else err[-400:]
    if result["seconds"] > SECONDS:
        return "too slow", f"{result['seconds']:.1f} s"
    if case.handled:
        if status != 0 or case.says not in out + err:
            return "not handled", f"status {status}: {(err or out)[-300:]}"
        return "handled", case.handled
    lines = [line for line in err.splitlines() if line.startswith("error: ") or ": error: " in line]
    if status == 0:
        return "accepted", (err or out)[-200:]
    if len(lines) != 1:
        return "parts missing", f"{len(lines)} lines of error, status {status}: {err[-300:]}"
    if status != case.status:
        return "wrong status", f"{status}: {lines[0]}"
    if result["left"] and not case.keeps:
        return "left behind", f"{', '.join(result['left'][:4])}: {lines[0]}"
    parts = missing_parts(lines[0], case.names, editable=case.editable, usage="usage: " in err)
    if status == 1 and "expected" in parts:  # nothing of the input was wrong
        parts.remove("expected")
    if parts:
        return "parts missing", f"{', '.join(parts)}: {lines[0]}"
    return "refused", lines[0]


assert transfer.engine  # sets up the guards before anything imports timm, torchvision or mmsegmentation

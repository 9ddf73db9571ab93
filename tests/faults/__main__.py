"""`python -m tests.faults`: real small runs are killed and struck by other faults; says what held.

Takes one processor. With the defaults several hours; `--kills 1 --times 1` less than one. Exit status 1 where anything
did not hold.
"""

from __future__ import annotations

import argparse
import random
import shutil
import sys
import tempfile
from collections.abc import Callable, Sequence
from itertools import chain
from pathlib import Path

from .kills import Killed, Reference, kill_once, unbroken
from .others import Case, Struck, try_fault
from .report import held, write_report
from .runs import RAY, ROOT, RUNS, Home, Run
from .strikes import FAULTS

KNOWN = {run.name: run for run in (*RUNS, RAY)}


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    rows, faults = [run.name for run in RUNS], [fault.name for fault in FAULTS]
    parser.add_argument("--rows", nargs="*", choices=rows, metavar="RUN", help=f"to kill: {', '.join(rows)}")
    parser.add_argument("--faults", nargs="*", choices=faults, metavar="FAULT", help=f"others: {'; '.join(faults)}")
    parser.add_argument("--kills", type=int, default=20, metavar="N", help="of each run (default: 20)")
    parser.add_argument("--times", type=int, default=3, metavar="N", help="each other fault (default: 3)")
    parser.add_argument("--seed", type=int, default=0, help="of moments and places (default: 0)")
    parser.add_argument("--out", type=Path, default=ROOT / "results/reliability/faults.md", metavar="FILE")
    args = parser.parse_args(argv)
    # Who names only one kind wants no other.
    args.rows = (rows if args.faults is None else []) if args.rows is None else args.rows
    args.faults = (faults if set(args.rows) == set(rows) else []) if args.faults is None else args.faults
    return args


class Harness:
    """One call: its folder, and the unbroken runs, each made when it is first needed."""

    def __init__(self, home: Home, seed: int) -> None:
        self.home, self.seed = home, seed
        self._unbroken: dict[str, Reference | Exception] = {}

    def reference(self, run: Run) -> Reference:
        """The unbroken run; raises `RuntimeError`, each time, where it fails."""
        if run.name not in self._unbroken:
            say(f"{run.name}: the unbroken run")
            try:
                self._unbroken[run.name] = unbroken(run, self.home)
            except RuntimeError as error:
                self._unbroken[run.name] = error
        found = self._unbroken[run.name]
        if isinstance(found, Exception):
            raise found
        return found

    def kills(self, name: str, count: int) -> list[Killed]:
        """Kills a run so many times, every second time inside a write."""
        found = []
        for number in range(1, count + 1):
            draw = random.Random(f"{self.seed} {name} {number}")
            say(f"{name}: kill {number} of {count}")
            killed = Killed(problems=[])
            try:
                reference = self.reference(KNOWN[name])
                killed = kill_once(KNOWN[name], reference, self.home, draw, number, number % 2 == 0)
            except RuntimeError as error:
                killed.problems.append(_line(error))
            say(f"{name}: kill {number} of {count}: {_words(killed.problems + killed.left)}")
            found.append(killed)
        return found

    def strike(self, name: str, count: int) -> list[Struck]:
        """Has a fault happen so many times, to its runs in turn."""
        fault = next(fault for fault in FAULTS if fault.name == name)
        found = []
        for number in range(count):
            run = KNOWN[fault.runs[number % len(fault.runs)]]
            say(f"{name}: {number + 1} of {count}, {run.name}")
            struck = Struck(run.name)
            try:
                draw, reference = random.Random(f"{self.seed} {name} {number}"), self.reference(run)
                place = self.home.place(run, f"{FAULTS.index(fault)}-{number}")
                struck = try_fault(fault, Case(run, reference, self.home, place, draw))
            except RuntimeError as error:
                struck.problems.append(_line(error))
            say(f"{name}: {number + 1} of {count}, {run.name}: {struck.skipped or _words(struck.problems)}")
            found.append(struck)
        return found


def main(argv: list[str] | None = None) -> int:
    """Runs the command; returns the exit status."""
    args = parse_args(argv)
    harness = Harness(Home(Path(tempfile.mkdtemp(prefix="faults-"))), args.seed)
    kills: dict[str, list[Killed]] = {}
    others: dict[str, list[Struck]] = {}
    command = " ".join(["python -m tests.faults", *(sys.argv[1:] if argv is None else argv)])

    def each(found: dict[str, list], names: Sequence[str], make: Callable[[str, int], list], count: int) -> None:
        for name in names if count else ():
            found[name] = make(name, count)
            args.out.parent.mkdir(parents=True, exist_ok=True)
            args.out.write_text(write_report(kills, others, command, args.seed))

    each(kills, args.rows, harness.kills, args.kills)
    each(others, args.faults, harness.strike, args.times)
    good = all(map(held, chain(*kills.values()))) and not any(one.problems for one in chain(*others.values()))
    print(f"{args.out}: {'all held' if good else 'see there for what did not hold'}")
    if good:
        shutil.rmtree(harness.home.folder)
    else:
        print(f"what was left of it: {harness.home.folder}")
    return 0 if good else 1


def say(line: str) -> None:
    """A progress line."""
    print(line, file=sys.stderr, flush=True)


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:1000]


def _words(problems: Sequence[str]) -> str:
    return "; ".join(problems[:3]) or "held"


if __name__ == "__main__":
    sys.exit(main())

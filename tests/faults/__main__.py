"""`python -m tests.faults`: kills and other faults on real small runs, and a report of what held."""

from __future__ import annotations

import argparse
import random
import tempfile
from pathlib import Path

from .kills import kill_once, unbroken
from .runs import RUNS, Home


def main(argv=None):
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", nargs="+", default=[r.name for r in RUNS])
    parser.add_argument("--kills", type=int, default=20)
    a = parser.parse_args(argv)
    home = Home(Path(tempfile.mkdtemp(prefix="faults-")))
    for run in RUNS:
        if run.name in a.rows:
            ref = unbroken(run, home)
            print(run.name, ref, flush=True)
            for n in range(a.kills):
                print(kill_once(run, ref, home, random.Random(f"{run.name}{n}"), n, n % 2 == 1), flush=True)


main()

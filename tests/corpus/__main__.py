"""Runs the corpus and writes its table: `python -m tests.corpus [--only WORD] [--out FILE]`."""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from pathlib import Path

from tests.corpus.base import ROOT, base
from tests.corpus.case import Case
from tests.corpus.families import all_cases
from tests.corpus.run import MEMORY, SECONDS, Outcome, run_cases

PAGE = ROOT / "results" / "reliability" / "corpus.md"
COLUMNS = ("handled", "refused", "traceback", "accepted", "too slow", "left behind", "wrong status", "not handled",
           "parts missing", "broken")  # fmt: skip
HEAD = f"""# Bad input

What readers and commands do with every case of `tests/corpus`; written by `make corpus`. *handled*: dealt with rightly,
in the way that the case states. *refused*: one line that names the file or the key, what was expected, and how to mend it
(`tests/corpus/refusal.py` says by which rule), status 2, or 1 where the surroundings are to blame; no traceback, nothing
left behind, at most {SECONDS:.0f} s of processor time and {MEMORY >> 30} GiB more memory than before. All else is a failure.
"""


def table(outcomes: list[Outcome]) -> str:
    """Markdown: a row for each family, and every failing case by its name."""
    families = list(dict.fromkeys(outcome.case.family for outcome in outcomes))
    rows = [f"| family | cases | {' | '.join(COLUMNS)} |", "|---" * (len(COLUMNS) + 2) + "|"]
    for family in [*families, ""]:
        found = Counter(outcome.verdict for outcome in outcomes if family in ("", outcome.case.family))
        name = family or "**all**"
        rows.append(f"| {name} | {found.total()} | {' | '.join(str(found[column]) for column in COLUMNS)} |")
    failing = [f"- {o.case.id}: {o.verdict}: {' '.join(o.detail.split())[:300]}" for o in outcomes if not o.good]
    return "\n".join([HEAD, *rows, "", "## Failing cases", "", *(failing or ["None."]), ""])


def main() -> int:
    """Returns 1 where a case fails."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", metavar="WORD", help="cases whose family/name holds it")
    parser.add_argument("--out", type=Path, metavar="FILE", help=f"the page (default: {PAGE.relative_to(ROOT)})")
    parser.add_argument("--verbose", action="store_true", help="print every line of refusal")
    args = parser.parse_args()
    began = time.monotonic()
    base()
    chosen: list[Case] = [case for case in all_cases() if args.only in case.id]
    outcomes = []
    for outcome in run_cases(chosen):
        outcomes.append(outcome)
        if args.verbose or not outcome.good:
            print(f"{outcome.case.id}: {outcome.verdict}: {' '.join(outcome.detail.split())[:400]}", flush=True)
    failing = sum(not outcome.good for outcome in outcomes)
    print(f"{len(outcomes)} cases, {failing} failing, {time.monotonic() - began:.0f} s")
    if args.out or not args.only:
        page = args.out or PAGE
        page.parent.mkdir(parents=True, exist_ok=True)
        page.write_text(table(outcomes))
    return int(failing > 0)


if __name__ == "__main__":
    sys.exit(main())

"""The report: a row for each run that was killed, a row for each other fault, and a line for whatever did not hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from .kills import Killed
from .others import Struck


def held(killed: Killed) -> bool:
    """Resumed, bitwise equal, and nothing stayed."""
    return killed.equal and not killed.left


def write_report(
    kills: Mapping[str, Sequence[Killed]], others: Mapping[str, Sequence[Struck]], command: str, seed: int
) -> str:
    """The report as Markdown."""
    lines = [
        "# Kills and other faults",
        "",
        f"Written by `{command}`, seed {seed}: real small runs on generated data, one thread each.",
    ]
    if kills:
        lines += _kills(kills)
    if others:
        lines += _others(others)
    if problems := [*_problems(kills, others)]:
        lines += ["", "## What did not hold", "", *(f"- {line}" for line in problems)]
    return "\n".join(lines) + "\n"


def _kills(kills: Mapping[str, Sequence[Killed]]) -> list[str]:
    rows = {name: _counts(tried) for name, tried in kills.items()}
    rows["**all**"] = [sum(column) for column in zip(*rows.values(), strict=True)]
    return [
        "",
        "## kill -9",
        "",
        "Half of the kills come at a random moment, half when a temporary file appears; *inside a write* says that one",
        "was there when the process was dead. Then the run is resumed, or its command repeated where it has no",
        "`--resume`, and every tensor and file is compared with those of an unbroken run, times aside. *Left behind*",
        "counts the kills after which a temporary file, or a process, stayed for good.",
        "",
        "| run | tried | resumed with status 0 | bitwise equal | kills inside a write | left behind |",
        "|---|---|---|---|---|---|",
        *(f"| {name} | {' | '.join(map(str, counts))} |" for name, counts in rows.items()),
    ]


def _counts(tried: Sequence[Killed]) -> list[int]:
    resumed, equal, inside = (sum(getattr(killed, what) for killed in tried) for what in ("resumed", "equal", "inside"))
    return [len(tried), resumed, equal, inside, sum(bool(killed.left) for killed in tried)]


def _others(others: Mapping[str, Sequence[Struck]]) -> list[str]:
    lines = [
        "",
        "## Other faults",
        "",
        "*Held*: the right status, one line that says what happened and what to do, no traceback, nothing",
        "half-written, and after the fault the run went on to the same result, bitwise.",
        "",
        "| fault | struck | tried | held | what was said |",
        "|---|---|---|---|---|",
    ]
    for name, struck in others.items():
        tried = [one for one in struck if not one.skipped]
        said = next((one.said for one in tried if one.said), "") or "nothing"
        if not tried:
            said = f"not tried: {struck[0].skipped}"
        runs = ", ".join(dict.fromkeys(one.run for one in struck))
        count = sum(not one.problems for one in tried)
        lines.append(f"| {name} | {runs} | {len(tried)} | {count} | {_cell(said)} |")
    return lines


def _cell(text: str) -> str:
    return text[:300].replace("|", "\\|")


def _problems(kills: Mapping[str, Sequence[Killed]], others: Mapping[str, Sequence[Struck]]) -> list[str]:
    lines = []
    for name, tried in kills.items():
        for number, killed in enumerate(tried, 1):
            found = [*killed.problems[:3], *(f"left behind: {what}" for what in killed.left)]
            lines += [f"kill {number} of {name}: {_cell(what)}" for what in found]
    for name, struck in others.items():
        lines += [f"{name}, {one.run}: {_cell(what)}" for one in struck for what in one.problems[:3]]
    return lines

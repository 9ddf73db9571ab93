"""all: every benchmark of the project, one after the other, and one document of what they found."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transfer.cli import HOME
from transfer.commands.benchmark.common import Command

TEXT = "every benchmark; writes JSON files and rewrites results/benchmarks.md"
DOCUMENT = "benchmarks.md"
SPEED = "speed"

_SE = "resnet50_full_share_se.imagenet resnet50_share_ean_se.standin"
_IMAGENET = f"{_SE} resnet50_share_ean_dia.imagenet resnet50_share_ean_sge.imagenet"
_CIFAR = " ".join(f"resnet164_{kind}_se.cifar100" for kind in ("full_sa", "full_share", "share_ean"))
_TASKS = "configs/shha_ean_se.py configs/voc_psp_ean_se.py"
_SMALL = "configs/shha_small_ean_se.py"
_TINY = "resnet38_share_ean_se.standin"
_TIMED = "--clock {clock} {threads}"


@dataclass(frozen=True)
class Planned:
    """A benchmark of the collection: its arguments, and those of a tiny run; `{folder}` is where its files go."""

    command: str
    usual: str
    quick: str
    timed: str = _TIMED


PLAN = {
    "increment_resnet50": Planned(
        "increment",
        f"{_IMAGENET} --batch 8 --rounds 6 --repeats 3 --png {{folder}}/increment_resnet50.png",
        f"{_TINY} --batch 1 --rounds 1 --png {{folder}}/increment_resnet50.png",
    ),
    "increment_cifar": Planned("increment", f"{_CIFAR} --rounds 8 --repeats 3", f"{_TINY} --batch 1 --rounds 1"),
    "increment_tasks": Planned(
        "increment",
        f"{_TASKS} --batch 1 --rounds 3",
        f"{_SMALL} --size 64 --batch 1 --rounds 1",
    ),
    "throughput_resnet50": Planned("throughput", "--rounds 5", "--size 32 --batch 1 --rounds 1"),
    "density": Planned(
        "density",
        "",
        "--data generated --scenes 1 --sample 1 --heads 10 100",
        timed="--clock {clock}",
    ),
    "profile": Planned(
        "profile", f"{_SMALL} --steps 8", f"{_SMALL} --steps 1 --cfg-options train_dataloader.batch_size=1"
    ),
    "steps": Planned(
        "steps",
        "--heads classifier --batch 4 --size 224 --rounds 10",
        "--heads classifier --batch 2 --size 32 --rounds 1",
    ),
    "steps_psp": Planned("steps", "--heads psp --rounds 8", "--heads psp --size 33 --pairs 1"),
    "evaluation": Planned("evaluation", _SMALL, f"{_SMALL} --limit 1"),
    "search": Planned(
        "search",
        "planted --seeds 5 --budgets 32 128 --methods random evolution ean",
        "planted --seeds 1 --budgets 4 --methods random",
        timed="",
    ),
    "trie_resnet38": Planned("trie", "--batch 16 --rounds 3", "--size 8 --batch 2 --schemes 8 --rounds 1 --memory 2 4"),
    "trie_resnet50": Planned(
        "trie",
        "--name resnet50_full_share_se.imagenet --schemes 1000 --size 96 --batch 2 --sample 24 --rounds 1",
        "--name resnet50_full_share_se.imagenet --schemes 4 --size 32 --batch 1 --sample 1 --rounds 1 --memory 2",
    ),
    "scaling": Planned(
        "scaling",
        "--batch 64 --rounds 3 --png {folder}/scaling.png",
        "--schemes 4 8 --images 4 8 --heads 10 100 --megapixels 0.01 0.02 --batch 4 --rounds 1 "
        "--png {folder}/scaling.png",
    ),
    "startup": Planned("startup", "", "--rounds 1", timed="--clock {clock}"),
}
"""What `all` runs, by the name of the JSON file."""


def add_options(command: argparse.ArgumentParser) -> None:
    """Options of `all`."""
    command.add_argument("--quick", action="store_true", help="tiny sizes, to see that all work (needs --out-dir)")
    command.add_argument(
        "--only", nargs="*", metavar="NAME", help=f"some of {', '.join(PLAN)}; no name: write the document anew"
    )
    command.add_argument("--out-dir", help="where speed/*.json and benchmarks.md go (default: results)")
    command.add_argument("--threads", type=int, help="torch's threads (default: torch's own choice)")
    command.add_argument("--clock", choices=("wall", "cpu"), default="wall", help="see steps")


def run(args: argparse.Namespace, commands: Mapping[str, Command]) -> int:
    """Runs the collection; returns 1 where a benchmark failed, after the others had their turn."""
    from backbones.errors import UserInputError, did_you_mean

    if args.quick and args.out_dir is None:
        raise UserInputError("--quick: its figures mean nothing; give --out-dir, a folder other than results")
    for name in args.only or ():
        if name not in PLAN:
            raise UserInputError(f"--only {name}: expected some of {', '.join(PLAN)}.{did_you_mean(name, PLAN)}")
    out = Path(args.out_dir or HOME / "results")
    failed: dict[str, str] = {}
    for name in PLAN if args.only is None else args.only:
        started = time.monotonic()
        message = _run_one(name, argv_of(name, args, out))
        if message is not None:
            failed[name] = message
        verdict = "done" if message is None else f"failed: {message}"
        print(f"{name}: {verdict} ({time.monotonic() - started:.0f} s)", flush=True)
    document = write_document(out, commands, failed)
    print(f"{document}: {len(failed)} failed" if failed else str(document))
    return 1 if failed else 0


def argv_of(name: str, args: argparse.Namespace, out: Path) -> list[str]:
    """The arguments of a benchmark of the collection."""
    planned, folder = PLAN[name], shown(out / SPEED)
    threads = "" if args.threads is None else f"--threads {args.threads}"
    words = [(planned.quick if args.quick else planned.usual), planned.timed]
    filled = [word.format(folder="{folder}", clock=args.clock, threads=threads).split() for word in words]
    told = [word.replace("{folder}", folder) for words in filled for word in words]
    return [planned.command, *told, "--out", f"{folder}/{name}.json"]


def shown(path: Path) -> str:
    """From the checkout on, if it lies there."""
    return str(path.relative_to(HOME)) if path.is_relative_to(HOME) else str(path.absolute())


def _run_one(name: str, argv: Sequence[str]) -> str | None:
    """Runs a benchmark in a process of its own, so that none finds what another one left; the message of a failure."""
    command = [sys.executable, "-m", "transfer", "benchmark", *argv]
    done = subprocess.run(command, cwd=HOME, capture_output=True, text=True)
    if done.returncode == 0:
        print(done.stdout, flush=True)
        return None
    return (done.stderr.strip().splitlines() or [f"status {done.returncode}"])[-1]


# ---- the document


def write_document(out: Path, commands: Mapping[str, Command], failed: Mapping[str, str]) -> Path:
    """Writes what the JSON files in `out/speed` hold as Markdown; returns where."""
    from backbones.files import write_atomically

    parts = [
        "# Benchmarks\n\nWritten by `python tools/benchmark.py all`; `all --only NAME` measures parts of it anew. "
        "Every figure comes from the command above its table, run from the top of the checkout. Networks that are "
        "compared took turns in one run; intervals are of 95 %, by bootstrap."
    ]
    for name, planned in PLAN.items():
        path = out / SPEED / f"{name}.json"
        content = json.loads(path.read_text()) if path.is_file() else None
        parts.append(_section(name, commands[planned.command], content, failed.get(name), out))
    write_atomically(out / DOCUMENT, ("\n\n".join(parts) + "\n").encode())
    return out / DOCUMENT


def _section(name: str, command: Command, content: Any, failure: str | None, out: Path) -> str:
    text = f"## {name}: {command.text}"
    if failure is not None:
        earlier = "" if content is None else " What follows is of an earlier run."
        text += f"\n\nFailed in the last run: {failure}.{earlier}"
    if content is None:
        return text if failure else f"{text}\n\nNot measured."
    from transfer.measure.columns import as_markdown
    from transfer.measure.machine import summary

    rows = content["rows"]
    clock = next((f", {row['clock']} clock" for row in rows if row.get("clock")), "")
    typed = content.get("command")
    text += f"\n\n    {typed}" if typed else "\n\nThe command was not kept beside these figures."
    text += f"\n\n{summary(content['machine'])}{clock}\n\n"
    if command.markdown is not None:
        text += command.markdown(rows)
    elif command.columns is not None:
        text += as_markdown(rows, command.columns())
    if (out / SPEED / f"{name}.png").is_file():
        text += f"\n\n![{name}]({SPEED}/{name}.png)"
    return text

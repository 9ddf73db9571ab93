"""How long commands and imports take to begin, and which heavy libraries they load."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from backbones.errors import RunError
from transfer.measure.timing import bootstrap_median

COMMANDS = (
    ("tools/train.py", "--help"),
    ("tools/backbones.py", "list"),
    ("tools/backbones.py", "show", "resnet50.imagenet"),
)
HEAVY = ("torch", "mmengine", "mmcv", "mmseg", "gradio", "timm", "numba", "matplotlib", "scipy", "cv2")
"""Libraries whose presence after an import is told."""

IMPORTS = {
    "import backbones": "import backbones",
    "import backbones, every public name": "import backbones; [getattr(backbones, name) for name in backbones.__all__]",
    "import transfer.engine": "import transfer.engine",
    "import tasks.counting": "import tasks.counting",
}
"""What is imported after torch."""

_IMPORT = """
import json, sys, time
import torch
clock = time.process_time if sys.argv[1] == "cpu" else time.perf_counter
started = clock()
{statement}
print(json.dumps(dict(seconds=clock() - started, loaded=[name for name in {heavy} if name in sys.modules])))
"""


def measure_startup(root: Path, *, rounds: int = 5, clock: str = "wall", seed: int = 0) -> list[dict[str, Any]]:
    """Runs the commands and imports in processes of their own, in turns; files are in the system's cache.

    Args:
        root: the checkout that the commands are in.
        rounds: in which each runs once, after one that does not count.
        clock: `"wall"`, or `"cpu"`: seconds of computing by the process.
        seed: of the resampling.

    Returns:
        Rows with `name`, `mode` (`command`: the whole process; `import`: what it adds to `import torch`), `seconds`
        (median), `seconds_ci95`, `loaded` (heavy libraries, of imports), `rounds`, `clock`.

    Raises:
        RunError: a command failed.
    """
    names = [" ".join(command) for command in COMMANDS]
    runs = [partial(_command, root, command, clock) for command in COMMANDS]
    runs += [partial(_import, root, statement, clock) for statement in IMPORTS.values()]
    found = [[run() for run in runs] for _ in range(rounds + 1)][1:]
    rows = []
    for place, name in enumerate((*names, *IMPORTS)):
        seconds = np.array([line[place]["seconds"] for line in found])
        rows.append(
            {
                "name": name,
                "mode": "command" if place < len(names) else "import",
                "seconds": float(np.median(seconds)),
                "seconds_ci95": list(bootstrap_median(seconds, seed)),
                "loaded": found[-1][place].get("loaded"),
                "rounds": rounds,
                "clock": clock,
            }
        )
    return rows


def _command(root: Path, command: Sequence[str], clock: str) -> dict[str, Any]:
    before = _children(clock)
    _run(root, [sys.executable, str(root / command[0]), *command[1:]])
    return {"seconds": _children(clock) - before}


def _import(root: Path, statement: str, clock: str) -> dict[str, Any]:
    code = _IMPORT.format(statement=statement, heavy=HEAVY)
    return json.loads(_run(root, [sys.executable, "-c", code, clock]))


def _children(clock: str) -> float:
    """Seconds that ended processes have computed, or that have passed."""
    times = os.times()
    return times.children_user + times.children_system if clock == "cpu" else times.elapsed


def _run(root: Path, argv: Sequence[str]) -> str:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, (str(root), os.getenv("PYTHONPATH"))))}
    done = subprocess.run(argv, capture_output=True, text=True, env=environment, cwd=root)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise RunError(f"{' '.join(argv[1:3])}: ended with status {done.returncode}: {last}")
    return done.stdout

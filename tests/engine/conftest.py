"""What the engine's tests share: commands run as a user types them, but on a tiny model."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def environment() -> dict[str, str]:
    """For subprocesses: the tests' tiny model can be imported, one thread."""
    here = str(Path(__file__).parent)
    path = os.pathsep.join(p for p in (here, str(ROOT), os.environ.get("PYTHONPATH", "")) if p)
    return {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1", "TORCH_CPP_LOG_LEVEL": "ERROR"}


@pytest.fixture
def process(environment: dict[str, str], tmp_path: Path) -> Callable[..., subprocess.CompletedProcess]:
    """Runs `python <prefix> tools/<name> ...` in tmp_path, as a process of its own."""

    def run(name: str, *args: object, prefix: tuple[str, ...] = ()) -> subprocess.CompletedProcess:
        line = [sys.executable, *prefix, str(ROOT / "tools" / name), *map(str, args)]
        return subprocess.run(line, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=600)

    return run

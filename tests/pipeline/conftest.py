"""Searches on a handful of digits, finished ones to register, and the command that does it."""

from __future__ import annotations

import runpy
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from register_files import write_work_dir
from search_configs import write_config

import transfer.engine  # noqa: F401
from transfer.cli import run_command
from transfer.pipeline.config import read_search_config
from transfer.pipeline.run import run_search

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def written(tmp_path):
    """Writes a search config with some keys changed; returns its path."""

    def write(**changes):
        return write_config(tmp_path / "config.py", **changes)

    return write


@pytest.fixture(scope="session")
def supernet(once):
    """A checkpoint of a supernet, hardly trained."""
    pytest.importorskip("sklearn", reason="the digits come with scikit-learn")

    def train(folder):
        path = write_config(folder / "config.py", search={"method": "random", "budget": 1}, standalone="left out")
        assert run_search(read_search_config(path), folder / "work") == 0

    return once("supernet", train) / "work" / "supernet" / "iter_2.pth"


@pytest.fixture(scope="session")
def finished(once: Callable[..., Path]) -> Path:
    """A finished search; tests only read it."""
    return once("finished", write_work_dir)


@pytest.fixture
def work_dir(finished: Path, tmp_path: Path) -> Path:
    """A finished search to spoil."""
    return Path(shutil.copytree(finished, tmp_path / "work"))


@pytest.fixture
def cards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's own cards, none yet."""
    monkeypatch.setenv("TRANSFER_CARDS", str(tmp_path / "cards"))
    return tmp_path / "cards"


@pytest.fixture
def command(cards: Path, capsys: pytest.CaptureFixture) -> Callable[..., tuple[int, str, str]]:
    """Runs tools/backbones.py inside this process; returns status, stdout, stderr."""
    main = runpy.run_path(str(ROOT / "tools" / "backbones.py"))["main"]

    def run(*argv):
        capsys.readouterr()
        return run_command(main, [str(arg) for arg in argv]), *capsys.readouterr()

    return run

"""Fixtures of the registration's tests."""

from __future__ import annotations

import runpy
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from register_files import write_work_dir

from transfer.cli import run_command

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished search; tests only read it."""
    return write_work_dir(tmp_path_factory.mktemp("finished"))


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

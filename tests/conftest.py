"""What all tests share: the environment guards, one thread, real data by mark, commands within the process."""

import os
import runpy
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
from filelock import FileLock

import transfer.engine  # noqa: F401  (sets up the guards before anything imports timm, torchvision or mmsegmentation)
from transfer.cli import run_command

ROOT = Path(__file__).resolve().parents[1]

torch.set_num_threads(1)
# The user's own cards are nobody's business here: neither listed, nor in the way of a name.
_NO_CARDS = tempfile.TemporaryDirectory(prefix="cards-")
os.environ["TRANSFER_CARDS"] = _NO_CARDS.name


def pytest_collection_modifyitems(items):
    root = os.environ.get("TRANSFER_DATA")
    if root and Path(root).is_dir():
        return
    skip = pytest.mark.skip(reason="needs the real data sets: set TRANSFER_DATA to their folder")
    for item in items:
        if item.get_closest_marker("real_data"):
            item.add_marker(skip)


class Done(NamedTuple):
    """What a command left: exit status, standard output, standard error."""

    returncode: int
    stdout: str
    stderr: str


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> Callable[..., Done]:
    """Runs `python tools/<name> ...` in tmp_path, within this process: starting one takes seconds."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("mmengine.device.utils.DEVICE", "cpu")

    def run(name: str, *args: object) -> Done:
        argv = list(map(str, args))
        main = runpy.run_path(str(ROOT / "tools" / name), run_name="tool")["main"]
        monkeypatch.setattr(sys, "argv", [f"tools/{name}", *argv])
        capsys.readouterr()
        status = run_command(main, argv)
        return Done(status, *capsys.readouterr())

    return run


@pytest.fixture(scope="session")
def once(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, Callable[[Path], object]], Path]:
    """`once(name, fill)` is a folder that `fill` fills once for all the processes that share the tests; to be read."""
    base = tmp_path_factory.getbasetemp()
    base = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base

    def folder(name: str, fill: Callable[[Path], object]) -> Path:
        path, done = base / f"once-{name}", base / f"once-{name}.done"
        with FileLock(f"{path}.lock"):
            if not done.exists():
                shutil.rmtree(path, ignore_errors=True)
                path.mkdir()
                fill(path)
                done.touch()
        return path

    return folder


@pytest.fixture
def real_data() -> Path:
    """The folder of the real data sets."""
    return Path(os.environ["TRANSFER_DATA"])

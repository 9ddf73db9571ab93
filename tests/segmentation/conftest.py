"""Fixtures of the segmentation tests."""

from __future__ import annotations

import runpy
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from mmengine.registry import DefaultScope, init_default_scope
from segmentation_files import make_voc

ROOT = Path(__file__).resolve().parents[2]
pytest.importorskip("mmseg", reason="mmsegmentation is not installed (extras lite and full)")


@pytest.fixture
def voc(tmp_path: Path) -> Path:
    """4 training and 3 validation images of 56 x 40 pixels, 21 classes."""
    return make_voc(tmp_path / "VOC2012")


@pytest.fixture
def mmseg_scope() -> Iterator[None]:
    """Names are looked up in mmsegmentation first, as a runner makes it."""
    import tasks.segmentation  # noqa: F401

    init_default_scope("mmseg")
    yield
    DefaultScope._instance_dict.clear()


class Done(NamedTuple):
    """What a command left: exit status, standard output, standard error."""

    returncode: int
    stdout: str
    stderr: str


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> Callable[..., Done]:
    """Runs `python tools/<name> ...` in tmp_path, within this process: starting one takes seconds."""
    from transfer.cli import run_command

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

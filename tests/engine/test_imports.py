"""What a command or package imports: heavy packages come only where they are used."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
OPTIONAL = {"mmseg", "mmcv", "gradio", "timm", "numba", "pymoo", "optuna", "sklearn", "ray", "tensorboard"}
TORCH = {"torch", "torchvision"}
PLAIN = OPTIONAL | TORCH | {"mmengine", "scipy", "cv2", "matplotlib", "h5py", "PIL", "numpy"}

AFTER = "import sys; print(*sorted({name.partition('.')[0] for name in sys.modules}))"
RUN = """
import contextlib, io, runpy, sys
sys.argv = {argv!r}
with contextlib.suppress(SystemExit), contextlib.redirect_stdout(io.StringIO()) as out:
    runpy.run_path({tool!r}, run_name="__main__")
assert out.getvalue()
"""


def imported_by(code: str) -> set[str]:
    """Top-level packages that are there once a fresh process has run `code`."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    line = [sys.executable, "-c", f"{code}\n{AFTER}"]
    done = subprocess.run(line, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.splitlines()[-1].split())


def running(tool: str, *argv: str) -> str:
    path = str(ROOT / "tools" / tool)
    return RUN.format(argv=[path, *argv], tool=path)


TOOLS = sorted(path.name for path in (ROOT / "tools").glob("[a-z]*.py"))


@pytest.mark.parametrize("tool", TOOLS)
def test_help_imports_nothing_heavy(tool):
    assert not imported_by(running(tool, "--help")) & PLAIN


@pytest.mark.parametrize(
    "argv", [("list",), ("list", "resnet50*", "--json"), ("show", "resnet50_share_ean_se.standin")]
)
def test_cards_are_listed_and_shown_without_torch(argv):
    assert not imported_by(running("backbones.py", *argv)) & PLAIN


def test_backbones_adds_nothing_to_torch_but_itself():
    before = imported_by("import torch")
    assert imported_by("import torch, backbones") - before == {"backbones"}


def test_a_backbone_is_built_without_the_engine_and_the_optional_packages():
    code = "import backbones; backbones.create_backbone('resnet38_share_ean_se.standin')"
    found = imported_by(code)
    assert "torch" in found and not found & (OPTIONAL | {"mmengine", "matplotlib", "cv2", "transfer"})


@pytest.mark.parametrize("module", ["tasks.counting", "tasks.classification", "transfer.deploy", "transfer.search"])
def test_optional_packages_wait_until_they_are_used(module):
    found = imported_by(f"import {module}")
    assert module.partition(".")[0] in found and not found & OPTIONAL

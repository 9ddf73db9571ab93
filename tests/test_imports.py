"""What a command or package imports: heavy packages come only where they are used."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from transfer.cli import COMMANDS

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[1]
OPTIONAL = {"mmseg", "mmcv", "gradio", "timm", "numba", "pymoo", "optuna", "sklearn", "ray", "tensorboard"}
OPTIONAL |= {"onnx", "onnxscript", "onnxruntime"}
HEAVY = OPTIONAL | {"torch", "torchvision", "mmengine", "scipy", "cv2", "matplotlib", "h5py", "PIL", "numpy"}

STEPS = r"""
import contextlib, io, json, runpy, sys

def run(*argv):
    sys.argv = list(argv)
    with contextlib.suppress(SystemExit), contextlib.redirect_stdout(io.StringIO()) as out, \
            contextlib.redirect_stderr(out):  # that nothing is registered yet is said there
        runpy.run_path(argv[0], run_name="__main__")
    assert out.getvalue(), argv

def loaded():
    return {name.partition(".")[0] for name in sys.modules}

before, added, names = loaded(), {}, {"run": run}
for step in json.load(sys.stdin):
    exec(step, names)
    added[step] = sorted(loaded() - before)
    before = loaded()
print(json.dumps(added))
"""


def added_by(*steps: str) -> dict[str, set[str]]:
    """Top-level packages that each step adds, in one fresh process that runs them one after the other."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    line = [sys.executable, "-c", STEPS]
    done = subprocess.run(line, input=json.dumps(steps), cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return {step: set(packages) for step, packages in json.loads(done.stdout.splitlines()[-1]).items()}


def test_helps_and_listings_import_nothing_heavy():
    steps = [f"run('tools/{path.name}', '--help')" for path in sorted((ROOT / "tools").glob("*.py"))]
    steps += [f"run('transfer/__main__.py', {name!r}, '--help')" for name in COMMANDS]
    steps += ["run('transfer/__main__.py', '--help')", "run('transfer/__main__.py', '--version')"]
    steps += [f"run('tools/backbones.py', {argv})" for argv in ("'list'", "'list', 'resnet50*', '--json'")]
    steps += ["run('tools/backbones.py', 'show', 'resnet50_share_ean_se.standin')"]
    steps += ["run('tools/models.py', 'list')", "import transfer; dir(transfer); transfer.load_model"]
    steps += ["import transfer.search; transfer.search.list_methods(); transfer.search.Reward"]
    found = {step: packages & HEAVY for step, packages in added_by(*steps).items()}
    assert {step: packages for step, packages in found.items() if packages} == {}


def test_finished_searches_are_read_without_torch():
    (found,) = added_by("import transfer.pipeline.register").values()
    assert not found & (OPTIONAL | {"torch", "mmengine"})


def test_each_layer_brings_what_it_needs_and_no_more():
    networks = ["import backbones", "backbones.create_backbone('resnet38_share_ean_se.standin')"]
    layers = [f"import {name}" for name in ("transfer.deploy", "transfer.search", "transfer.engine")]
    tasks = [f"import tasks.{name}" for name in ("counting", "classification")]
    found = added_by("import torch", *networks, *layers, *tasks)
    assert "torch" in found["import torch"] and found["import backbones"] == {"backbones"}
    for step in networks:
        assert not found[step] & HEAVY and "transfer" not in found[step], step
    for step in layers:
        assert not found[step] & (OPTIONAL | {"torchvision"}), step
    for step in tasks:
        assert not found[step] & OPTIONAL, step

"""A built wheel, unpacked elsewhere: it builds every backbone, and its command finds the configs inside it."""

import json
import os
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from setuptools import find_packages

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[1]
OURS = ("backbones", "transfer", "tasks")

EVERYTHING = """
import json, sys, torch, backbones
from transfer.cli import main
for name in backbones.list_backbones():
    with torch.device("meta"):
        backbones.create_backbone(name)
statuses = [main(["check", name]) for name in ("sample_ean_se", "sampel_ean_se")]
print(json.dumps({"from": backbones.__file__, "built": backbones.list_backbones(), "statuses": statuses}))
"""


def test_every_package_is_in_the_wheel():
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    found = find_packages(str(ROOT), include=[pattern for name in OURS for pattern in (name, f"{name}.*")])
    assert sorted(listed) == sorted([*found, "transfer.configs"])


def build_wheel(folder):
    """Unpacks the wheel into `folder/site`, as pip would."""
    source = folder / "source"  # a copy: setuptools leaves its build folder where it builds
    for name in (*OURS, "configs"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*pip, "-w", str(folder), str(source)], check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site")


@pytest.fixture(scope="session")
def site(once):
    """The wheel's contents."""
    return once("wheel", build_wheel) / "site"


def run(site, folder, *line):
    """A Python process that knows the wheel only, in `folder`."""
    environment = {**os.environ, "PYTHONPATH": str(site), "TRANSFER_CARDS": str(site / "none"), "OMP_NUM_THREADS": "1"}
    return subprocess.run([sys.executable, *line], cwd=folder, env=environment, capture_output=True, text=True)


def test_the_wheel_holds_three_packages(site):
    assert {path.name for path in site.iterdir() if not path.name.endswith(".dist-info")} == set(OURS)


def test_the_wheel_builds_every_backbone_and_finds_configs_by_name(site, tmp_path):
    (tmp_path / "data").mkdir()
    done = run(site, tmp_path, "-c", EVERYTHING)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert Path(found["from"]).is_relative_to(site)
    assert found["built"] == sorted(path.stem for path in (ROOT / "backbones/cards").glob("*.toml"))
    assert found["statuses"] == [2, 2]
    assert "sample_counting" in done.stdout and "Did you mean 'sample_ean_se'" in done.stderr
    assert done.stderr.count("\n") == 1, "the first config was found"


def test_a_foreign_package_of_the_same_name_is_named(site, tmp_path):
    (tmp_path / "tasks").mkdir()
    (tmp_path / "tasks/__init__.py").touch()
    done = run(site, tmp_path, "-m", "transfer", "list")
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    assert str(tmp_path / "tasks") in done.stderr and str(site / "tasks") in done.stderr

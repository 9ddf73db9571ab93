"""A built wheel, unpacked elsewhere, builds every registered backbone."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
CARDS = sorted(path.stem for path in (ROOT / "backbones/cards").glob("*.toml"))

BUILD_ALL = """
import torch, backbones
print(backbones.__file__)
for name in backbones.list_backbones():
    with torch.device("meta"):
        backbones.create_backbone(name)
    print(name)
"""


def test_the_wheel_builds_every_backbone(tmp_path):
    source = tmp_path / "source"  # a copy: setuptools leaves its build folder where it builds
    for name in ("backbones", "transfer", "tasks"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*pip, "-w", str(tmp_path), str(source)], check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
    packages = {path.name for path in (tmp_path / "site").iterdir() if not path.name.endswith(".dist-info")}
    assert packages == {"backbones", "transfer", "tasks"}
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "site"), "TRANSFER_CARDS": str(tmp_path / "none")}
    done = subprocess.run(
        [sys.executable, "-c", BUILD_ALL], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    )
    where, *names = done.stdout.split()
    assert Path(where).is_relative_to(tmp_path)
    assert names == CARDS

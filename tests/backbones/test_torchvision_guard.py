"""torchvision, and timm with it, imports whatever build it is."""

import importlib.util
import os
import subprocess
import sys
import types
from pathlib import Path

import pytest
import torch

from backbones import compat

ROOT = Path(__file__).resolve().parents[2]


def test_torchvision_imports_whatever_build_it_is():
    if importlib.util.find_spec("torchvision") is None:
        pytest.skip("torchvision is not installed")
    import torchvision.transforms.v2

    assert len(torchvision.models.list_models()) > 50


@pytest.mark.parametrize("version, declares", [("0.28.0+cpu", False), ("0.28.0", False), ("0.28.0+cu130", True)])
def test_schemas_are_declared_only_beside_a_cuda_build(tmp_path, monkeypatch, version, declares):
    file = tmp_path / "version.py"
    file.write_text(f"__version__ = '{version}'\n")
    defined = []
    library = types.SimpleNamespace(define=defined.append)
    monkeypatch.setattr(torch.library, "Library", lambda *args: library)
    monkeypatch.setattr(torch.version, "cuda", None)
    monkeypatch.setattr(compat, "_held", [])
    assert compat.declare_torchvision_ops(file) is declares
    assert [text.partition("(")[0] for text in defined] == (["nms", "qnms"] if declares else [])


@pytest.mark.slow
@pytest.mark.parametrize(
    "code",
    [
        "import backbones.timm_plugin",
        "import backbones; backbones.create_backbone('resnet38_full_sa_se', attention='timm:eca')",
        "import transfer.engine, timm",
    ],
)
def test_timm_imports_in_a_fresh_process(code):
    """Where the builds of torch and torchvision do not match, it fails without the guard."""
    pytest.importorskip("timm")
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-800:]

"""The page on timm: its examples run."""

import re
from pathlib import Path

import pytest

from transfer.cli import main

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docs/timm.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("block", BLOCKS)
def test_examples_run(block, tmp_path, monkeypatch):
    pytest.importorskip("timm", reason="timm is not installed (extra timm)")
    if "segmentation_models_pytorch" in block:
        pytest.importorskip("segmentation_models_pytorch", reason="segmentation-models-pytorch is not installed")
    monkeypatch.chdir(tmp_path)
    if "FOLDER" in block:
        (command,) = re.findall(r"^ean (pack .*)$", TEXT, re.MULTILINE)
        assert main(command.split()) == 0
        block = "\n".join(line for line in block.splitlines() if "OTHER_FOLDER" not in line)
    exec(block, {})

"""The examples in docstrings are so."""

import doctest
import importlib
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
WITH_EXAMPLES = sorted(
    ".".join(path.relative_to(ROOT).with_suffix("").parts)
    for package in ("backbones", "transfer", "tasks")
    for path in (ROOT / package).rglob("*.py")
    if ">>>" in path.read_text(encoding="utf-8")
)


@pytest.mark.parametrize("name", WITH_EXAMPLES)
def test_examples(name):
    if name.startswith("tasks.segmentation"):
        pytest.importorskip("mmseg", reason="mmsegmentation is not installed (extras lite and full)")
    failed, attempted = doctest.testmod(importlib.import_module(name.removesuffix(".__init__")))
    assert attempted and not failed

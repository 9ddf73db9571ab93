"""Fixtures of the segmentation tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

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

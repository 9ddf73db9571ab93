"""Fixtures of the counting tests."""

from pathlib import Path

import pytest
from counting_files import make_shanghaitech


@pytest.fixture
def part_a(tmp_path: Path) -> Path:
    """10 training and 4 test images of 60 x 40 pixels, as in the release of 2016."""
    return make_shanghaitech(tmp_path / "part_A")

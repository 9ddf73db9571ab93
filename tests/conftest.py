"""What all tests share: the environment guards, one thread, real data by mark."""

import os
from pathlib import Path

import pytest
import torch

import transfer.engine  # noqa: F401  (sets up the guards before anything imports timm, torchvision or mmsegmentation)

torch.set_num_threads(1)


def pytest_collection_modifyitems(items):
    root = os.environ.get("TRANSFER_DATA")
    if root and Path(root).is_dir():
        return
    skip = pytest.mark.skip(reason="needs the real data sets: set TRANSFER_DATA to their folder")
    for item in items:
        if item.get_closest_marker("real_data"):
            item.add_marker(skip)


@pytest.fixture
def real_data() -> Path:
    """The folder of the real data sets."""
    return Path(os.environ["TRANSFER_DATA"])

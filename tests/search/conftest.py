"""Searches on a handful of digits."""

import pytest
from search_configs import write_config

import transfer.engine  # noqa: F401
from transfer.search.pipeline import run_search
from transfer.search.plan import read_plan


@pytest.fixture
def written(tmp_path):
    """Writes a search config with some keys changed; returns its path."""

    def write(**changes):
        return write_config(tmp_path / "config.py", **changes)

    return write


@pytest.fixture(scope="session")
def supernet(tmp_path_factory):
    """A checkpoint of a supernet, hardly trained."""
    pytest.importorskip("sklearn", reason="the digits come with scikit-learn")
    folder = tmp_path_factory.mktemp("supernet")
    path = write_config(folder / "config.py", search={"method": "random", "budget": 1}, standalone="left out")
    assert run_search(read_plan(path), folder / "work") == 0
    return folder / "work" / "supernet" / "iter_2.pth"

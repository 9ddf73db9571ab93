"""Finished searches to report on, and pictures that cost nothing."""

import json
import shutil
from pathlib import Path

import pytest
import search_files as files


@pytest.fixture(scope="session")
def searched(tmp_path_factory):
    """Finished searches, one a method."""
    folders = {name: tmp_path_factory.mktemp(name) for name in ("ean", "random")}
    files.write_search(folders["ean"], "ean", ends=True)
    files.write_search(folders["random"], "random", budget=12)
    return folders


@pytest.fixture
def ean(searched, tmp_path):
    """A finished search with a trace, and its `search.json`."""
    shutil.copytree(searched["ean"], tmp_path, dirs_exist_ok=True)
    return tmp_path, json.loads((tmp_path / "search.json").read_text())


@pytest.fixture
def pictures():
    """Asked for by tests that look at pictures."""


@pytest.fixture(autouse=True)
def fast_pictures(request, monkeypatch):
    """Pictures are drawn, but an empty file stands for the PNG, except for tests that ask for `pictures`."""
    if "pictures" not in request.fixturenames:
        monkeypatch.setattr("matplotlib.figure.Figure.savefig", lambda self, path, **kwargs: Path(path).touch())

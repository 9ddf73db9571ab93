"""Configs by path and by name."""

from importlib.util import find_spec
from pathlib import Path

import pytest
from mmengine.config import Config

from backbones.errors import UserInputError
from transfer.engine.config_check import load_config
from transfer.engine.config_files import OURS, find_config, list_configs
from transfer.task import list_tasks

pytestmark = pytest.mark.slow


def test_a_path_goes_before_a_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert find_config("shha_ean_se") == find_config("shha_ean_se.py") == OURS / "shha_ean_se.py"
    assert find_config("configs/shha_ean_se.py") == OURS / "shha_ean_se.py"  # as the documents type it
    Path("shha_ean_se").write_text("model = {}")
    assert find_config("shha_ean_se") == Path("shha_ean_se")


@pytest.mark.parametrize("name", list_configs())
def test_every_config_is_found_by_its_name(name):
    assert find_config(name).relative_to(OURS).with_suffix("").as_posix() == name


@pytest.mark.parametrize("name", [name for name in list_configs() if not name.startswith("search/")])
def test_every_config_is_read_and_names_a_task(name):
    if not find_spec("mmseg"):
        written = Config.fromfile(find_config(name), import_custom_modules=False)
        if written.task == "segmentation":
            pytest.skip("mmsegmentation is not installed (extras lite and full)")
    assert load_config(name).task in list_tasks()


@pytest.mark.parametrize("name", list_configs("search"))
def test_search_configs_need_no_folder(name):
    assert find_config(name, "search") == OURS / "search" / f"{name}.py"


@pytest.mark.parametrize(("name", "near"), [("shha_ean_es", "'shha_ean_se'"), ("../secret", ""), ("/no/such.py", "")])
def test_other_names_are_refused(name, near):
    with pytest.raises(UserInputError, match=f"config '{name}' does not exist.*{near}"):
        find_config(name)

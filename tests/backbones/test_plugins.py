"""Plug-ins by listing a package."""

import sys

import pytest

from backbones.errors import UserInputError
from backbones.plugins import check_plugin, load_plugin, plugin_names


class Base:
    """What plug-ins are made of."""


@pytest.fixture
def package(tmp_path, monkeypatch):
    """An importable package of plug-ins; returns a function that writes a file of it."""
    folder = tmp_path / "toy_plugins"
    folder.mkdir()
    (folder / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(sys.modules, "toy_base", type(sys)("toy_base"))
    sys.modules["toy_base"].Base = Base
    yield lambda name, text: (folder / f"{name}.py").write_text(f"from toy_base import Base\n{text}")
    for name in [name for name in sys.modules if name.startswith("toy_plugins")]:
        del sys.modules[name]


def test_files_are_listed_without_being_imported(package, tmp_path):
    for name in ("second", "first", "_helper", "base"):
        package(name, "raise RuntimeError")
    assert plugin_names([tmp_path / "toy_plugins"]) == ["first", "second"]


def test_the_one_public_class_is_found(package):
    package("mine", "class _Part(Base): ...\nclass Mine(Base): ...\nclass Other: ...")
    assert load_plugin("toy_plugins.mine", Base).__name__ == "Mine"


@pytest.mark.parametrize(("text", "found"), [("", "none"), ("class A(Base): ...\nclass B(Base): ...", "A, B")])
def test_a_file_without_one_class_is_its_authors_mistake(package, text, found):
    package("wrong", text)
    with pytest.raises(TypeError, match=f"toy_plugins.wrong: expected one public subclass of Base, found {found}"):
        load_plugin("toy_plugins.wrong", Base)


def test_an_unknown_name_gets_the_close_matches():
    check_plugin("mine", ["mine", "other"], "thing")
    with pytest.raises(UserInputError, match=r"thing 'mime' is unknown, .* mine, other or x:NAME\..*'mine'"):
        check_plugin("mime", ["mine", "other"], "thing", " or x:NAME")

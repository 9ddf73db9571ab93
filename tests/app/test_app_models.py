"""Which models the page offers, and how many of them it keeps."""

import os
import threading
import weakref
from typing import ClassVar

import pytest
from app_files import noise, save_model

import transfer
from backbones.errors import UserInputError
from transfer.app import models as module
from transfer.app.models import KEPT, Models
from transfer.models import register_model

pytestmark = pytest.mark.slow


@pytest.fixture
def cards(tmp_path, monkeypatch):
    """The user's own cards are here; there are none."""
    monkeypatch.setenv("TRANSFER_CARDS", str(tmp_path / "cards"))
    monkeypatch.setattr("mmengine.device.utils.DEVICE", "cpu")


@pytest.fixture
def shipped():
    """Counters that come with the package."""
    return transfer.list_models(task="counting")


def test_best_and_last_checkpoints_are_offered_the_newest_first(tmp_path, cards, shipped):
    best = save_model(tmp_path / "work_dirs/a/b/best_mae_iter_2.pth")
    last = save_model(tmp_path / "work_dirs/a/b/iter_4.pth")
    save_model(tmp_path / "work_dirs/a/b/iter_3.pth")
    (last.parent / "last_checkpoint").write_text("/moved/since/iter_4.pth")
    os.utime(best, (1, 1))
    (best.parent / "best_broken.pth").write_bytes(b"broken")
    models = Models(tmp_path / "work_dirs")
    assert models.choices("counting") == [*shipped, str(last), str(best)]
    assert not {str(last), str(best)} & set(models.choices("segmentation"))


def test_registered_models_come_first_and_the_default_before_the_others(tmp_path, cards, shipped):
    checkpoint = save_model(tmp_path / "work_dirs/a/best_mae_iter_2.pth")
    for name in ("aa", "zz"):
        register_model(checkpoint, name=name, default=name == "zz" and not shipped)
    models = Models(tmp_path / "work_dirs")
    choices = models.choices("counting")
    assert set(choices[:-1]) == {*shipped, "aa", "zz"} and choices[-1] == str(checkpoint)
    assert choices[0] == transfer.models.get_model_card(task="counting").name
    assert Models(tmp_path / "none", str(checkpoint)).choices("counting")[0] == str(checkpoint)
    assert Models(tmp_path / "none", "aa").choices("counting")[0] == "aa"


def test_what_is_offered_first_must_be_there(tmp_path, cards):
    for name in ("nothing", str(tmp_path / "none.pth")):
        with pytest.raises(UserInputError):
            Models(tmp_path, name)


def test_what_is_not_offered_is_not_loaded(tmp_path, cards):
    elsewhere = save_model(tmp_path / "elsewhere/best_mae_iter_2.pth")
    models = Models(tmp_path / "work_dirs")
    with pytest.raises(UserInputError, match="not offered"):
        models.predict("counting", str(elsewhere), noise())


def test_counts_are_those_of_the_toolkit(tmp_path, cards, shipped):
    checkpoint = save_model(tmp_path / "work_dirs/a/best_mae_iter_2.pth")
    models, expected = Models(tmp_path / "work_dirs"), transfer.load_model(checkpoint).predict(noise())
    assert models.predict("counting", str(checkpoint), noise()).count == expected.count
    if not shipped:
        assert models.predict("counting", None, noise()).count == expected.count


class Loaded:
    """A model that says what it was loaded from."""

    alive: ClassVar = weakref.WeakSet()
    at_work = 0

    def __init__(self, name):
        self.name = name
        Loaded.alive.add(self)

    def predict(self, image):
        Loaded.at_work += 1
        assert Loaded.at_work == 1
        threading.Event().wait(0.02)
        Loaded.at_work -= 1
        return self.name


@pytest.fixture
def trained(tmp_path, monkeypatch):
    """Three checkpoints, and what loads them."""
    paths = [tmp_path / f"best_{name}.pth" for name in "abc"]
    for path in paths:
        path.touch()
    monkeypatch.setattr(module, "_task_of", lambda name: "counting")
    loads = []
    monkeypatch.setattr(module, "load_model", lambda name: loads.append(name) or Loaded(name))
    Loaded.alive.clear()
    return Models(tmp_path), list(map(str, paths)), loads


def test_few_models_are_kept_and_the_least_recent_goes_first(trained):
    models, (a, b, c), loads = trained
    for name in (a, b, a, c, a):
        assert models.predict("counting", name, None) == name
        assert len(Loaded.alive) <= KEPT
    assert loads == [a, b, c]
    models.predict("counting", b, None)
    assert loads == [a, b, c, b]


def test_a_checkpoint_that_was_written_anew_is_loaded_anew(trained):
    models, (a, *_), loads = trained
    models.predict("counting", a, None)
    os.utime(a, (5, 5))
    models.predict("counting", a, None)
    assert loads == [a, a]


def test_one_prediction_at_a_time(trained):
    models, names, _ = trained
    said = []
    threads = [
        threading.Thread(target=lambda n=name: said.append(models.predict("counting", n, None))) for name in names * 2
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(said) == sorted(names * 2)

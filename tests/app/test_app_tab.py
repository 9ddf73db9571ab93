"""What tabs do, without a browser and without Gradio."""

import csv
from types import SimpleNamespace

import numpy as np
import pytest
from app_files import no_images, noise, odd_but_images
from PIL import Image

from backbones.errors import RunError, UserInputError
from transfer.app.controls import Slider, Tick
from transfer.app.tab import NO_MODEL, Tab, headline_box, notes_box

BRIGHTNESS = SimpleNamespace(
    TITLE="Brightness",
    LARGEST=50 * 50,
    CONTROLS=(Slider("gain", "Gain", 0, 2, 1, 0.5), Tick("grey", "Grey")),
    headline=lambda found: f"{found:.2f}",
    remarks=lambda found, options: ["grey"] if options["grey"] else [],
    draw=lambda photo, found, options: (photo.pixels * min(options["gain"], 1)).astype(np.uint8),
    table=lambda found, options: [["what", "value"], ["brightness", f"{found:.2f}"]],
    row=lambda found, options: {"brightness": found * options["gain"]},
)
"""The smallest task: its result is the image's mean."""


class Known:
    """Stands for `Models`: the mean of an image, or an error."""

    def __init__(self, error=None, names=("mean",)):
        self.error, self.names, self.shapes = error, list(names), []

    def choices(self, task):
        return self.names

    def predict(self, task, name, image):
        self.shapes.append(image.shape[:2])
        if self.error:
            raise self.error
        return float(image.mean())


@pytest.fixture
def tab(tmp_path):
    (tmp_path / "out").mkdir()
    return Tab("brightness", BRIGHTNESS, Known(), tmp_path / "out")


@pytest.fixture
def sent(tmp_path):
    (tmp_path / "sent").mkdir()
    return tmp_path / "sent"


def test_each_image_is_predicted_for_itself(tab, sent):
    wrong = no_images(sent)
    (sent / "good").mkdir()
    good = odd_but_images(sent / "good")
    told = []
    results = tab.predict("mean", [*wrong, *good], lambda done, of: told.append((done, of)))
    assert [one.name for one in results] == [path.name for path in (*wrong, *good)]
    for one, word in zip(results, wrong.values(), strict=False):
        assert one.found is None and word in one.note and str(sent) not in one.note
    assert all(one.found is not None and not one.note for one in results[len(wrong) :])
    assert told == [(number, len(results)) for number in range(len(results))]


def test_a_large_image_is_made_smaller_and_this_is_said(tab, sent):
    Image.fromarray(noise(100, 50)).save(sent / "a.png")
    (result,) = tab.predict(None, [sent / "a.png"])
    ((height, width),) = tab.models.shapes
    assert height * width <= 50 * 50 and height == pytest.approx(2 * width, abs=2)
    assert result.photo.shape_hw == (height, width) and f"{width} x {height}" in result.note


@pytest.mark.parametrize(
    ("error", "word"), [(RunError("weights are broken"), "weights are broken"), (MemoryError(), "No memory left")]
)
def test_a_prediction_that_fails_is_a_line(tab, sent, error, word):
    tab.models.error = error
    Image.fromarray(noise()).save(sent / "a.png")
    (result,) = tab.predict("mean", [sent / "a.png"])
    assert result.found is None and result.note.startswith("a.png: ") and word in result.note


def test_a_defect_stays_a_defect(tab, sent):
    tab.models.error = RuntimeError("a defect")
    Image.fromarray(noise()).save(sent / "a.png")
    with pytest.raises(RuntimeError, match="a defect"):
        tab.predict("mean", [sent / "a.png"])


def test_without_a_model_the_page_says_how_to_get_one(tab, sent):
    Image.fromarray(noise()).save(sent / "a.png")
    tab.models.names = []
    with pytest.raises(UserInputError, match="no model"):
        tab.predict(None, [sent / "a.png"])
    assert "ean models register" in NO_MODEL
    with pytest.raises(UserInputError, match="No image"):
        tab.predict("mean", None)


def test_downloads_hold_what_is_shown(tab, sent):
    for name, seed in (("=a.png", 0), ("b.png", 1)):
        Image.fromarray(noise(seed=seed)).save(sent / name)
    results = tab.predict("mean", [sent / "=a.png", sent / "b.png"])
    options = tab.options([0.5, True])
    box, path, table = tab.shown(results[1], options)
    assert path.name == "b_brightness.png" and "grey" in box and f"{results[1].found:.2f}" in box
    assert (np.asarray(Image.open(path)) == noise(seed=1) // 2).all()
    assert table[1] == ["brightness", f"{results[1].found:.2f}"]
    with open(tab.table(results, options), newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["image"] for row in rows] == ["./=a.png", "b.png"]  # no formula in a spreadsheet
    assert [float(row["brightness"]) for row in rows] == [one.found / 2 for one in results]
    assert tab.table([], options) is None


def test_names_are_no_html():
    for box in (headline_box("<b>", ["<i>"]), notes_box(["<script>"])):
        assert not any(tag in box for tag in ("<b>", "<i>", "<script>"))


@pytest.mark.parametrize(("given", "value"), [(0.5, 0.5), (-3, 0), (9, 2), (None, 1), ("1", 1), (float("nan"), 1)])
def test_a_slider_stays_in_its_range(given, value):
    assert BRIGHTNESS.CONTROLS[0].read(given) == value


def test_a_slider_of_whole_steps_gives_whole_numbers():
    rows = Slider("rows", "Rows", 1, 12, 1, 1)
    assert [type(rows.read(given)) for given in (3.0, 3.4, None, 99)] == [int] * 4
    assert rows.read(3.4) == 3 and rows.read(99) == 12


def test_a_tick_is_ticked_or_not():
    assert [Tick("a", "A", True).read(given) for given in (True, False, None, "x")] == [True, False, False, False]

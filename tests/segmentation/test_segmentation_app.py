"""The tab of segmentation: shares, colours and drawings."""

import itertools

import numpy as np
import pytest

pytest.importorskip("mmseg", reason="mmsegmentation is not installed (extras lite and full)")

from tasks.segmentation import app
from tasks.segmentation.predictor import Segmented
from transfer.app.uploads import Photo

OPTIONS = {one.name: one.value for one in app.CONTROLS}
PALETTE = tuple((i, i, i) for i in range(12))
NAMES = ("background", *(f"class {i}" for i in range(1, 12)))


def segmented(shape=(120, 200), classes=3):
    """Background above, the other classes in columns below it."""
    mask = np.zeros(shape, np.uint8)
    mask[shape[0] // 2 :] = 1 + np.arange(shape[1]) * (classes - 1) // shape[1]
    return Segmented(mask, NAMES, PALETTE)


def photo(shape=(120, 200)):
    return Photo("street.jpg", np.full((*shape, 3), 90, np.uint8), (120, 200))


def test_shares_are_told_the_largest_first():
    found = segmented()
    assert app.headline(found) == "background 50.0 %, class 1 25.0 %, class 2 25.0 %"
    assert app.table(found, OPTIONS)[:2] == [["class", "share"], ["background", "50.00 %"]]
    assert app.headline(segmented(classes=6)).endswith("and 3 more")
    line = app.row(found, OPTIONS)
    assert (line["share_class 2"], line["share_class 9"]) == (0.25, 0)
    assert (line["width"], line["height"]) == (200, 120)


@pytest.mark.parametrize("shape", [(120, 200), (60, 100)])
def test_classes_lie_over_the_photograph_and_the_background_does_not(shape):
    drawn = app.draw(photo(shape), segmented(), OPTIONS | {"names": False, "opacity": 1})
    height, width = shape
    assert drawn.shape[0] > height  # the legend
    assert (drawn[: height // 2 - 1, :width] == 90).all()
    left, right = drawn[height - 5, 5], drawn[height - 5, width - 5]
    assert tuple(left) in app.SAFE and tuple(right) in app.SAFE and tuple(left) != tuple(right)
    none = app.draw(photo(shape), segmented(), OPTIONS | {"names": False, "opacity": 0})
    assert (none[:height, :width] == 90).all()


def test_the_data_sets_own_colours_are_there_too():
    drawn = app.draw(photo(), segmented(), OPTIONS | {"names": False, "opacity": 1, "own_colours": True})
    assert tuple(drawn[115, 5]) == PALETTE[1] and tuple(drawn[115, 195]) == PALETTE[2]


def test_names_stand_in_their_classes():
    options = OPTIONS | {"opacity": 0}
    plain, named = (app.draw(photo(), segmented(), options | {"names": names}) for names in (False, True))
    rows, columns = np.nonzero((plain != named).any(axis=2))
    assert rows.min() > 60 and columns.min() < 100 < columns.max()


# Machado, Oliveira, Fernandes, "A Physiologically-based Model for Simulation of Color Vision Deficiency", 2009,
# full severity, on linear RGB.
DEUTAN = np.array([[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]])
PROTAN = np.array([[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]])


@pytest.mark.parametrize("seen", [np.eye(3), DEUTAN, PROTAN], ids=["all", "deutan", "protan"])
def test_colours_differ_for_the_colour_blind(seen):
    linear = (np.array(app.SAFE) / 255) ** 2.2
    colours = 255 * (linear @ seen.T).clip(0, 1) ** (1 / 2.2)
    assert min(np.abs(a - b).max() for a, b in itertools.combinations(colours, 2)) > 25

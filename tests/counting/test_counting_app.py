"""The tab of counting: numbers, notes and drawings."""

import numpy as np
import pytest

from tasks.counting import app
from tasks.counting.predictor import Counted
from tasks.counting.visualize import drawing
from transfer.app.uploads import Photo

OPTIONS = {one.name: one.value for one in app.CONTROLS}


def counted(size=(40, 64), novelty=None, people=((1, 2), (3, 6))):
    """One person in each of these cells."""
    density = np.zeros((-(-size[0] // 8), -(-size[1] // 8)), np.float32)
    for cell in people:
        density[cell] = 1
    return Counted(float(density.sum()), density, 8, size, "cats", novelty=novelty)


def photo(found, shrink=1):
    pixels = np.full((found.size[0] // shrink, found.size[1] // shrink, 3), 90, np.uint8)
    return Photo("street.jpg", pixels, found.size)


def test_the_headline_is_the_count():
    assert app.headline(counted()) == "2.0 cats"


@pytest.mark.parametrize(("novelty", "lines"), [(None, 0), (1.0, 0), (1.2, 1)])
def test_an_unusual_image_is_warned_of(novelty, lines):
    remarks = app.remarks(counted(novelty=novelty), OPTIONS)
    assert len(remarks) == lines and all("do not trust" in line for line in remarks)


def test_points_are_called_experimental():
    (line,) = app.remarks(counted(), OPTIONS | {"points": True})
    assert "experimental" in line and "experimental" in next(one for one in app.CONTROLS if one.name == "points").label


def test_cells_of_the_grid_hold_their_people():
    found, grid = counted(), OPTIONS | {"rows": 1, "columns": 2}
    assert app.table(found, OPTIONS) == []
    assert app.table(found, grid) == [["", "column 1", "column 2"], ["row 1", "1.0", "1.0"]]
    line = app.row(found, OPTIONS | {"rows": 2, "columns": 2})
    cells = {name: value for name, value in line.items() if name.startswith("cell_")}
    assert cells == {"cell_1_1": 1, "cell_1_2": 0, "cell_2_1": 0, "cell_2_2": 1}
    assert {key: line[key] for key in ("count", "width", "height", "novelty")} == {
        "count": 2,
        "width": 64,
        "height": 40,
        "novelty": None,
    }


def test_a_small_copy_is_drawn_as_the_whole_image_is():
    """Where each head's dot lies does not depend on how much the copy was shrunk."""
    found = counted((400, 640), people=((12, 20), (40, 70)))
    flat = found.points / (640, 400)
    for shrink in (1, 2):
        options = OPTIONS | {"opacity": 0, "points": True}
        drawn = app.draw(photo(found, shrink), found, options)[34:, :]  # below the title
        orange = np.argwhere((drawn[..., 0] > 220) & (drawn[..., 2] < 90))
        height, width = 400 // shrink, 640 // shrink
        for x, y in flat:
            assert np.abs(orange - (y * height, x * width)).max(axis=1).min() <= 2


@pytest.mark.parametrize("shrink", [1, 2])
def test_the_density_is_where_the_person_is(shrink):
    found = counted((400, 1280), people=((12, 20),))
    drawn = app.draw(photo(found, shrink), found, OPTIONS)[34:-34]
    changed = np.argwhere((drawn != 90).any(axis=2))
    middle = (changed.min(axis=0) + changed.max(axis=0)) / 2 * shrink
    assert middle == pytest.approx((12.5 * 8, 20.5 * 8), abs=4)


def test_opacity_reaches_from_none_to_full():
    found = counted()
    drawn = [app.draw(photo(found), found, OPTIONS | {"opacity": opacity}) for opacity in (0, 0.5, 1)]
    grey = [np.abs(one[34:74, :64].astype(int) - 90).sum() for one in drawn]
    assert grey[0] == 0 < grey[1] < grey[2]


def test_the_drawing_is_that_of_predict_at_the_default_opacity():
    found = counted()
    expected = drawing(photo(found).pixels, found.density, "street.jpg   2.0 cats", stride=8, noun="cats")
    assert (app.draw(photo(found), found, OPTIONS) == expected).all()

"""Figures: a PNG of the size asked for, whole or not at all."""

import pytest
from PIL import Image

from transfer.engine.figure import COLOURS, DPI, new_figure


def test_the_png_has_the_size_and_no_metadata_that_changes_with_versions(tmp_path):
    with new_figure(tmp_path / "a.png", (3.0, 2.0)) as figure:
        figure.subplots().plot([1, 2], color=COLOURS[0])
    with Image.open(tmp_path / "a.png") as image:
        assert image.size == (3 * DPI, 2 * DPI) and "Software" not in image.info
        assert (0x00, 0x72, 0xB2) in {colour for _, colour in image.convert("RGB").getcolors(2**16)}


def test_what_could_not_be_drawn_leaves_nothing_behind(tmp_path):
    with pytest.raises(ZeroDivisionError), new_figure(tmp_path / "a.png", (3.0, 2.0)):
        raise ZeroDivisionError
    assert not list(tmp_path.iterdir())

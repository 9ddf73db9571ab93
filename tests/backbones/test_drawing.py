"""A card's picture: a square for each block, filled where it is connected, and the modules above them."""

import re

import pytest

from backbones.drawing import CONNECTED, LEFT_OUT, MODULE, draw_backbone
from backbones.errors import UserInputError
from backbones.registry import get_card


def filled(svg, colour):
    """How many shapes of a colour there are."""
    return len(re.findall(f"fill: {colour.lower()}", svg.lower()))


@pytest.mark.parametrize(
    ("name", "modules"),
    [
        ("resnet50.imagenet", 0),
        ("resnet50_share_ean_sge.imagenet", 4),
        ("resnet50_full_sa_se.imagenet", 16),
        ("resnet164_share_ean_se.cifar100", 3),
    ],
)
def test_blocks_and_modules_are_counted_in_the_picture(name, modules, tmp_path):
    card = get_card(name)
    draw_backbone(card, tmp_path / "card.svg")
    svg = (tmp_path / "card.svg").read_text()
    connected = card.scheme.connected
    assert [filled(svg, colour) for colour in (CONNECTED, LEFT_OUT)] == [connected, card.scheme.total - connected]
    assert filled(svg, MODULE) == modules


def test_the_ending_says_the_format(tmp_path):
    draw_backbone(get_card("resnet38_share_ean_se.standin"), tmp_path / "card.png")
    assert (tmp_path / "card.png").read_bytes().startswith(b"\x89PNG")
    assert [path.name for path in tmp_path.iterdir()] == ["card.png"]


def test_other_endings_are_refused(tmp_path):
    with pytest.raises(UserInputError, match=r"card\.gif: expected a file that ends in \.png"):
        draw_backbone(get_card("resnet38.cifar100"), tmp_path / "card.gif")
    assert not list(tmp_path.iterdir())

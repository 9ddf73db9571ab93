"""MACs of networks: by hand, by torchvision's published figure, and on cards."""

from dataclasses import replace

import pytest
from card_files import small_card

from backbones import macs
from backbones.card import BackboneCard
from backbones.errors import UserInputError
from backbones.figures import Figures
from backbones.registry import build, count_macs, get_card, register_backbone
from backbones.scheme import ConnectionScheme
from backbones.verification import verify_card, write_macs


def plain_card():
    return small_card("resnet20_basic.mine", "000.000.000", arch="resnet20_basic", attention=None)


def by_hand():
    """A ResNet-20 of basic blocks for 32 px: a stem, then six 3x3 convolutions a stage, and 1x1 ones beside two."""
    total = 32 * 32 * 3 * 16 * 9
    for width, before, side in ((16, 16, 32), (32, 16, 16), (64, 32, 8)):
        total += side**2 * (before * width * 9 + 5 * width * width * 9)
        total += side**2 * before * width if before != width else 0
    return total


def test_a_plain_network_by_hand():
    assert count_macs(plain_card()) == by_hand()


def test_a_classifier_counts_where_there_is_one():
    model = build(plain_card(), num_classes=10).train()
    assert macs.count(model, 32) == by_hand() + 64 * 10
    assert model.training


def test_resnet50_has_torchvisions_published_figure():
    card = get_card("resnet50.imagenet")
    assert (macs.on_card(card) + 2048 * 1000) / 1e9 == pytest.approx(4.089, abs=5e-4)


@pytest.mark.parametrize("sharing", ["stage", "block"])
def test_se_counts_once_for_each_connected_block(sharing):
    plain = count_macs(small_card(scheme="00.00.00"))
    connected = count_macs(small_card(scheme="10.01.11", sharing=sharing))
    assert connected - plain == 2 * 64 * 4 + 2 * 128 * 8 + 2 * (2 * 256 * 16)


def test_fewer_connections_are_fewer_macs():
    full = small_card(scheme="11.11.11")
    assert count_macs(full) > count_macs(replace(full, scheme=ConnectionScheme.parse("11.11.10")))


def test_registering_counts_behind_what_was_measured(tmp_path):
    trained = Figures("results/x.json", "cifar100 test", {"top1": 66.0})
    card = register_backbone(small_card(measured=(trained,)), directory=tmp_path)
    assert card.measured[0] == trained and macs.on_card(card) == count_macs(card)
    assert register_backbone(replace(card, name="resnet20_share_se.b"), directory=tmp_path).measured == card.measured


def test_a_card_with_other_macs_is_refused_found_and_mended(tmp_path):
    card = register_backbone(small_card(), directory=tmp_path)
    counted = macs.on_card(card)
    wrong = macs.with_macs(card, counted + 1)
    with pytest.raises(UserInputError, match=r"'measured.macs_billion' is \d"):
        register_backbone(replace(wrong, name="resnet20_share_se.b"), directory=tmp_path)
    (problem,) = verify_card(wrong).problems
    assert f"{counted:,} MACs, but the card says {counted + 1:,}" in problem
    assert write_macs(wrong) == card == BackboneCard.read(card.path)


def test_a_network_that_does_not_run_at_the_cards_size_is_a_problem_of_the_card(tmp_path, monkeypatch):
    def refuse(*inputs):
        raise AssertionError("sides must be multiples of 7")

    monkeypatch.setattr("backbones.resnet.AttentionResNet.forward", refuse)
    with pytest.raises(UserInputError, match=r"does not run on an image of 32 px .* multiples of 7"):
        register_backbone(small_card(), directory=tmp_path)
    assert list(tmp_path.iterdir()) == []
    found = verify_card(small_card())
    assert found.parameters and found.macs is None and len(found.problems) == 1


def test_the_earlier_key_is_still_read(tmp_path):
    text = small_card(measured=(Figures("a log", "cifar100", {"flops_billion": 0.08}),)).to_toml()
    assert "flops_billion = 0.08" in text
    assert BackboneCard.parse(text, tmp_path / "x.toml").measured[0].values == {"flops_billion": 0.08}

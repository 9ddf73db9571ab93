"""Networks side by side: which, against which, and how they are ranked."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from backbones.card import BackboneCard, Provenance
from backbones.errors import UserInputError
from backbones.registry import get_card, register_backbone
from transfer.measure import tables as report
from transfer.measure.increment import measure_increments
from transfer.measure.networks import find_network, reference_of, settle
from transfer.measure.timed_models import Settings, TimedModel

ROOT = Path(__file__).resolve().parents[2]
EAN, SHARE, PLAIN = "resnet38_share_ean_se.standin", "resnet38_full_share_se.cifar100", "resnet38.cifar100"


def config(name):
    return str(ROOT / "configs" / name)


def test_increments_are_paired_with_the_same_mode_of_the_plain_network(monkeypatch):
    """Clocked by hand: the machine is twice as slow in the last round."""
    seconds = {
        PLAIN: dict(eager=1.0, deployed=0.5),
        EAN: dict(eager=1.2, deployed=0.6),
        SHARE: dict(eager=1.1, deployed=0.7),
    }

    def times(models, settings):
        one = np.array([seconds[model.name][model.mode] for model in models])
        return np.stack([[one, one, 2 * one], [one, one, 2 * one]])

    def prepare(name, build, size, modes, settings):
        return [TimedModel(name, mode, nn.Identity(), nn.Identity(), torch.ones(4, *size)) for mode in modes]

    monkeypatch.setattr("transfer.measure.increment.times_of", times)
    monkeypatch.setattr("transfer.measure.increment.prepare", prepare)
    settings = Settings(batch=4, rounds=3, repeats=2)
    rows = measure_increments([EAN, SHARE, PLAIN], modes=["eager", "deployed"], settings=settings)
    by = {(row["name"], row["mode"]): row for row in rows}
    assert len(rows) == 6
    assert by[EAN, "eager"]["increment_percent"] == pytest.approx(20)
    assert by[EAN, "deployed"]["increment_percent"] == pytest.approx(20)
    assert by[SHARE, "deployed"]["increment_percent"] == pytest.approx(40)
    assert by[SHARE, "deployed"]["ci95"] == pytest.approx([40, 40])
    assert by[SHARE, "deployed"]["repeats"] == pytest.approx([40, 40])
    assert by[EAN, "deployed"]["time_against_eager"] == pytest.approx(0.6)
    assert by[PLAIN, "deployed"]["time_against_eager"] == pytest.approx(0.5)
    assert by[EAN, "eager"]["ms_per_image"] == pytest.approx(300)
    eager, deployed = report.rankings(rows)
    assert f"eager, least first: {SHARE} < {EAN}; the same in 2 of 2" in eager
    assert f"deployed, least first: {EAN} < {SHARE}" in deployed


def test_only_networks_whose_intervals_lie_apart_are_ranked():
    def row(name, increment, ci95, repeats):
        return dict(name=name, mode="eager", increment_percent=increment, ci95=ci95, repeats=repeats)

    rows = [row("plain", None, None, []), row("c", 5.0, [4.5, 5.5], [5.2, 1.6]), row("b", 1.9, [1.5, 2.1], [2.2, 1.5])]
    rows.append(row("a", 1.8, [1.6, 2.0], [1.7, 1.9]))
    (line,) = report.rankings(rows)
    assert line == "eager, least first: a ≈ b < c; the same in 1 of 2 repeats"


# ---- which networks, against which


def test_sizes_and_published_figures_are_those_of_the_card_or_the_config():
    network = find_network("resnet164_full_share_se.cifar100")
    assert network.size == 32 and sorted(network.published.values()) == [41.66, 52.09] and network.top1 == 76.09
    assert reference_of(network).name == "resnet164.cifar100"
    assert reference_of(find_network("resnet50_share_ean_se.standin")).name == "resnet50.imagenet"
    assert find_network("resnet50_share_ean_se.standin").published == {}
    counter = find_network(config("shha_ean_dia.py"))
    assert counter.size == 448 and list(counter.published.values()) == [29.43]
    assert list(find_network(config("shhb_ean_dia.py")).published.values()) == [8.71]
    classifier = find_network(config("c100_resnet164_full_share_se.py"))
    assert classifier.size == 32 and sorted(classifier.published.values()) == [41.66, 52.09]
    assert classifier.top1 == 76.09
    digits = find_network(config("standalone/digits_resnet38.py"))
    assert digits.published == {} and digits.top1 is None  # the card's figures are of other data


def test_segmentors_are_timed_at_the_size_of_their_crops():
    pytest.importorskip("mmseg")
    segmentor = find_network(config("voc_psp_full_share_se.py"))
    assert segmentor.size == 473 and list(segmentor.published.values()) == [48.16]


def test_a_network_without_plain_one_needs_against(tmp_path, monkeypatch):
    monkeypatch.setenv("TRANSFER_CARDS", str(tmp_path))
    own = get_card("resnet50_full_share_se.imagenet")
    arch, depths = "resnet18", (2, 2, 2, 2)
    scheme = type(own.scheme).full(depths)
    provenance = Provenance("hand", "the tests")
    register_backbone(
        BackboneCard("resnet18_se.mine", arch, scheme=scheme, input=own.input, provenance=provenance, attention="se"),
        directory=tmp_path,
    )
    network = find_network("resnet18_se.mine")
    with pytest.raises(UserInputError, match="--against"):
        reference_of(network)
    assert reference_of(network, "resnet50.imagenet").name == "resnet50.imagenet"


# ---- statistics of batch normalisation, the figure


def test_settling_sets_the_statistics_and_nothing_else():
    norm = nn.BatchNorm2d(3, momentum=0.01)
    model = nn.Sequential(nn.Conv2d(3, 3, 1), norm)
    batch = torch.randn(8, 3, 5, 5) * 7 + 3
    weights = model[0].weight.clone()
    settle(model, batch)
    assert not model.training and norm.momentum == 0.01 and torch.equal(weights, model[0].weight)
    with torch.no_grad():
        out = model(batch)
    torch.testing.assert_close(out.mean((0, 2, 3)), torch.zeros(3), atol=1e-5, rtol=0)
    torch.testing.assert_close(out.std((0, 2, 3)), torch.ones(3), atol=1e-4, rtol=0)


def test_the_picture_shows_every_network_in_every_mode(tmp_path):
    rows = [
        dict(name=name, mode=mode, increment_percent=x, ci95=[x - 1, x + 1], top1=None, parameters=parameters)
        for name, x, parameters in (("configs/a.py", 3.0, 10**6), ("configs/b.py", 6.0, 10**6))
        for mode in ("eager", "deployed", "compiled")
    ]
    report.draw_increments([*rows, dict(rows[0], increment_percent=None)], tmp_path / "figure.png")
    with Image.open(tmp_path / "figure.png") as image:
        pixels = np.asarray(image.convert("RGB")).astype(int)[:, : image.width * 85 // 100]  # without the legend
    centres = []
    for colour in ((0x00, 0x72, 0xB2), (0xD5, 0x5E, 0x00)):
        ys, xs = np.nonzero(np.abs(pixels - colour).sum(2) < 30)
        assert len(np.unique(ys)) > 20  # three markers, one below the other
        centres.append(xs.mean())
    assert centres[1] - centres[0] == pytest.approx(3 / 10 * pixels.shape[1], rel=0.3)

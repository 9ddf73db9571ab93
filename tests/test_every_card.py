"""One name, every task: `--cfg-options model.backbone.name=NAME` alone, on every kind of config and of card."""

from __future__ import annotations

import functools
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from card_kinds import one_of_each
from mmengine.registry import MODELS, DefaultScope
from mmengine.structures import PixelData

from backbones.arch import get_arch
from backbones.card import INPUTS, BackboneCard, Provenance
from backbones.errors import UserInputError
from backbones.genotype import Genotype
from backbones.registry import get_card, register_backbone
from backbones.widths import WidthPlan
from transfer.engine.backbone import RegisteredBackbone, without_initial_weights
from transfer.engine.config_check import load_config, scope_of

pytestmark = pytest.mark.slow

CONFIGS = Path(__file__).resolve().parents[1] / "configs"
SIDE = 32
SPREAD = 5
"""Every fifth card with the first config, from the second one on with the second, and so on; the rest on demand."""


def family(text):
    """Which model file a config is made from, or its own name."""
    return next((line.split("/")[-1][:-5] for line in text.splitlines() if "_base_/models/" in line), None)


@functools.cache
def one_of_each_family():
    """The first config of each: those that name the same model file, and for classification the same data set."""
    found = {}
    for path in sorted(CONFIGS.glob("*.py")):
        text = path.read_text()
        if key := family(text) or next((n for n in ("cifar100", "imagenet") if f"datasets/{n}.py" in text), None):
            found.setdefault(key, path.stem)
    return sorted(found.values())


def rows():
    cards = one_of_each()
    return [
        pytest.param(
            config, card, marks=() if (place - shift) % SPREAD == 0 else pytest.mark.all_cards, id=f"{config}-{card}"
        )
        for shift, config in enumerate(one_of_each_family())
        for place, card in enumerate(cards)
    ]


def counting_loss(model):
    from tasks.counting.structures import CrowdSample

    cells = SIDE // model.stride
    samples = [
        CrowdSample(
            metainfo=dict(img_shape=(SIDE, SIDE)), points=torch.rand(3, 2) * SIDE, density=torch.rand(1, cells, cells)
        )
        for _ in range(2)
    ]
    assert model.stride == 8
    return model(torch.randn(2, 3, SIDE, SIDE), samples, mode="loss")


def segmentation_loss(model):
    from mmseg.structures import SegDataSample

    samples = []
    for _ in range(2):
        sample = SegDataSample(metainfo=dict(img_shape=(SIDE, SIDE)))
        sample.gt_sem_seg = PixelData(data=torch.randint(0, 21, (1, SIDE, SIDE)))
        samples.append(sample)
    features = model.backbone.feature_info
    assert features[-1].stride == 8 and features[-1].stage == len(model.backbone.arch.depths) - 1
    assert model.data_preprocessor.mean.flatten().tolist() == pytest.approx([255 * m for m in model.backbone.card.mean])
    return model(torch.randn(2, 3, SIDE, SIDE), samples, mode="loss")


def classification_loss(model):
    return model(torch.randn(2, 3, SIDE, SIDE), torch.tensor([0, 1]), mode="loss")


LOSSES = {"counting": counting_loss, "segmentation": segmentation_loss, "classification": classification_loss}


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize(("config", "card"), rows())
def test_a_config_trains_any_card_by_its_name_alone(config, card):
    trains(config, card)


PRUNED = {
    "resnet38_share_ean_se.c100_6ep": "9x5*2,16x16,1x3.20x32*4.64x11*4",
    "preresnet20.cifar100": "3x8*2.16x9*2.31x64*2",
    "mobilenetv2.imagenet": "19.48,72.144*3.192*7.480,600*3",
}
"""Some card of each family, and a plan for it."""


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("name", PRUNED)
@pytest.mark.parametrize("config", ["shha_small_ean_se", "voc_small_resnet", "imagenet_resnet50_resnet"])
def test_a_config_trains_a_pruned_card_by_its_name(config, name, tmp_path, monkeypatch):
    monkeypatch.setenv("TRANSFER_CARDS", str(tmp_path))
    full = get_card(name)
    plan = WidthPlan.parse(PRUNED[name])
    register_backbone(
        replace(full, name=f"{full.arch}_pruned.mine", widths=plan, weights=None, parameters=None, measured=()),
    )
    net = trains(config, f"{full.arch}_pruned.mine")
    assert net.widths == plan and net.scheme == full.scheme


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("arch", ["cells_nats_c8n1", "cells_darts_c16n8"])
@pytest.mark.parametrize("config", ["shha_small_ean_se", "voc_small_resnet", "imagenet_resnet50_resnet"])
def test_a_config_trains_searched_cells_by_their_name(config, arch, tmp_path, monkeypatch):
    monkeypatch.setenv("TRANSFER_CARDS", str(tmp_path))
    genotype = Genotype.parse(get_arch(arch).genotype)
    source = Provenance("hand", "a test")
    register_backbone(BackboneCard(f"{arch}_mine.mine", arch, None, INPUTS["cifar"], source, genotype=genotype))
    assert trains(config, f"{arch}_mine.mine").genotype == genotype


def test_a_trunk_of_full_widths_is_not_taken_for_a_pruned_one(tmp_path, monkeypatch):
    monkeypatch.setenv("TRANSFER_CARDS", str(tmp_path))
    full = get_card("resnet50.imagenet")
    plan = WidthPlan.uniform(0.25, get_arch("resnet50").inner)
    register_backbone(replace(full, name="resnet50_pruned.mine", widths=plan, parameters=None, measured=()))
    with pytest.raises(UserInputError, match="init='trunk': the trunk of resnet50 has its full widths"):
        RegisteredBackbone("resnet50_pruned.mine", init="trunk")
    assert RegisteredBackbone("resnet50_pruned.mine", init="auto").init == "scratch"


def trains(config, card):
    """Builds a config's model with a backbone, and takes one gradient; returns the backbone."""
    config = load_config(CONFIGS / f"{config}.py", [f"model.backbone.name={card}"])
    if config.task == "segmentation":
        pytest.importorskip("mmseg", reason="mmsegmentation is not installed (extras lite and full)")
    torch.manual_seed(0)
    with without_initial_weights(), DefaultScope.overwrite_default_scope(scope_of(config)):
        model = MODELS.build(config.model).train()
        losses = LOSSES[config.task](model)
    total = sum(value.mean() for key, value in losses.items() if "loss" in key)
    total.backward()
    assert total.isfinite() and model.backbone.card.name == card
    assert model.backbone.init in ("scratch", "trunk", "full")
    if model.backbone.init == "trunk":
        assert get_arch(get_card(card).arch).stem == "imagenet"
    grown = [p for p in model.backbone.parameters() if p.grad is not None and p.grad.abs().sum() > 0]
    assert grown and all(p.grad.isfinite().all() for p in grown)
    return model.backbone

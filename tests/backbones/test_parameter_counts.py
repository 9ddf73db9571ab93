"""The papers' parameter counts, exactly: every row is built through the registry."""

import pytest
import torch

from backbones.arch import get_arch
from backbones.registry import create_backbone, get_card, list_backbones
from backbones.scheme import ConnectionScheme

pytestmark = pytest.mark.slow

COUNTS = {
    "resnet164.cifar100": 1_727_284,
    "resnet164_full_sa_se.cifar100": 1_929_388,
    "resnet164_full_share_se.cifar100": 1_738_512,
    "resnet164_full_sa_sge.cifar100": 1_727_716,
    "resnet164_full_share_sge.cifar100": 1_727_308,
    "resnet164_full_share_dia.cifar100": 1_946_132,
    "resnet50.imagenet": 25_583_592,
    "resnet50_full_sa_se.imagenet": 28_114_584,
    "resnet50_full_share_se.imagenet": 26_283_992,
    "resnet50_full_sa_sge.imagenet": 25_585_640,
    "resnet50_full_share_sge.imagenet": 25_584_104,
    "resnet50_full_share_dia.imagenet": 28_384_612,
    "resnet38.cifar100": 428_980,
    "resnet38_full_sa_se.cifar100": 473_892,
    "resnet38_full_share_se.cifar100": 440_208,
}


def count(name, **overrides):
    imagenet = get_arch(get_card(name).arch).stem == "imagenet"
    with torch.device("meta"):
        model = create_backbone(name, num_classes=1000 if imagenet else 100, conv_bias=imagenet, **overrides)
    return sum(parameter.numel() for parameter in model.parameters())


@pytest.mark.parametrize("name", COUNTS)
def test_counts_are_the_papers(name):
    assert count(name) == COUNTS[name]


SHARED = [name for name in list_backbones() if get_card(name).attention and get_card(name).sharing == "stage"]


@pytest.mark.parametrize("name", [name for name in SHARED if all(map(any, get_card(name).scheme.stages))])
def test_a_shared_module_counts_once_however_sparse_its_connections(name):
    full = ConnectionScheme.full(get_arch(get_card(name).arch).depths)
    assert count(name) == count(name, scheme=full)


def test_a_stage_without_connections_has_no_module():
    channels, reduced = 128, 8  # of stage 2, which connects nothing: two layers with biases
    module = channels * reduced + reduced + reduced * channels + channels
    assert count("resnet38_share_ean_se.c100_6ep") == COUNTS["resnet38_full_share_se.cifar100"] - module


def test_without_convolution_biases_resnet50_is_torchvisions():
    with torch.device("meta"):
        model = create_backbone("resnet50.imagenet", num_classes=1000)
    assert sum(parameter.numel() for parameter in model.parameters()) == 25_557_032


def test_stand_alone_networks_hold_only_what_the_scheme_reaches():
    per_block = "resnet38_full_sa_se.cifar100"
    plain, se = COUNTS["resnet38.cifar100"], (580, 2184, 8464)
    assert count(per_block, scheme="1010.0001.0000") == plain + 2 * se[0] + se[1]
    assert count(per_block, scheme="1010.0001.0000", supernet=True) == COUNTS[per_block]
    shared = "resnet38_full_share_se.cifar100"
    assert count(shared, scheme="1010.0001.0000") == plain + se[0] + se[1]
    assert count(shared, scheme="1010.0001.0000", supernet=True) == COUNTS[shared]


@pytest.mark.parametrize("name", list_backbones())
def test_published_millions_are_the_counts_rounded(name):
    card = get_card(name)
    for entry in card.published:
        printed = entry.values.get("parameters_million")
        if printed is not None:
            digits = len(str(printed).partition(".")[2])
            assert round(card.parameters.count / 1e6, digits) == printed

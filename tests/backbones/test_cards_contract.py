"""What holds for every registered backbone: a new card is tested without touching a test."""

import pytest
import torch
from card_files import every_card, shake

from backbones.arch import get_arch
from backbones.errors import UserInputError
from backbones.registry import create_backbone, get_card, list_backbones
from backbones.scheme import ConnectionScheme
from backbones.verification import verify_backbone
from backbones.weights import load_weights

pytestmark = pytest.mark.slow

PUBLISHED_SCHEMES = {
    "resnet50_share_ean_sge.imagenet": (4, 11, 19, 3),
    "resnet50_share_ean_dia.imagenet": (6, 3, 50, 3),
    "resnet164_share_ean_se.cifar100": (51573, 49615, 180721),
    "resnet164_share_ean_se_b.cifar100": (49239, 115223, 166272),
}
CONNECTED = {
    "resnet164_share_ean_se.cifar100": 27,
    "resnet164_share_ean_se_b.cifar100": 20,
    "resnet164_share_enas_se_a.cifar100": 18,
    "resnet164_share_enas_se_b.cifar100": 25,
    "resnet164_share_enas_se_c.cifar100": 36,
}


def pictures(size):
    return torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(0))


def size_for(card):
    return 64 if get_arch(card.arch).stem == "imagenet" else 12


@pytest.mark.parametrize("name", list_backbones())
def test_a_name_begins_with_the_architecture_and_tells_stand_ins(name):
    card = get_card(name)
    assert name.startswith(card.arch)
    assert (card.provenance.kind == "stand-in") == name.endswith(".standin")


@pytest.mark.parametrize("name", list_backbones("*.imagenet"))
def test_input_statistics_of_imagenet(name):
    card = get_card(name)
    assert (card.mean, card.std) == ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


@pytest.mark.parametrize("name", list_backbones("*.cifar100"))
def test_input_statistics_of_cifar100(name):
    card = get_card(name)
    assert (card.mean, card.std) == ((0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010))


@pytest.mark.parametrize("name", every_card())
def test_features_have_the_promised_channels_and_strides(name):
    card = get_card(name)
    stages, size = range(len(get_arch(card.arch).depths)), size_for(card)
    model = create_backbone(name, out_indices=stages).eval()
    with torch.inference_mode():
        features = model(pictures(size))
    assert len(features) == len(model.feature_info)
    for feature, info in zip(features, model.feature_info, strict=True):
        side = -(-size // info.stride)
        assert feature.shape == (2, info.channels, side, side)
        assert feature.isfinite().all()


@pytest.mark.parametrize("name", every_card())
def test_verifies(name):
    result = verify_backbone(name)
    assert result.ok, result.problems
    assert result.parameters == result.expected
    assert result.macs == result.expected_macs


@pytest.mark.parametrize("name", [param for param in every_card() if get_card(param.values[0]).attention])
def test_the_empty_scheme_is_the_plain_network(name):
    card = get_card(name)
    empty = ConnectionScheme.empty(get_arch(card.arch).depths)
    torch.manual_seed(0)
    sparse = shake(create_backbone(name, scheme=empty, out_indices=(1,)))
    torch.manual_seed(0)
    plain = shake(create_backbone(name, attention=None, out_indices=(1,)))
    assert set(sparse.state_dict()) == set(plain.state_dict())
    with torch.inference_mode():
        for ours, theirs in zip(sparse(pictures(size_for(card))), plain(pictures(size_for(card))), strict=True):
            assert torch.equal(ours, theirs)


@pytest.mark.parametrize(("name", "codes"), PUBLISHED_SCHEMES.items())
def test_published_schemes(name, codes):
    assert get_card(name).scheme.codes == codes


@pytest.mark.parametrize(("name", "connected"), CONNECTED.items())
def test_published_schemes_connect_as_many_blocks(name, connected):
    assert get_card(name).scheme.connected == connected


def test_the_two_papers_increments_are_both_there():
    increments = {
        name: [entry.values["time_increment_percent"] for entry in get_card(name).published]
        for name in ("resnet164_full_sa_se.cifar100", "resnet164_full_share_se.cifar100")
    }
    assert increments == {
        "resnet164_full_sa_se.cifar100": [54.46, 43.56],
        "resnet164_full_share_se.cifar100": [52.09, 41.66],
    }
    ean = get_card("resnet164_share_ean_se.cifar100").published
    assert [entry.values["time_increment_percent"] for entry in ean] == [23.52, 18.81]
    assert {entry.values["top1"] for entry in ean} == {76.93}


def test_the_stand_in_has_the_sge_scheme_and_says_so():
    card = get_card("resnet50_share_ean_se.standin")
    assert card.scheme == get_card("resnet50_share_ean_sge.imagenet").scheme
    assert "never published" in card.provenance.note


def test_full_weights_of_a_card_without_any():
    with pytest.raises(UserInputError, match="no weights of its own"):
        create_backbone("resnet38.cifar100", pretrained=True)


@pytest.mark.parametrize("name", list_backbones(pretrained=True))
def test_shipped_weights_start_other_tasks_without_the_classifier(name):
    card = get_card(name)
    model = create_backbone(name, stem_stride=2)
    report = load_weights(model, card.weights_path(), init="full")
    assert report.clean and set(report.not_needed) == {"fc.weight", "fc.bias"} and not report.fresh
    assert card.weights.licence != "unstated" and card.measured

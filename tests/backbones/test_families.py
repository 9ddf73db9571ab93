"""Every family keeps the contract of registered backbones; its networks are the papers', counted and by hand."""

from __future__ import annotations

import inspect

import pytest
import torch
import torch.nn.functional as F
import torchvision
from card_files import reaching_six, shake, small_card

from backbones import macs
from backbones.arch import ARCHITECTURES, FAMILIES, family_of
from backbones.card import INPUTS, BackboneCard, Provenance
from backbones.errors import UserInputError
from backbones.registry import build, create_backbone, get_card, register_backbone
from backbones.scheme import ConnectionScheme
from backbones.sites import prune, sites_of
from backbones.trunk import Trunk
from backbones.verification import verify_card
from backbones.weights import load_weights
from backbones.widths import WidthPlan

pytestmark = pytest.mark.slow

SMALLEST = {
    name: min(family.architectures, key=lambda spec: sum(spec.depths)).name for name, family in FAMILIES.items()
}
HALF = "8x8*2.16x16*2.32x32*2"


def network(arch, **options):
    return family_of(arch).network()(arch, **options)


def images(arch, side=2, count=2):
    spec = ARCHITECTURES[arch]
    pixels = side * spec.stem_stride * 2 ** (len(spec.depths) - 1)
    return torch.randn(count, 3, pixels, pixels, generator=torch.Generator().manual_seed(0))


# ---- the contract


@pytest.mark.parametrize("name", FAMILIES)
def test_a_family_says_what_others_ask_of_it(name):
    family = FAMILIES[name]
    made = family.network()
    assert issubclass(made, Trunk) and made.family == name
    assert {spec.family for spec in family.architectures} == {name}
    assert {"widths", "num_classes", "out_indices", "output_stride", "stem_stride", "conv_bias"} <= set(
        inspect.signature(made).parameters
    )
    assert family.sams == ("scheme" in inspect.signature(made).parameters)


@pytest.mark.parametrize("arch", sorted(ARCHITECTURES))
def test_sites_are_the_architectures_inner_widths(arch):
    with torch.device("meta"):
        net = network(arch)
    if net.arch.space is not None:
        assert not sites_of(net), "cells have none"
        return
    found = [[[] for _ in range(depth)] for depth in net.arch.depths]
    for site in sites_of(net):
        assert site.channels == site.norm.num_features == site.consumer.in_channels
        found[site.stage][site.block].append(site.channels)
    assert WidthPlan.full(found) == WidthPlan.full(net.arch.inner)


@pytest.mark.parametrize("arch", SMALLEST.values())
def test_strides_dilate_as_asked(arch):
    net = network(arch, output_stride=ARCHITECTURES[arch].stem_stride * 2, out_indices=(0, -1)).eval()
    x = images(arch, side=4)
    with torch.no_grad():
        for feature, info in zip(net(x), net.feature_info, strict=True):
            assert feature.shape[1:] == (info.channels, x.shape[2] // info.stride, x.shape[3] // info.stride)
    assert net.feature_info[-1].stride == 2 * ARCHITECTURES[arch].stem_stride
    assert net.state_dict().keys() == network(arch).state_dict().keys()


@pytest.mark.parametrize("arch", SMALLEST.values())
def test_whoever_runs_it_block_by_block_gets_what_it_puts_out(arch):
    net = shake(network(arch, num_classes=5))
    with torch.no_grad():
        x = net.stem(images(arch))
        for stage in range(net.stages_built):
            for block in getattr(net, f"layer{stage + 1}"):
                x = block(x)
        assert torch.equal(net.head(x), net(images(arch)))


@pytest.mark.parametrize("arch", SMALLEST.values())
def test_frozen_stages_learn_nothing(arch):
    net = network(arch, frozen_stages=1).train()
    frozen = {name.partition(".")[0] for name, p in net.named_parameters() if not p.requires_grad}
    assert {"conv1", "layer1"} <= frozen and "layer2" not in frozen
    assert not net.layer1.training and net.layer2.training


@pytest.mark.parametrize("arch", SMALLEST.values())
def test_recomputed_gradients_are_the_same(arch):
    gradients = []
    for recompute in (False, True):
        torch.manual_seed(0)
        net = shake(network(arch, with_cp=recompute)).double().train()
        net(images(arch).double())[-1].square().mean().backward()
        gradients.append([p.grad for p in net.parameters()])
    for kept, anew in zip(*gradients, strict=True):
        torch.testing.assert_close(kept, anew, rtol=0, atol=1e-12)


def test_a_class_builds_no_other_familys_networks():
    for arch in SMALLEST.values():
        for family in FAMILIES.values():
            if family is not family_of(arch):
                with pytest.raises(UserInputError, match="builds those of"):
                    family.network()(arch)


# ---- the papers' networks


@pytest.mark.parametrize(
    ("arch", "classes", "side", "parameters", "multiplications"),
    [
        ("preresnet164", 100, 32, 1_726_388, 247_669_760),
        ("preresnet164", 10, 32, 1_703_258, 247_646_720),
        ("resnet164", 100, 32, 1_727_284, 247_669_760),
        ("mobilenetv2", 1000, 224, 3_504_872, 300_774_272),
    ],
)
def test_counts(arch, classes, side, parameters, multiplications):
    with torch.device("meta"):
        net = network(arch, num_classes=classes)
    assert sum(p.numel() for p in net.parameters()) == parameters
    assert macs.count(net, side) == multiplications


def torchvisions_keys(state):
    """Our parameters of MobileNetV2 by torchvision's names: `features.N` are the stem, 17 blocks, the last layer."""
    blocks = [f"layer{stage}.{block}" for stage, depth in enumerate((1, 2, 3, 7, 4), 1) for block in range(depth)]
    renamed = {"conv1": "features.0.0", "bn1": "features.0.1", "last.0": "features.18.0", "last.1": "features.18.1"}
    renamed["fc"] = "classifier.1"
    for number, block in enumerate(blocks, 1):
        steps = ["conv.0.0", "conv.0.1", "conv.1.0", "conv.1.1", "conv.2", "conv.3"]
        names = ["conv1", "bn1", "conv2", "bn2", "conv3", "bn3"]
        if number == 1:  # without expansion
            names, steps = names[2:], ["conv.0.0", "conv.0.1", "conv.1", "conv.2"]
        renamed |= {f"{block}.{name}": f"features.{number}.{step}" for name, step in zip(names, steps, strict=True)}
    return {f"{renamed[key.rpartition('.')[0]]}.{key.rpartition('.')[2]}": value for key, value in state.items()}


def test_mobilenetv2_is_torchvisions():
    ours = reaching_six(shake(network("mobilenetv2", num_classes=10))).double()
    theirs = torchvision.models.mobilenet_v2(num_classes=10).double().eval()
    theirs.load_state_dict(torchvisions_keys(ours.state_dict()))
    x = images("mobilenetv2").double()
    cut = []
    for module in ours.modules():
        if isinstance(module, torch.nn.ReLU6):
            module.register_forward_hook(lambda _module, _inputs, out: cut.append(bool((out == 6).any())))
    with torch.no_grad():
        ours(x)
        assert len(cut) == 35 and sum(cut) > 20, "ReLU6 cuts something off, after most convolutions"
        torch.testing.assert_close(ours(x), theirs(x), rtol=0, atol=1e-12)


def preresnet_by_hand(state, x, depths):
    """A pre-activation ResNet of bottleneck blocks in functions alone, in evaluation mode."""

    def norm(x, name):
        parts = (state[f"{name}.{part}"] for part in ("running_mean", "running_var", "weight", "bias"))
        return F.relu(F.batch_norm(x, *parts))

    x = F.conv2d(x, state["conv1.weight"], padding=1)
    for stage, depth in enumerate(depths, 1):
        for block in range(depth):
            name, stride = f"layer{stage}.{block}", 2 if stage > 1 and not block else 1
            y = F.conv2d(norm(x, f"{name}.bn1"), state[f"{name}.conv1.weight"])
            y = F.conv2d(norm(y, f"{name}.bn2"), state[f"{name}.conv2.weight"], stride=stride, padding=1)
            y = F.conv2d(norm(y, f"{name}.bn3"), state[f"{name}.conv3.weight"])
            shortcut = state.get(f"{name}.downsample.weight")
            x = y + (x if shortcut is None else F.conv2d(x, shortcut, stride=stride))
    x = norm(x, f"layer{len(depths)}.{depths[-1] - 1}.norm").mean((2, 3))
    return x @ state["fc.weight"].T + state["fc.bias"]


def test_preresnet_by_hand():
    net = shake(network("preresnet29", num_classes=10)).double()
    x = images("preresnet29", side=4).double()
    with torch.no_grad():
        torch.testing.assert_close(net(x), preresnet_by_hand(net.state_dict(), x, net.arch.depths), rtol=0, atol=1e-12)


# ---- SAMs in pre-activation blocks


@pytest.mark.parametrize(("sam", "args"), [("se", {}), ("sge", {"groups": 4}), ("dia", {})])
def test_a_sam_masks_the_residual_and_nothing_is_activated_behind_it(sam, args):
    net = shake(network("preresnet20", attention=sam, attention_args=args, scheme="10.00.00", out_indices=(0,)))
    x = images("preresnet20")
    with torch.no_grad():
        stem = net.stem(x)
        block, after = net.layer1[0], net.layer1[1]
        gate, _ = net.sam(0, 0).gate(block.residual(stem))
        expected = after.residual(block.shortcut(stem) + gate * block.residual(stem))
        expected = expected + block.shortcut(stem) + gate * block.residual(stem)
        torch.testing.assert_close(net(x)[0], expected, rtol=1e-5, atol=1e-5)
        assert net(x)[0].min() < 0


@pytest.mark.parametrize("sam", ["se", "dia"])
def test_soft_connections_of_zero_and_one_are_the_scheme(sam):
    net = shake(network("preresnet20", attention=sam, scheme="10.01.11", supernet=True, num_classes=3)).double()
    x = images("preresnet20").double()
    with torch.no_grad():
        hard = net(x)
        soft = net(x, torch.tensor(net.scheme.bits, dtype=torch.float64))
    torch.testing.assert_close(soft, hard, rtol=0, atol=1e-12)


def test_a_sam_without_a_gate_is_refused_in_one_line():
    with pytest.raises(UserInputError, match="'timm:eca' has no gate of its own, which preresnet20 needs"):
        network("preresnet20", attention="timm:eca")


# ---- cards


def pruned_card(name="resnet20_pruned.mine", **fields):
    return small_card(name, widths=WidthPlan.parse(HALF), **fields)


def test_a_pruned_card_reads_back_and_says_its_widths():
    card = pruned_card()
    text = card.to_toml()
    assert f'widths = "{HALF}"' in text
    assert BackboneCard.parse(text, "resnet20_pruned.mine.toml") == card
    assert BackboneCard.parse(text, "x.toml").to_toml() == text


def test_a_plan_of_all_channels_is_none():
    full = WidthPlan.full(ARCHITECTURES["resnet20"].inner)
    card, plain = small_card(widths=full), small_card()
    assert card == plain and card.to_toml() == plain.to_toml() and "widths" not in plain.to_toml()


@pytest.mark.parametrize("arch", ["resnet20", "preresnet20"])
def test_scheme_and_widths_compose_from_pruning_to_its_name(arch, tmp_path, monkeypatch):
    monkeypatch.setenv("TRANSFER_CARDS", str(tmp_path))
    full = shake(build(small_card(f"{arch}_share_se.mine", arch=arch), num_classes=3))
    pruned = prune(full, [range(1, site.channels, 3) for site in sites_of(full)])
    card = small_card(f"{arch}_pruned.mine", arch=arch, widths=pruned.widths)
    card = register_backbone(card, weights=pruned.state_dict(), licence="Apache-2.0")
    assert verify_card(card).ok and card.parameters.count < sum(p.numel() for p in full.parameters())
    again = create_backbone(f"{arch}_pruned.mine", init="full", num_classes=3)
    with torch.no_grad():
        assert torch.equal(again.eval()(images(arch)), pruned(images(arch)))
    assert again.scheme == full.scheme and again.widths == pruned.widths


def test_a_card_of_a_family_without_sams_needs_no_scheme():
    card = BackboneCard("mobilenetv2.mine", "mobilenetv2", None, INPUTS["imagenet"], Provenance("hand", "a test"))
    assert card.scheme == ConnectionScheme.empty((1, 2, 3, 7, 4)) and "scheme" not in card.to_toml()
    assert BackboneCard.parse(card.to_toml(), "x.toml") == card


# ---- wrong input


def in_network(text, line):
    return text.replace("[network]\n", f"[network]\n{line}\n")


@pytest.mark.parametrize(
    ("name", "line", "told"),
    [
        ("preresnet20.cifar100", 'widths = "8x8*3.16x16*3.32x32*3"', "'network.widths'.*another architecture"),
        ("preresnet20.cifar100", 'widths = "8x8*2.16x16*2.32x0*2"', "'network.widths'.*32x0 channels, expected at"),
        ("preresnet20.cifar100", 'widths = "8x8*2.16x16*2.32x65*2"', "'network.widths'.*32x65, expected 64x64 at most"),
        ("preresnet20.cifar100", "widths = 0.5", "'network.widths' is 0.5, expected text"),
        ("mobilenetv2.imagenet", 'scheme = "1.11.111.1111111.1111"', "'network.scheme'.*no self-attention modules"),
        (
            "mobilenetv2.imagenet",
            'attention = "se"\nsharing = "stage"\nscheme = "1.11.111.1111111.1111"',
            "leave it out",
        ),
    ],
)
def test_cards_that_do_not_fit_are_refused(name, line, told):
    text = in_network(get_card(name).to_toml(), line)
    with pytest.raises(UserInputError, match=told) as error:
        BackboneCard.parse(text, "card.toml")
    assert str(error.value).startswith("card.toml: key 'network.") and "\n" not in str(error.value)


def test_attention_is_refused_where_there_are_no_sites():
    with pytest.raises(UserInputError, match=r"'network\.attention' is 'se', but mobilenetv2 takes no"):
        BackboneCard(
            name="mobilenetv2.mine",
            arch="mobilenetv2",
            scheme=None,
            attention="se",
            input=INPUTS["imagenet"],
            provenance=Provenance("hand", "a test"),
        )
    with pytest.raises(UserInputError, match="option 'scheme' is of self-attention modules, which mobilenetv2"):
        create_backbone("mobilenetv2", scheme="1.11.111.1111111.1111")


def test_a_trunks_file_is_refused_where_widths_are_pruned():
    card = small_card("resnet50_pruned.mine", "000.0000.000000.000", arch="resnet50", attention=None)
    plan = WidthPlan.uniform(0.5, ARCHITECTURES["resnet50"].inner)
    with torch.device("meta"), pytest.raises(UserInputError, match=r"init='trunk': the trunk of resnet50 has its full"):
        build(card, init="trunk", widths=plan)
    plain = network("resnet20")
    with pytest.raises(UserInputError, match="its full widths"):
        load_weights(network("resnet20", widths=HALF), plain.state_dict(), init="trunk")


def test_weights_of_other_widths_are_refused():
    with pytest.raises(
        UserInputError, match=r"not weights of a plain resnet20 of widths 8x8\*2.*expected \(8, 16, 1, 1"
    ):
        load_weights(network("resnet20", widths=HALF), network("resnet20").state_dict(), init="full")


def test_biases_before_nothing_that_takes_them_are_refused():
    state = network("preresnet20").state_dict() | {"layer1.0.conv1.bias": torch.ones(16)}
    with pytest.raises(UserInputError, match=r"'layer1\.0\.conv1\.bias' has no place"):
        load_weights(network("preresnet20"), state, init="full")

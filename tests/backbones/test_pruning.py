"""Channels cut out of a network leave what it puts out as if they were gated to zero, in every family."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from card_files import shake

from backbones.arch import ARCHITECTURES, family_of
from backbones.errors import UserInputError
from backbones.sites import gated, prune, sites_of
from backbones.widths import WidthPlan
from transfer.deploy import deploy

pytestmark = pytest.mark.slow

SAMS = {"se": {}, "sge": {"groups": 4}, "dia": {}}
SCHEME = "10.01.11"
NETWORKS = {
    "bottleneck": dict(arch="resnet20"),
    "bottleneck, features": dict(arch="resnet20", num_classes=None, out_indices=(0, 1, 2)),
    "bottleneck, biases": dict(arch="resnet20", conv_bias=True),
    "basic": dict(arch="resnet20_basic"),
    "basic, dia": dict(arch="resnet20_basic", attention="dia", scheme="101.010.110"),
    "imagenet": dict(arch="resnet18", attention="se", scheme="10.01.11.10"),
    "preresnet": dict(arch="preresnet20"),
    "preresnet, biases": dict(arch="preresnet20", conv_bias=True),
    "preresnet, features": dict(arch="preresnet20", num_classes=None, out_indices=(0, 1, 2)),
    "preresnet, one stage": dict(arch="preresnet20", num_classes=None, out_indices=(0,)),
    "mobilenetv2": dict(arch="mobilenetv2"),
    "mobilenetv2, features": dict(arch="mobilenetv2", num_classes=None, out_indices=(0, 2, 4)),
    "mobilenetv2, channels last": dict(arch="mobilenetv2", channels_last=True, output_stride=16),
    **{
        f"{arch}, {sam}": dict(arch=arch, attention=sam, attention_args=args, scheme=SCHEME)
        for arch in ("resnet20", "preresnet20")
        for sam, args in SAMS.items()
    },
}


@pytest.fixture(autouse=True)
def narrow_trunk(monkeypatch):
    spec = ARCHITECTURES["resnet18"]
    monkeypatch.setitem(ARCHITECTURES, "resnet18", replace(spec, widths=tuple(w // 4 for w in spec.widths)))


def build(arch, **options):
    torch.manual_seed(0)
    return shake(family_of(arch).network()(arch, **{"num_classes": 7, **options}))


def images(net):
    side = 64 if net.arch.stem == "imagenet" else 16
    return torch.randn(2, 3, side, side, generator=torch.Generator().manual_seed(1))


def drawn(net, seed=2):
    """For each site some channels to keep, of its own number, in rising order."""
    generator = torch.Generator().manual_seed(seed)
    kept = []
    for site in sites_of(net):
        count = int(torch.randint(1, site.channels, (), generator=generator))
        kept.append(torch.randperm(site.channels, generator=generator)[:count].sort().values.tolist())
    return kept


def zeroing(net, kept):
    """Gates that are 0 where nothing is kept, else 1."""
    gates = [torch.zeros(site.channels) for site in sites_of(net)]
    for gate, channels in zip(gates, kept, strict=True):
        gate[channels] = 1
    return gates


def outputs(net, x):
    with torch.no_grad():
        out = net(x)
    return list(out) if isinstance(out, tuple) else [out]


def assert_close(given, expected, tolerance):
    for ours, theirs in zip(given, expected, strict=True):
        assert theirs.isfinite().all() and theirs.std() > 0
        assert (ours - theirs).abs().max() <= tolerance * theirs.abs().max()


@pytest.mark.parametrize("options", NETWORKS.values(), ids=NETWORKS)
def test_cutting_channels_out_is_gating_them_to_zero(options):
    net = build(**options).double()
    kept, x = drawn(net), images(net).double()
    full = outputs(net, x)
    with gated(net, zeroing(net, kept)):
        expected = outputs(net, x)
    pruned = prune(net, kept)
    assert_close(outputs(pruned, x), expected, 1e-12)
    assert not torch.allclose(full[-1], expected[-1], rtol=0, atol=1e-3), "the channels counted for something"
    assert all(torch.equal(a, b) for a, b in zip(outputs(net, x), full, strict=True)), "the network is as it was"


@pytest.mark.parametrize("options", NETWORKS.values(), ids=NETWORKS)
def test_a_deployed_pruned_network_too(options):
    net = build(**options)
    kept, x = drawn(net), images(net)
    with gated(net, zeroing(net, kept)):
        expected = outputs(net, x)
    pruned = prune(net, kept)
    assert_close(outputs(pruned, x), expected, 1e-5)
    deployed = deploy(pruned)
    for _ in range(3):  # the third time with packed weights
        assert_close(outputs(deployed, x), expected, 1e-5)
    assert_close(outputs(deploy(pruned.double()), x.double()), outputs(pruned, x.double()), 1e-12)


@pytest.mark.parametrize("options", NETWORKS.values(), ids=NETWORKS)
def test_a_pruned_network_is_the_one_that_its_plan_builds(options):
    net = build(**options)
    pruned = prune(net, drawn(net))
    again = build(**options, widths=str(pruned.widths))
    assert {k: v.shape for k, v in again.state_dict().items()} == {k: v.shape for k, v in pruned.state_dict().items()}
    again.load_state_dict(pruned.state_dict())
    assert_close(outputs(again, images(net)), outputs(pruned, images(net)), 0)
    assert pruned.widths.kept(net.arch.inner) < 1 == net.widths.kept(net.arch.inner)


def test_cut_twice_is_cut_once():
    net = build("resnet20", attention="se")
    once = drawn(net)
    twice = [channels[::2] for channels in once]
    inside = [range(0, len(channels), 2) for channels in once]
    assert_close(outputs(prune(prune(net, once), inside), images(net)), outputs(prune(net, twice), images(net)), 0)


def test_keeping_all_changes_nothing():
    net = build("mobilenetv2")
    same = prune(net, [range(site.channels) for site in sites_of(net)])
    assert same.widths == net.widths
    assert_close(outputs(same, images(net)), outputs(net, images(net)), 0)


def test_a_pruned_network_trains():
    net = prune(build("preresnet20", attention="dia", scheme=SCHEME), drawn(build("preresnet20"))).train()
    net(images(net)).square().mean().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in net.parameters())
    assert net.layer1[0].conv1.weight.shape == net.layer1[0].conv1.weight.grad.shape


def test_what_is_frozen_stays_frozen():
    net = build("resnet20", frozen_stages=1)
    pruned = prune(net, drawn(net))
    assert not pruned.layer1[0].conv1.weight.requires_grad and pruned.layer2[0].conv1.weight.requires_grad


# ---- gates


@pytest.mark.parametrize("arch", ["resnet20", "resnet20_basic", "preresnet20", "mobilenetv2"])
def test_gates_are_as_many_as_the_plan_and_train(arch):
    net = build(arch).train()
    plan = [width for stage in net.widths.stages for block in stage for width in block]
    gates = [torch.ones(width, requires_grad=True) for width in plan]
    with gated(net, gates) as sites:
        assert [site.channels for site in sites] == plan
        net(images(net)).square().mean().backward()
    assert all(gate.grad.abs().max() > 0 for gate in gates), "none is divided out by a normalisation behind it"


def test_gates_of_one_change_nothing_and_leave_nothing_behind():
    net = build("preresnet20", attention="se")
    expected = outputs(net, images(net))
    with gated(net, [torch.ones(site.channels) for site in sites_of(net)]):
        assert_close(outputs(net, images(net)), expected, 0)
    assert not any(module._forward_pre_hooks for module in net.modules())


def test_two_networks_share_their_gates():
    nets = build("resnet20"), build("resnet20").double()
    gates = [torch.full((site.channels,), 0.5, requires_grad=True) for site in sites_of(nets[0])]
    with gated(nets[0], gates), gated(nets[1], gates):
        total = nets[0](images(nets[0])).sum() + nets[1](images(nets[1]).double()).sum()
    total.backward()
    assert all(gate.grad is not None for gate in gates)


def test_a_gate_takes_the_channel_behind_norm_and_activation():
    net = build("resnet20")
    site = sites_of(net)[1]
    gates = [torch.ones(one.channels) for one in sites_of(net)]
    gates[1] = torch.full((site.channels,), 3.0)
    outputs_before, outputs_after = [], []
    net.layer1[0].bn2.register_forward_hook(lambda _m, _i, out: outputs_before.append(out.clone().relu()))
    with gated(net, gates):
        site.consumer.register_forward_pre_hook(lambda _m, inputs: outputs_after.append(inputs[0]))
        outputs(net, images(net))
    torch.testing.assert_close(outputs_after[0], 3 * outputs_before[0])


# ---- an oracle


@pytest.mark.parametrize("arch", ["resnet20", "resnet20_basic", "preresnet20", "mobilenetv2"])
def test_the_dependency_graph_cuts_the_same(arch):
    oracle = pytest.importorskip("torch_pruning", reason="torch-pruning is not installed (extra dev)")
    net = build(arch)
    kept = drawn(net)
    ours = prune(net, kept)
    theirs = build(arch)
    theirs.load_state_dict(net.state_dict())
    graph = oracle.DependencyGraph().build_dependency(theirs, example_inputs=images(net)[:1])
    for site, channels in zip(sites_of(theirs), kept, strict=True):
        gone = sorted(set(range(site.channels)) - set(channels))
        group = graph.get_pruning_group(site.producer, oracle.prune_conv_out_channels, idxs=gone)
        cut = {id(item.dep.target.module) for item in group if isinstance(item.dep.target.module, torch.nn.Module)}
        assert {id(site.producer), id(site.consumer), *map(id, site.carried)} <= cut
        group.prune()
    found, expected = ours.state_dict(), theirs.state_dict()
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[key], expected[key]) for key in found)


# ---- wrong input


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda kept: kept[:-1], "11 lists of channels, expected 12"),
        (lambda kept: [[], *kept[1:]], "0 channels at layer1.0, place 1, expected 1 to 16"),
        (lambda kept: [[3, 3], *kept[1:]], "rising numbers from 0 to 15"),
        (lambda kept: [[2, 16], *kept[1:]], "rising numbers from 0 to 15"),
    ],
)
def test_lists_that_do_not_fit_are_refused(change, told):
    net = build("resnet20")
    with pytest.raises(UserInputError, match=told):
        prune(net, change(drawn(net)))


def test_gates_that_do_not_fit_are_refused():
    net = build("resnet20")
    with (
        pytest.raises(UserInputError, match=r"gates: 3 channels at layer1\.0, place 1, expected 16"),
        gated(net, [torch.ones(3)] * 12),
    ):
        pass
    assert not any(module._forward_pre_hooks for module in net.modules())


def test_a_gated_network_is_neither_pruned_nor_deployed():
    net = build("resnet20")
    with gated(net, zeroing(net, drawn(net))):
        with pytest.raises(UserInputError, match="with gates cannot be pruned"):
            prune(net, drawn(net))
        with pytest.raises(UserInputError, match="with gates cannot be deployed"):
            deploy(torch.nn.Sequential(net))


# ---- plans


def test_a_uniform_plan_of_half_the_channels():
    inner = ARCHITECTURES["preresnet164"].inner
    plan = WidthPlan.uniform(0.5, inner)
    assert str(plan) == "8x8*18.16x16*18.32x32*18"
    assert plan.kept(inner) == 0.5 and WidthPlan.parse(str(plan), inner) == plan


@pytest.mark.parametrize("arch", sorted(ARCHITECTURES))
def test_every_plan_reads_back(arch):
    inner = ARCHITECTURES[arch].inner
    for plan in (WidthPlan.full(inner), WidthPlan.uniform(0.37, inner), WidthPlan.uniform(1e-6, inner)):
        assert WidthPlan.parse(str(plan), inner) == plan
    assert set(str(WidthPlan.uniform(1e-6, inner))) <= set("1x,.*0123456789")
    assert WidthPlan.uniform(1, inner) == WidthPlan.full(inner)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("8x8*2.16x16*2", "2.2 blocks, expected 2.2.2: it is one of another architecture"),
        ("8x8*2.16x16*2.32x32*3", "2.2.3 blocks"),
        ("8*2.16*2.32*2", "has 8, expected 16x16 at most"),
        ("17x8*2.16x16*2.32x32*2", "block 1 of stage 1 has 17x8, expected 16x16 at most"),
        ("8x0*2.16x16*2.32x32*2", "has 8x0 channels, expected at least 1"),
        ("8x8*0.16x16*2.32x32*2", "at least one block"),
        ("8x-8*2", "is no block"),
        ("", "is no block"),
    ],
)
def test_plans_that_do_not_fit_are_refused(text, told):
    with pytest.raises(UserInputError, match=told):
        build("resnet20", widths=text)


@pytest.mark.parametrize("ratio", [0, -0.5, 1.1, float("nan")])
def test_ratios_out_of_range_are_refused(ratio):
    with pytest.raises(UserInputError, match="expected a number above 0, up to 1"):
        WidthPlan.uniform(ratio, ARCHITECTURES["resnet20"].inner)

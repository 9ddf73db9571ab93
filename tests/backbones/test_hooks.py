"""Whoever looks at a network through hooks sees every stage and every block, connected or not."""

import pytest
import torch
from card_kinds import one_of_each

from backbones.arch import get_arch
from backbones.blocks import Block, Stage
from backbones.registry import create_backbone, get_card
from backbones.resnet import AttentionResNet

pytestmark = pytest.mark.slow


def watched(net):
    """Stages and blocks by name."""
    return {name: module for name, module in net.named_modules() if isinstance(module, (Stage, Block))}


@pytest.mark.parametrize("recompute", [False, True], ids=["kept", "recomputed"])
@pytest.mark.parametrize("training", [False, True], ids=["eval", "train"])
@pytest.mark.parametrize("name", one_of_each())
def test_hooks_fire_once_and_see_the_feature_map(name, training, recompute):
    arch = get_arch(get_card(name).arch)
    net = create_backbone(name, out_indices=range(len(arch.depths)), with_cp=recompute).train(training)
    seen = {key: [] for key in watched(net)}
    assert len(seen) == sum(net.arch.depths) + len(net.arch.depths)
    for key, module in watched(net).items():
        module.register_forward_hook(lambda _, inputs, out, key=key: seen[key].append((inputs, out)))
    features = net(torch.randn(2, 3, 8 * arch.stem_stride, 8 * arch.stem_stride))
    if recompute:
        features[-1].square().mean().backward()
    assert {key: len(calls) for key, calls in seen.items()} == dict.fromkeys(seen, 1)
    for info, feature in zip(net.feature_info, features, strict=True):
        layer = f"layer{info.stage + 1}"
        (inputs, out), last = seen[layer][0], f"{layer}.{net.arch.depths[info.stage] - 1}"
        assert out is feature and len(inputs) == 1, "a tensor comes in, a tensor goes out"
        for block in range(net.arch.depths[info.stage]):
            ((inputs, out),) = seen[f"{layer}.{block}"]
            channels = arch.block_channels(info.stage, block)
            assert out.shape == (2, channels, *feature.shape[2:]) and len(inputs) == 1
        assert seen[last][0][1] is feature


@pytest.mark.parametrize("attention", ["se", "sge", "dia"])
def test_a_hook_may_replace_the_output_of_a_connected_block(attention):
    args = {"groups": 4} if attention == "sge" else {}
    net = AttentionResNet("resnet20", attention=attention, attention_args=args).eval()
    x = torch.randn(2, 3, 8, 8)
    net.layer3[-1].register_forward_hook(lambda _, inputs, out: torch.zeros_like(out))
    assert net(x)[0].abs().max() == 0


@pytest.mark.parametrize("recompute", [False, True], ids=["kept", "recomputed"])
@pytest.mark.parametrize("attention", ["se", "sge", "dia"])
def test_gradients_at_the_last_connected_block_as_grad_cam_takes_them(attention, recompute):
    """By a hook of the module, and by a hook of the tensor that it puts out; against autograd's own."""
    args = {"groups": 4} if attention == "sge" else {}
    torch.manual_seed(0)
    net = AttentionResNet("resnet20", attention=attention, attention_args=args, num_classes=3, with_cp=recompute)
    caught, x = {}, torch.randn(2, 3, 16, 16)
    net.eval()

    def keep(_, inputs, out):
        caught["map"] = out
        out.register_hook(lambda grad: caught.update(tensor=grad))

    block = net.layer3[-1]
    handles = [
        block.register_forward_hook(keep),
        block.register_full_backward_hook(lambda _, given, out: caught.update(module=out[0], given=given)),
    ]
    net(x)[:, 1].sum().backward()
    score = lambda a: net.head(a)[:, 1].sum()  # noqa: E731
    (expected,) = torch.autograd.grad(score(leaf := caught["map"].detach().requires_grad_()), leaf)
    assert expected.abs().max() > 0
    torch.testing.assert_close(caught["tensor"], expected)
    torch.testing.assert_close(caught["module"], expected)
    assert len(caught["given"]) == 1 and caught["given"][0].shape[1] == 256
    for handle in handles:
        handle.remove()


@pytest.mark.parametrize("attention", ["se", "dia"])
def test_a_block_recomputed_from_outside_has_the_same_gradients(attention):
    """As mmengine's `activation_checkpointing` wraps modules: the block runs twice, its state must not."""
    from torch.distributed.algorithms._checkpoint.checkpoint_wrapper import checkpoint_wrapper

    found = []
    for wrapped in (False, True):
        torch.manual_seed(0)
        net = AttentionResNet("resnet29", attention=attention, scheme="101.111.011").double().eval()
        parameters = list(net.parameters())
        for stage in (net.layer1, net.layer2, net.layer3) if wrapped else ():
            for place, block in enumerate(stage):
                stage[place] = checkpoint_wrapper(block)
        x = torch.randn(2, 3, 16, 16, dtype=torch.float64, requires_grad=True)
        net(x)[0].square().sum().backward()
        found.append([x.grad, *(p.grad for p in parameters)])
    torch.testing.assert_close(*found, rtol=0, atol=1e-12)


def test_networks_compile_export_and_trace_as_a_whole():
    torch.manual_seed(0)
    net = AttentionResNet("resnet20", attention="dia", scheme="11.01.10", num_classes=3).eval()
    x = torch.randn(2, 3, 8, 8)
    with torch.no_grad():
        expected = net(x)
        compiled = torch.compile(net, fullgraph=True, backend="eager")(x)
        exported = torch.export.export(net, (x,)).module()(x)
        traced = torch.jit.trace(net, x)(x)
    for out in (compiled, exported, traced):
        assert torch.equal(out, expected)

"""What attention modules answer, against their gates called on the blocks' residuals without hooks."""

import pytest
import torch

from backbones.resnet import AttentionResNet
from transfer.explain.gates import recorded_gates

ARGS = {"se": {}, "sge": {"groups": 4}, "dia": {}}


def by_hand(net, x):
    """(block, gate) of each connected block: stages and blocks run one after the other, as the papers write them."""
    found, x = {}, net.stem(x)
    for stage, bits in enumerate(net.scheme.stages):
        state = None
        for block, bit in enumerate(bits):
            module = net.get_submodule(f"layer{stage + 1}.{block}")
            residual, shortcut = module.residual(x), module.shortcut(x)
            if bit:
                gate, state = net.sam(stage, block).gate(residual, state)
                found[f"layer{stage + 1}.{block}"] = gate[0]
                residual = gate * residual
            x = torch.relu(residual + shortcut)
    return found


@pytest.mark.parametrize("sharing", ["stage", "block"])
@pytest.mark.parametrize("attention", ARGS)
@torch.no_grad()
def test_gates_are_what_the_modules_answer(attention, sharing):
    if (attention, sharing) == ("dia", "block"):
        pytest.skip("DIA has no form with a module per block")
    torch.manual_seed(1)
    net = AttentionResNet(
        "resnet29", attention=attention, attention_args=ARGS[attention], sharing=sharing, scheme="101.110.011"
    ).eval()
    for parameter in net.attention.parameters():
        parameter.normal_()
    x = torch.randn(1, 3, 16, 24)
    with recorded_gates(net) as found:
        seen = net(x)[0]
    expected = by_hand(net, x)
    assert [block.block for block in found] == [f"layer{s}.{b}" for s in (1, 2, 3) for b in range(3)]
    assert [block.stage for block in found] == [1] * 3 + [2] * 3 + [3] * 3
    assert tuple(block.connected for block in found) == net.scheme.bits
    assert {block.block for block in found if block.gate} == expected.keys()
    for block in found:
        if gate := block.gate:
            mask = expected[block.block]
            torch.testing.assert_close(torch.from_numpy(gate.channels), mask.mean((1, 2)))
            assert gate.mean == pytest.approx(mask.mean().item(), rel=1e-5)
            assert gate.spread == pytest.approx(mask.mean((1, 2)).std(unbiased=False).item(), rel=1e-4)
            assert (gate.low, gate.high) == pytest.approx((mask.min().item(), mask.max().item()), rel=1e-5)
            assert (gate.space is not None) == (attention == "sge")
            if gate.space is not None:
                torch.testing.assert_close(torch.from_numpy(gate.space), mask.mean(0))
    torch.testing.assert_close(net(x)[0], seen)
    assert not any(module._forward_pre_hooks for module in net.modules())


@torch.no_grad()
def test_blocks_without_a_mask_say_so():
    pytest.importorskip("timm")
    net = AttentionResNet("resnet20", attention="timm:eca", scheme="10.00.01").eval()
    with recorded_gates(net) as found:
        net(torch.randn(1, 3, 16, 16))
    assert [block.connected for block in found] == [True, False, False, False, False, True]
    assert all(block.gate is None for block in found)


@torch.no_grad()
def test_of_a_supernet_only_what_its_scheme_connects():
    net = AttentionResNet("resnet20", attention="se", scheme="01.10.00", supernet=True).eval()
    with recorded_gates(net) as found:
        net(torch.randn(1, 3, 16, 16))
    assert [block.gate is not None for block in found] == [False, True, True, False, False, False]

"""AttentionResNet: geometry, schemes, supernet, checkpointing, freezing."""

import pytest
import torch
import torchvision
from torch import nn

from backbones.arch import ARCHITECTURES, family_of
from backbones.attention.dia import DIA
from backbones.errors import UserInputError
from backbones.resnet import AttentionResNet
from backbones.scheme import ConnectionScheme

pytestmark = pytest.mark.slow

SAMS = {"se": {}, "sge": {"groups": 4}, "dia": {}}
SMALL = "resnet20"  # CIFAR bottleneck, stages of 2 blocks


def net(attention="se", arch=SMALL, seed=0, **options):
    torch.manual_seed(seed)
    args = None if attention is None else SAMS[attention]
    model = AttentionResNet(arch, attention=attention, attention_args=args, **options)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean, -0.3, 0.3)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
            nn.init.uniform_(module.weight, 0.5, 1.0)
    return model


def pictures(size=16, batch=2, seed=1):
    return torch.randn(batch, 3, size, size, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("arch", sorted(ARCHITECTURES))
def test_feature_info_is_what_comes_out(arch):
    stages = len(ARCHITECTURES[arch].depths)
    with torch.device("meta"):
        model = family_of(arch).network()(arch, out_indices=range(stages)).eval()
        features = model(torch.empty(1, 3, 64, 64))
    assert [(f.shape[1], 64 // f.shape[2]) for f in features] == [(i.channels, i.stride) for i in model.feature_info]


@pytest.mark.parametrize("output_stride", [8, 16, 32])
@pytest.mark.parametrize("arch", ["resnet18", "resnet50"])
def test_output_stride_keeps_keys_and_sizes(arch, output_stride):
    with torch.device("meta"):
        model = AttentionResNet(arch, output_stride=output_stride)
        plain = AttentionResNet(arch)
        assert model(torch.empty(1, 3, 96, 96))[0].shape[2] == 96 // output_stride
    assert model.feature_info[0].stride == output_stride
    assert model.state_dict().keys() == plain.state_dict().keys()


def test_dilation_follows_torchvision():
    theirs = torchvision.models.resnet50(replace_stride_with_dilation=[False, True, True])
    ours = AttentionResNet("resnet50", output_stride=8, num_classes=1000)
    ours.load_state_dict(theirs.state_dict())
    torch.testing.assert_close(ours.eval()(pictures(64)), theirs.eval()(pictures(64)), rtol=0, atol=1e-5)


@pytest.mark.parametrize(("stem_stride", "stride"), [(None, 4), (1, 4), (2, 8), (4, 16)])
def test_stem_stride_changes_no_key(stem_stride, stride):
    model = net(stem_stride=stem_stride)
    assert model(pictures(32))[0].shape[2] == 32 // stride
    assert model.state_dict().keys() == net().state_dict().keys()


def test_strides_alone_do_not_dilate():
    model = net(strides=(1, 2, 1), stem_stride=2)
    assert model.feature_info[0].stride == 4
    assert all(m.dilation == (1, 1) for m in model.modules() if isinstance(m, nn.Conv2d))


def test_later_stages_are_not_built():
    model = net(out_indices=(0, 1), scheme="01.10.11")
    assert not hasattr(model, "layer3")
    assert "layer3" not in model.attention
    assert len(model(pictures())) == 2


@pytest.mark.parametrize("attention", sorted(SAMS))
@pytest.mark.parametrize("sharing", ["stage", "block"])
def test_empty_scheme_is_the_plain_network(attention, sharing):
    plain = net(None).eval()
    empty = net(attention, sharing=sharing, scheme="00.00.00").eval()
    assert empty.state_dict().keys() == plain.state_dict().keys()
    empty.load_state_dict(plain.state_dict())
    assert torch.equal(empty(pictures())[0], plain(pictures())[0])


@pytest.mark.parametrize("attention", sorted(SAMS))
@pytest.mark.parametrize("sharing", ["stage", "block"])
@pytest.mark.parametrize("text", ["01.10.11", "00.11.01", "11.11.11"])
def test_extract_equals_the_supernet(attention, sharing, text):
    supernet = net(attention, sharing=sharing, supernet=True).eval()
    scheme = ConnectionScheme.parse(text)
    alone = supernet.extract(scheme)
    supernet.scheme = scheme
    assert torch.equal(alone(pictures())[0], supernet(pictures())[0])
    fresh = net(attention, sharing=sharing, scheme=text, seed=9)
    assert fresh.state_dict().keys() == alone.state_dict().keys()
    assert not alone.supernet


def test_a_scheme_changes_the_output_and_never_the_modules():
    supernet = net("se", supernet=True).eval()
    keys, outputs = supernet.state_dict().keys(), []
    for text in ("00.00.00", "10.00.00", "10.00.01"):
        supernet.scheme = ConnectionScheme.parse(text)
        outputs.append(supernet(pictures())[0])
    assert supernet.state_dict().keys() == keys
    assert not torch.allclose(outputs[0], outputs[1])
    assert not torch.allclose(outputs[1], outputs[2])


def test_dia_is_carried_unchanged_over_a_skipped_block():
    model = net("dia", arch="resnet29", scheme="101.111.111").eval()
    cell, calls = model.attention["layer1"], []
    cell.register_forward_hook(lambda _m, args, out: calls.append((args[2], out[1])))
    with torch.no_grad():
        model(pictures())
    assert len(calls) == 2
    assert calls[0][0] is None
    assert calls[1][0] is calls[0][1]


@pytest.mark.parametrize("attention", sorted(SAMS))
def test_soft_weights_meet_the_hard_connection_at_one_and_plain_at_zero(attention):
    supernet = net(attention, supernet=True).eval()
    plain = net(None).eval()
    plain.load_state_dict({k: v for k, v in supernet.state_dict().items() if not k.startswith("attention.")})
    x = pictures()
    torch.testing.assert_close(supernet(x, torch.ones(6))[0], supernet(x)[0])
    torch.testing.assert_close(supernet(x, torch.zeros(6))[0], plain(x)[0])
    weights = torch.full((6,), 0.5, requires_grad=True)
    supernet(x, weights)[0].sum().backward()
    assert (weights.grad != 0).all()


@pytest.mark.parametrize("attention", sorted(SAMS))
@pytest.mark.parametrize("scheme", ["1011.0110.1001", "0001.0101.0000"])
def test_soft_weights_of_zero_and_one_are_the_scheme_and_its_state_too(attention, scheme):
    supernet = net(attention, arch="resnet38", supernet=True, scheme=scheme).double().eval()
    soft = torch.tensor(supernet.scheme.bits, dtype=torch.float64)
    x = pictures().double()
    with torch.no_grad():
        torch.testing.assert_close(supernet(x, soft)[0], supernet(x)[0], rtol=0, atol=1e-12)


def test_a_soft_connection_advances_the_state_of_dia_by_its_share():
    torch.manual_seed(0)
    cell, x = DIA(8).double(), torch.randn(3, 8, 4, 4, dtype=torch.float64)
    before = (torch.rand(3, 8, dtype=torch.float64), torch.rand(3, 8, dtype=torch.float64))
    full = cell.gate(x, before)[1]
    _, state = cell(x, x, before, torch.tensor(0.3, dtype=torch.float64))
    for old, new, found in zip(before, full, state, strict=True):
        torch.testing.assert_close(found, old + 0.3 * (new - old), rtol=0, atol=1e-12)
    _, first = cell(x, x, None, torch.tensor(0.3, dtype=torch.float64))
    torch.testing.assert_close(first[1], 0.3 * cell.gate(x)[1][1], rtol=0, atol=1e-12)


@pytest.mark.parametrize("attention", [None, *sorted(SAMS)])
def test_activation_checkpointing_changes_nothing(attention):
    runs = []
    for with_cp in (False, True):
        model = net(attention, with_cp=with_cp).train().double()
        x = pictures().double().requires_grad_()
        out = model(x)[0]
        out.square().sum().backward()
        runs.append((out.detach(), x.grad, [p.grad for p in model.parameters()], list(model.buffers())))
    torch.testing.assert_close(runs[0], runs[1], rtol=0, atol=1e-12)


def test_frozen_stages_and_norm_eval():
    model = net("se", frozen_stages=1).train()
    frozen = {n for n, p in model.named_parameters() if not p.requires_grad}
    assert frozen == {
        n for n, _ in model.named_parameters() if n.startswith(("conv1", "bn1", "layer1", "attention.layer1"))
    }
    assert not model.bn1.training
    assert not model.layer1[0].bn1.training
    assert model.layer2[0].bn1.training
    assert not any(m.training for m in net(norm_eval=True).train().modules() if isinstance(m, nn.BatchNorm2d))


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"arch": "resnet51"}, "Did you mean .*'resnet50'"),
        ({"out_indices": (3,)}, "0 to 2"),
        ({"out_indices": (1, 0)}, "rising"),
        ({"output_stride": 3}, "power of 2"),
        ({"output_stride": 8, "strides": (1, 1, 1)}, "exclude"),
        ({"strides": (1, 3, 1)}, "each 1 or 2"),
        ({"stem_stride": 3}, "expected 1, 2 or 4"),
        ({"frozen_stages": 4}, "frozen_stages=4"),
        ({"sharing": "net"}, "expected one of 'stage', 'block'"),
        ({"scheme": "1.10.11"}, "stage 1 has 1 bits, expected 2"),
        ({"attention": None, "scheme": "11.10.11"}, "attention is None"),
        ({"num_classes": 0}, "num_classes=0"),
        ({"num_classes": 10, "out_indices": (0,)}, "exclude"),
    ],
)
def test_wrong_options_are_refused(options, told):
    with pytest.raises(UserInputError, match=told):
        AttentionResNet(**{"arch": SMALL, "attention": "se"} | options)


def test_a_stand_alone_network_refuses_a_scheme_it_has_no_modules_for():
    with pytest.raises(UserInputError, match="block 1 of stage 1"):
        net(sharing="block", scheme="01.11.11").scheme = ConnectionScheme.parse("11.11.11")

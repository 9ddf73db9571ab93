"""A deployed model puts out what the model does, whatever it is made of."""

from __future__ import annotations

import copy
import functools
import pickle
from dataclasses import replace

import pytest
import torch
from measure_files import narrow, photos
from mmengine.registry import MODELS, DefaultScope
from torch import nn

from backbones.arch import ARCHITECTURES
from backbones.attention import Attention
from backbones.blocks import BasicBlock, Bottleneck
from backbones.errors import UserInputError
from backbones.resnet import AttentionResNet
from transfer.deploy import deploy
from transfer.deploy._fused import FusedConv
from transfer.measure.networks import settle

pytestmark = pytest.mark.slow

SCHEME_18, SCHEME_50, SCHEME_38 = "10.11.01.11", "100.1011.010011.011", "1010.0110.0011"
STAGE, BLOCK = dict(sharing="stage"), dict(sharing="block")
SE, SGE, DIA = (dict(attention=name) for name in ("se", "sge", "dia"))
NETWORKS = {
    "plain": dict(arch="resnet50"),
    "biases": dict(arch="resnet50", **SE, scheme=SCHEME_50, conv_bias=True),
    "se": dict(arch="resnet50", **SE, scheme=SCHEME_50, **STAGE),
    "se, one module per block": dict(arch="resnet50", **SE, **BLOCK),
    "sge": dict(arch="resnet50", **SGE, attention_args=dict(groups=8), scheme=SCHEME_50),
    "sge, one module per block": dict(arch="resnet50", **SGE, attention_args=dict(groups=8), **BLOCK),
    "dia": dict(arch="resnet50", **DIA, scheme=SCHEME_50),
    "dia, output stride 8": dict(arch="resnet50", **DIA, output_stride=8, out_indices=(0, 1, 2, 3)),
    "se, output stride 8": dict(arch="resnet50", **SE, output_stride=8, out_indices=(1, 3)),
    "sge, strides": dict(arch="resnet50", **SGE, attention_args=dict(groups=8), strides=(1, 2, 1, 1), out_indices=(2,)),
    "timm": dict(arch="resnet50", attention="timm:eca", scheme=SCHEME_50),
    "cifar stem": dict(arch="resnet20", **SE, scheme="10.01.11", num_classes=10),
    "cifar stem, stride 4": dict(arch="resnet38", **DIA, scheme=SCHEME_38, stem_stride=4),
    "basic blocks": dict(arch="resnet18", **SE, scheme=SCHEME_18, num_classes=10),
    "basic blocks, dia": dict(arch="resnet18", **DIA, scheme=SCHEME_18, output_stride=16),
    "basic blocks, sge": dict(arch="resnet20_basic", **SGE, attention_args=dict(groups=4)),
}


@pytest.fixture(autouse=True)
def narrow_trunks(monkeypatch):
    """Trunks of a fraction of their width; `resnet50` at full width is tested once."""
    for arch, divisor in (("resnet50", 4), ("resnet18", 4)):
        monkeypatch.setitem(ARCHITECTURES, arch, narrow(arch, divisor))


@pytest.fixture(scope="module")
def pictures():
    return photos(4, 64, 96)


def settled(model, pictures):
    """Running statistics are these pictures', SAMs do not stand at their initial values.

    Residuals are small beside the shortcuts, as training makes them: a fresh deep network in float32 is off by more
    than the tolerance itself.
    """
    with torch.no_grad():
        for block in model.modules():
            if isinstance(block, (BasicBlock, Bottleneck)):
                (block.bn3 if isinstance(block, Bottleneck) else block.bn2).weight.fill_(0.3)
        settle(model, pictures)
        for name, parameter in model.named_parameters():
            if "attention." in name:
                parameter.add_(0.3 * torch.randn_like(parameter))
    return model


def build(options, pictures):
    torch.manual_seed(0)
    return settled(AttentionResNet(**options), pictures)


def assert_same(expected, given, tolerance=1e-4):
    torch.testing.assert_close(given, expected, atol=tolerance, rtol=0)


@pytest.mark.parametrize("options", NETWORKS.values(), ids=NETWORKS)
def test_outputs_are_those_of_the_eager_network(options, pictures):
    net = build(options, pictures)
    deployed = deploy(net)
    with torch.no_grad():
        for batch in (pictures, pictures, pictures, pictures[:1, :, :, 32:], pictures):
            expected = net(batch)
            assert max(feature.abs().max() for feature in expected) > 0.1
            assert_same(expected, deployed(batch))  # the third time with packed weights, the fourth with another shape
    assert not any(isinstance(module, (nn.BatchNorm2d, nn.Conv2d)) for module in deployed.modules())


class ECA(Attention):
    """Efficient channel attention, as a user writes it: a convolution over the channels of the map's mean."""

    reads_mean_only = True

    def __init__(self, channels, kernel=3):
        super().__init__(channels)
        self.conv = nn.Conv1d(1, 1, kernel, padding=kernel // 2, bias=False)

    def gate(self, x_NCHW, state=None):
        mean_N1C = x_NCHW.mean((2, 3))[:, None]
        return self.conv(mean_N1C)[:, 0, :, None, None].sigmoid(), state


def test_a_sam_of_ones_own_is_as_fast_by_what_it_says_of_itself(pictures, monkeypatch):
    net = AttentionResNet("resnet50", **SE, scheme=SCHEME_50)
    for key, channels in zip(net.attention, net.arch.channels, strict=True):
        net.attention[key] = ECA(channels)
    deployed = deploy(settled(net, pictures))
    seen = []
    monkeypatch.setattr(
        ECA, "gate", lambda self, x, state=None, gate=ECA.gate: (seen.append(x), gate(self, x, state))[1]
    )
    with torch.no_grad():
        given = deployed(pictures)
        assert len(seen) == net.scheme.connected and all(x.shape[2:] == (1, 1) for x in seen)
        assert_same(net(pictures), given)
        assert_same(net(pictures), copy.deepcopy(deployed)(pictures))


def test_outputs_are_the_same_at_full_width(pictures, monkeypatch):
    monkeypatch.undo()
    net = build(dict(arch="resnet50", **SE, scheme=SCHEME_50), pictures[:2])
    deployed = deploy(net)
    with torch.no_grad():
        for _ in range(3):
            assert_same(net(pictures[:2]), deployed(pictures[:2]))


@pytest.mark.parametrize("name", ("se", "sge", "dia", "plain"))
def test_outputs_are_the_same_in_the_default_format_and_without_onednn(name, pictures, monkeypatch):
    net = build(NETWORKS[name], pictures)
    with torch.no_grad():
        expected = net(pictures)
        twin = deploy(net, channels_last=False)
        for _ in range(3):
            assert_same(expected, twin(pictures))
        monkeypatch.setattr("torch.backends.mkldnn.is_available", lambda: False)
        assert_same(expected, deploy(net)(pictures))
        assert_same(net.double()(pictures.double()), deploy(net)(pictures.double()), 1e-9)


@pytest.mark.parametrize("name", ("se", "sge", "dia"))
def test_without_packing_only_torchs_own_operators_are_left(name, pictures):
    net = nn.Sequential(build(NETWORKS[name], pictures))
    head = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU()).eval()
    for model in (net, head):
        deployed = deploy(model, pack=False)
        with torch.no_grad():
            assert_same(model(pictures), deployed(pictures))
            program = torch.export.export(deployed, (pictures,))
        names = {str(node.target) for node in program.graph.nodes if node.op == "call_function"}
        assert names and all(name.startswith(("aten.", "<built-in")) for name in names), names
        assert not any(isinstance(module, (nn.BatchNorm2d, nn.Conv2d)) for module in deployed.modules())


@pytest.mark.parametrize("options", (dict(SGE, attention_args=dict(groups=4)), DIA), ids=("sge", "dia"))
def test_the_compiler_sees_the_backbone_as_one_graph(options, pictures, monkeypatch):
    tracing = functools.partial(torch.compile, backend="eager", fullgraph=True)
    monkeypatch.setattr("torch.compile", tracing)
    net = build(dict(arch="resnet20", scheme="01.10.00", stem_stride=4, **options), pictures)
    with torch.no_grad():
        assert_same(net(pictures), deploy(net, compile=True)(pictures))
    torch._dynamo.reset()


def test_a_mode_of_the_compiler_gets_there_and_outputs_are_ones_own(pictures, monkeypatch):
    """Graphs write every call's outputs to the same place."""
    modes, places = [], {}

    def graphs(net, mode=None):
        modes.append(mode)

        def run(x):
            out = net(x)
            kept = places.setdefault(id(net), [torch.empty_like(feature) for feature in out])
            return tuple(place.copy_(feature) for place, feature in zip(kept, out, strict=True))

        return run

    monkeypatch.setattr("torch.compile", graphs)
    net = build(NETWORKS["dia"], pictures)
    deployed = deploy(net, compile="reduce-overhead")
    first = deployed(pictures[:2])
    deployed(pictures[2:])
    assert modes == ["reduce-overhead"]
    with torch.no_grad():
        assert_same(net(pictures[:2]), first)


@pytest.mark.parametrize("name", ("plain", "se", "sge", "dia", "cifar stem"))
def test_half_precision_is_no_farther_off_than_autocast(name, pictures):
    def output(model):
        with torch.no_grad():
            out = model(pictures)
        return out if isinstance(out, torch.Tensor) else out[0]

    net = build(NETWORKS[name], pictures)
    deployed = deploy(nn.Sequential(net), dtype=torch.bfloat16)
    assert all(tensor.dtype == torch.bfloat16 for tensor in (*deployed.parameters(), *deployed.buffers()))
    expected, given = output(net), output(deployed)
    with torch.autocast("cpu", torch.bfloat16):
        usual = output(net)
    assert given.dtype == torch.float32 and given.shape == expected.shape
    # Both round weights and maps to bfloat16 once, so that their errors are independent and of one size, and the ratio
    # of their norms is random around 1; folding rounds one more product for each convolution: sqrt(2) at the most.
    assert 0 < (given - expected).norm() < 1.5 * (usual - expected).norm()


def test_maps_of_one_position_get_the_mask_of_the_bias(pictures):
    net = build(NETWORKS["sge"], pictures)
    with torch.no_grad():
        assert_same(net(pictures[:, :, :32, :32]), deploy(net)(pictures[:, :, :32, :32]))


def test_a_feature_map_is_not_overwritten_by_the_next_stage(pictures, monkeypatch):
    """Stages of equal width begin without projection."""
    monkeypatch.setitem(ARCHITECTURES, "resnet20_basic", replace(ARCHITECTURES["resnet20_basic"], widths=(8, 8, 8)))
    net = build(dict(arch="resnet20_basic", strides=(1, 1, 1), stem_stride=4, out_indices=(0, 1, 2)), pictures)
    with torch.no_grad():
        assert_same(net(pictures), deploy(net)(pictures))


def test_the_model_itself_stays_as_it_is(pictures):
    net = build(NETWORKS["se"], pictures)
    before = copy.deepcopy(net.state_dict())
    given = pictures.clone()
    deploy(net)(given)
    assert torch.equal(given, pictures)
    assert all(torch.equal(before[key], value) for key, value in net.state_dict().items())
    assert all(parameter.requires_grad for parameter in net.parameters())
    net.train()(pictures)[0].sum().backward()


def test_a_deployed_model_refuses_training(pictures):
    deployed = deploy(build(NETWORKS["se"], pictures))
    with pytest.raises(RuntimeError, match="cannot be trained"):
        deployed.train()
    assert deployed.eval() is deployed and not deployed.training
    assert not any(parameter.requires_grad for parameter in deployed.parameters())
    assert not deployed(pictures.requires_grad_(True))[0].requires_grad
    pictures.requires_grad_(False)


def test_a_supernet_is_refused_in_one_line(pictures):
    net = AttentionResNet("resnet38", attention="se", scheme=SCHEME_38, supernet=True)
    with pytest.raises(UserInputError, match=r"supernet.*extract\(scheme\)") as caught:
        deploy(nn.Sequential(net))
    assert "\n" not in str(caught.value)
    settled(net, pictures)
    with torch.no_grad():
        assert_same(net(pictures), deploy(net.extract(SCHEME_38))(pictures))


def test_a_copy_and_a_cast_copy_work_as_well(pictures):
    deployed = deploy(build(NETWORKS["se"], pictures))
    for _ in range(3):
        expected = deployed(pictures)
    assert_same(expected, copy.deepcopy(deployed)(pictures), 1e-6)
    assert_same(expected, pickle.loads(pickle.dumps(deployed))(pictures), 1e-6)
    assert_same(expected[0].double(), deployed.double()(pictures.double())[0], 1e-4)


# ---- modules that are not backbones


class Backwards(nn.Sequential):
    def forward(self, x):
        for module in reversed(self):
            x = module(x)
        return x


def hooked(module):
    module.register_forward_hook(lambda module, inputs, output: output + 1)
    return module


def layers():
    norm, shared = nn.BatchNorm2d(6), nn.Conv2d(6, 6, 3, padding=1)
    return {
        "conv, norm, relu": (nn.Sequential(nn.Conv2d(6, 8, 3), nn.BatchNorm2d(8), nn.ReLU(True)), 1),
        "conv, relu, conv": (nn.Sequential(nn.Conv2d(6, 8, 3), nn.ReLU(), nn.Conv2d(8, 2, 1)), 2),
        "synchronised norm": (nn.Sequential(nn.Conv2d(6, 6, 3), nn.SyncBatchNorm(6)), 1),
        "norm first": (nn.Sequential(nn.BatchNorm2d(6), nn.ReLU(), nn.Conv2d(6, 6, 1)), 1),
        "depthwise": (nn.Sequential(nn.Conv2d(6, 6, 3, groups=6, padding=1, bias=False), nn.BatchNorm2d(6)), 1),
        "grouped, dilated, strided": (nn.Conv2d(6, 4, 3, groups=2, stride=(2, 1), dilation=(1, 2), padding=(0, 1)), 1),
        "norm twice": (nn.Sequential(shared, norm, nn.Conv2d(6, 6, 1), norm), 2),
        "conv twice": (nn.Sequential(shared, nn.BatchNorm2d(6), nn.ReLU(), shared, nn.BatchNorm2d(6, affine=False)), 2),
        "own forward": (Backwards(nn.BatchNorm2d(6), nn.Conv2d(6, 6, 1)), 1),
        "other padding": (nn.Sequential(nn.Conv2d(6, 6, 3, padding=1, padding_mode="circular"), nn.BatchNorm2d(6)), 0),
        "padding by name": (nn.Conv2d(6, 6, 3, padding="same"), 0),
        "norm by the batch": (nn.Sequential(nn.Conv2d(6, 6, 1), nn.BatchNorm2d(6, track_running_stats=False)), 1),
        "hook on the conv": (nn.Sequential(hooked(nn.Conv2d(6, 6, 1)), nn.BatchNorm2d(6), nn.ReLU()), 0),
        "hook on the norm": (nn.Sequential(nn.Conv2d(6, 6, 1), hooked(nn.BatchNorm2d(6)), nn.ReLU()), 1),
        "weight norm": (nn.utils.parametrizations.weight_norm(nn.Conv2d(6, 6, 1)), 0),
        "transposed": (nn.Sequential(nn.ConvTranspose2d(6, 6, 2), nn.BatchNorm2d(6)), 0),
        "shared parts": (nn.ModuleDict(dict(a=shared, b=nn.Sequential(shared, nn.BatchNorm2d(6)))), 2),
    }


@pytest.mark.parametrize("name", layers())
def test_layers_anywhere_are_fused_only_where_it_changes_nothing(name):
    torch.manual_seed(0)
    model, fused = layers()[name]
    x = torch.randn(2, 6, 9, 7)
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm) and module.running_mean is not None:
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
    model.eval()
    calls = list(model.values()) if isinstance(model, nn.ModuleDict) else [model]
    twin = deploy(model)
    twins = list(twin.values()) if isinstance(twin, nn.ModuleDict) else [twin]
    assert sum(isinstance(module, FusedConv) for module in twin.modules()) == fused
    with torch.no_grad():
        for one, other in zip(calls, twins, strict=True):
            for _ in range(3):
                assert_same(one(x), other(x), 1e-5)


# ---- models of the tasks

BACKBONE = dict(type="RegisteredBackbone", name="resnet38_share_ean_se.standin", stem_stride=2)


def test_a_counter_predicts_the_same(pictures):
    import tasks.counting  # noqa: F401
    from tasks.counting.structures import CrowdSample

    for channels_last in (False, True):
        config = dict(type="CrowdCounter", backbone=BACKBONE, channels_last=channels_last)
        head, loss = dict(type="DilatedHead", channels=(8, 8)), dict(type="DensityMSELoss")
        counter = settled(MODELS.build(dict(config, head=head, loss=loss)), pictures)
        deployed = deploy(counter)
        assert type(deployed) is type(counter)
        raw = (pictures * 50 + 120).clamp(0, 255).to(torch.uint8)

        def predicted(model, raw=raw):
            samples = [CrowdSample(metainfo=dict(img_shape=raw.shape[-2:], ori_shape=raw.shape[-2:])) for _ in raw]
            with torch.no_grad():
                return model.test_step(dict(inputs=list(raw), data_samples=samples))

        for expected, given in zip(predicted(counter), predicted(deployed), strict=True):
            assert_same(expected.pred_density, given.pred_density)
            assert given.pred_count == pytest.approx(expected.pred_count, abs=1e-3)


def test_a_classifier_predicts_the_same(pictures):
    import tasks.classification  # noqa: F401

    classifier = settled(MODELS.build(dict(type="Classifier", backbone=BACKBONE, num_classes=7)), pictures)
    with torch.no_grad():
        assert_same(classifier(pictures), deploy(classifier)(pictures))


HEADS = {
    "PSPHead": dict(pool_scales=(1, 2, 3)),
    "FCNHead": dict(num_convs=2),
    "DepthwiseSeparableASPPHead": dict(dilations=(1, 2), c1_in_channels=64, c1_channels=8),
}


@pytest.mark.parametrize(
    ("head", "norm"), [("PSPHead", "BN"), ("FCNHead", "SyncBN"), ("DepthwiseSeparableASPPHead", "BN")]
)
def test_a_segmentor_predicts_the_same(head, norm, pictures):
    pytest.importorskip("mmseg")
    from mmengine.config import ConfigDict
    from mmengine.model import convert_sync_batchnorm, revert_sync_batchnorm

    import tasks.segmentation  # noqa: F401

    common = dict(in_channels=256, in_index=1, channels=16, num_classes=5, norm_cfg=dict(type="BN"))
    config = dict(
        type="EncoderDecoder",
        data_preprocessor=dict(type="SegDataPreProcessor"),
        backbone=dict(BACKBONE, out_indices=(0, 2), output_stride=8),
        decode_head=dict(type=head, align_corners=False, **common, **HEADS[head]),
        test_cfg=ConfigDict(mode="whole"),
    )
    with DefaultScope.overwrite_default_scope("mmseg"):
        model = settled(MODELS.build(config), pictures)
        synchronised = convert_sync_batchnorm(model) if norm == "SyncBN" else model
        deployed = deploy(synchronised)
    model = revert_sync_batchnorm(model).eval()
    assert type(deployed) is type(model)
    left = [module for module in deployed.modules() if isinstance(module, (nn.modules.batchnorm._BatchNorm, nn.Conv2d))]
    assert not left
    with torch.no_grad():
        for _ in range(3):
            assert_same(model(pictures), deployed(pictures))
        expected, given = (m.test_step(dict(inputs=list(pictures))) for m in (model, deployed))
    for one, other in zip(expected, given, strict=True):
        assert_same(one.seg_logits.data, other.seg_logits.data)

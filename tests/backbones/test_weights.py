"""Weights: other libraries' networks are the reference, whole or not at all, every tensor accounted for."""

import errno
import hashlib
import os
import pickle
import sys

import pytest
import timm
import torch
import torch.nn.functional as F
import torchvision
from card_files import shake
from torch import nn

from backbones.errors import RunError, UserInputError
from backbones.registry import create_backbone
from backbones.resnet import AttentionResNet
from backbones.weights import (
    load_weights,
    read_checkpoint,
    save_safetensors,
    sha256_file,
)

pytestmark = pytest.mark.slow


def pictures(size=64):
    return torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(3))


def small(seed=0, **options):
    torch.manual_seed(seed)
    options = {"attention": "se", "scheme": "10.01.11", **options}
    return shake(AttentionResNet("resnet20", **options), seed)


def assert_same_output(ours, theirs, x):
    with torch.inference_mode():
        torch.testing.assert_close(ours.eval()(x), theirs(x), rtol=1e-5, atol=1e-5)


# ---- other libraries' networks


@pytest.mark.parametrize("arch", ["resnet18", "resnet50"])
@pytest.mark.parametrize("library", ["torchvision", "timm"])
def test_their_checkpoint_gives_their_output(arch, library):
    torch.manual_seed(0)
    theirs = shake(timm.create_model(arch) if library == "timm" else getattr(torchvision.models, arch)())
    ours = AttentionResNet(arch, num_classes=1000)
    report = load_weights(ours, theirs.state_dict(), init="trunk")
    assert report.clean and not report.not_needed and not report.fresh
    assert set(report.loaded) == set(theirs.state_dict())
    assert_same_output(ours, theirs, pictures())


def test_features_equal_torchvisions_stages():
    theirs = shake(torchvision.models.resnet18())
    ours = AttentionResNet("resnet18", out_indices=(0, 2))
    report = load_weights(ours, theirs.state_dict(), init="trunk")
    assert {key.split(".")[0] for key in report.not_needed} == {"layer4", "fc"}
    with torch.inference_mode():
        x = theirs.layer1(theirs.maxpool(theirs.relu(theirs.bn1(theirs.conv1(pictures())))))
        first, third = ours.eval()(pictures())
        torch.testing.assert_close(first, x, rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(third, theirs.layer3(theirs.layer2(x)), rtol=1e-5, atol=1e-5)


def test_timms_seresnet50_is_full_sa():
    torch.manual_seed(0)
    theirs = shake(timm.create_model("seresnet50", num_classes=10))
    ours = create_backbone("resnet50_full_sa_se.imagenet", num_classes=10)
    report = load_weights(ours, theirs.state_dict(), init="full")
    assert report.clean and not report.not_needed
    assert_same_output(ours, theirs, pictures())


class SharedStage(nn.Module):
    """A stage as EAN's code holds it: blocks in `ModuleList`, the shared SAM, made of 1x1 convolutions, beside them."""

    def __init__(self, blocks, bits):
        super().__init__()
        channels = blocks[-1].bn3.num_features
        self.ModuleList = nn.ModuleList(blocks)
        self.share_fc = nn.Module()
        self.share_fc.fc1 = nn.Conv2d(channels, channels // 16, 1)
        self.share_fc.fc2 = nn.Conv2d(channels // 16, channels, 1)
        self.bits = bits

    def forward(self, x):
        for block, bit in zip(self.ModuleList, self.bits, strict=True):
            f = F.relu(block.bn1(block.conv1(x)))
            f = block.bn3(block.conv3(F.relu(block.bn2(block.conv2(f)))))
            if bit == "1":
                f = f * self.share_fc.fc2(F.relu(self.share_fc.fc1(F.adaptive_avg_pool2d(f, 1)))).sigmoid()
            x = F.relu(f + (x if block.downsample is None else block.downsample(x)))
        return x


def authors_network(scheme):
    """EAN's FBResNet-50 with shared SE: convolutions with biases, `last_linear`, from torchvision's blocks."""
    net = torchvision.models.resnet50(num_classes=10)
    for name, module in list(net.named_modules()):
        if isinstance(module, nn.Conv2d):
            geometry = (module.in_channels, module.out_channels, module.kernel_size, module.stride, module.padding)
            parent, _, child = name.rpartition(".")
            setattr(net.get_submodule(parent), child, nn.Conv2d(*geometry, bias=True))
    for stage, bits in enumerate(scheme.split("."), 1):
        setattr(net, f"layer{stage}", SharedStage(list(getattr(net, f"layer{stage}")), bits))
    return shake(net)


def test_the_authors_checkpoint_gives_the_authors_output(tmp_path):
    torch.manual_seed(0)
    theirs = authors_network("100.1011.010011.011")
    state = {f"module.{key.replace('fc.', 'last_linear.')}" if key.startswith("fc.") else f"module.{key}": value
             for key, value in theirs.state_dict().items() if not key.endswith("num_batches_tracked")}  # fmt: skip
    path = tmp_path / "checkpoint.pth.tar"
    torch.save({"epoch": 3, "arch": "fbresnet50", "state_dict": state, "best_acc1": 1.0}, path)
    name = "resnet50_share_ean_se.standin"
    for conv_bias in (True, False):
        ours = create_backbone(name, num_classes=10, conv_bias=conv_bias)
        report = load_weights(ours, path, init="full")
        assert not report.unexpected and not report.mismatched
        assert all(key.endswith("num_batches_tracked") for key in report.missing)
        assert bool(report.notes) == (not conv_bias)
        assert_same_output(ours, theirs, pictures())


@pytest.mark.parametrize(
    ("attention", "rename"),
    [
        ("sge", lambda key, t: (key.replace("attention.layer", "layer").replace(".weight", ".share_fc.weight")
                                .replace(".bias", ".share_fc.bias"), t.view(1, -1, 1, 1))),
        ("dia", lambda key, t: (key.replace("attention.layer", "layer").replace("input_gates", "lstm.w_ih.0.seq")
                                .replace("hidden_gates", "lstm.w_hh.0.seq"), t)),
    ],
)  # fmt: skip
def test_the_authors_names_of_other_modules(attention, rename):
    args = {"groups": 4} if attention == "sge" else {}
    source = small(attention=attention, attention_args=args)
    foreign = dict(rename(k, t) if k.startswith("attention.") else (k, t) for k, t in source.state_dict().items())
    target = small(1, attention=attention, attention_args=args)
    assert load_weights(target, foreign, init="full").clean
    for key, tensor in target.state_dict().items():
        assert torch.equal(tensor, source.state_dict()[key])


def test_a_bias_free_checkpoint_in_a_network_with_biases():
    source, target = small(), small(1, conv_bias=True)
    report = load_weights(target, source.state_dict(), init="full")
    assert report.notes and not report.missing
    with torch.inference_mode():
        torch.testing.assert_close(target(pictures(16))[0], source(pictures(16))[0], rtol=1e-5, atol=1e-5)
    back = small(2)
    load_weights(back, target.state_dict(), init="full")
    assert all(torch.equal(value, source.state_dict()[key]) for key, value in back.state_dict().items())


@pytest.mark.parametrize("arch", ["resnet20", "resnet20_basic"])
def test_biases_are_folded_exactly(arch):
    source = shake(AttentionResNet(arch, conv_bias=True, num_classes=5))
    target = AttentionResNet(arch, num_classes=5)
    load_weights(target, source.state_dict(), init="trunk")
    assert_same_output(target, source, pictures(16))


def test_a_task_checkpoint_gives_its_backbone(tmp_path):
    source = small()
    state = {f"backbone.{key}": value for key, value in source.state_dict().items()}
    path = tmp_path / "iter_10.pth"
    head = {"decode_head.conv.weight": torch.zeros(2, 2)}
    torch.save({"meta": {"iter": 10}, "state_dict": {**state, **head}, "optimizer": {"lr": 0.1}}, path)
    target = small(1)
    report = load_weights(target, path, init="full")
    assert report.not_needed == ("decode_head.conv.weight",)
    assert report.source == str(path) and str(path) in str(report)
    assert torch.equal(target.conv1.weight, source.conv1.weight)


# ---- init


def test_trunk_leaves_the_sams_alone():
    source, target = small(), small(1)
    before = {key: tensor.clone() for key, tensor in target.state_dict().items()}
    report = load_weights(target, source.state_dict(), init="trunk")
    sams = {key for key in before if key.startswith("attention.")}
    assert set(report.fresh) == sams and set(report.not_needed) == sams and report.clean
    for key, tensor in target.state_dict().items():
        assert torch.equal(tensor, before[key] if key in sams else source.state_dict()[key])
    assert "fresh: 12 (attention.layer1.fc1.weight" in str(report)


def test_full_takes_everything_but_another_classifier():
    source, target = small(num_classes=100), small(1, num_classes=10)
    kept = target.fc.weight.clone()
    report = load_weights(target, source.state_dict(), init="full")
    assert [str(m) for m in report.mismatched] == [
        "fc.weight (100, 256) instead of (10, 256)",
        "fc.bias (100,) instead of (10,)",
    ]
    assert torch.equal(target.fc.weight, kept)
    features = small(1)
    assert load_weights(features, source.state_dict(), init="full").not_needed == ("fc.weight", "fc.bias")
    again = small(2, num_classes=100)
    assert load_weights(again, features.state_dict(), init="full").missing == ("fc.weight", "fc.bias")


@pytest.mark.parametrize("sharing", ["stage", "block"])
def test_a_supernet_hands_its_weights_to_a_stand_alone_network(sharing):
    supernet = small(sharing=sharing, supernet=True)
    target = small(1, sharing=sharing, scheme="10.00.11")
    report = load_weights(target, supernet.state_dict(), init="full")
    assert report.clean
    unreached = ("attention.layer2",) if sharing == "stage" else ("attention.layer2", "attention.layer1.1")
    assert report.not_needed and all(key.startswith(unreached) for key in report.not_needed)
    expected = supernet.extract("10.00.11")
    assert_same_output(target, expected, pictures(16))


def test_foreign_names_are_reported():
    source = small()
    report = load_weights(small(1), {**source.state_dict(), "ema_decay": torch.tensor(0.9)}, init="full")
    assert report.unexpected == ("ema_decay",) and not report.clean
    assert "unexpected: 1 (ema_decay)" in str(report)


@pytest.mark.parametrize(
    ("make", "init", "told"),
    [
        (lambda: small(attention=None, scheme=None), "full", "'attention.layer1.fc1.weight' is missing"),
        (lambda: small(attention="dia"), "full", "is missing"),
        (lambda: small(sharing="block"), "full", "is missing"),
        (lambda: small(scheme="00.01.11"), "full", "'attention.layer1.fc1.weight' is missing"),
        (lambda: AttentionResNet("resnet29"), "trunk", "'layer1.2.conv1.weight' has no place in it"),
        (lambda: AttentionResNet("resnet20_basic"), "trunk", "expected (16, 16, 1, 1)"),
        (lambda: AttentionResNet("resnet18"), "trunk", "'conv1.weight' has shape (64, 3, 7, 7)"),
        (lambda: AttentionResNet("resnet20", in_channels=1), "trunk", "expected (16, 3, 3, 3)"),
        (lambda: nn.Sequential(nn.Linear(3, 3)), "trunk", "'conv1.weight' is missing"),
        (lambda: timm.create_model("resnet26d"), "trunk", "'conv1.weight' is missing"),
    ],
)
def test_weights_of_another_network_change_nothing(make, init, told):
    target = small(1)
    before = {key: tensor.clone() for key, tensor in target.state_dict().items()}
    with pytest.raises(UserInputError) as error:
        load_weights(target, make().state_dict(), init=init)
    assert told in str(error.value) and "not weights of resnet20" in str(error.value)
    assert all(torch.equal(tensor, before[key]) for key, tensor in target.state_dict().items())


def test_sams_in_the_file_of_a_plain_network_are_refused():
    with pytest.raises(UserInputError, match=r"a plain resnet20.*'attention.layer1.fc1.weight' has no place"):
        load_weights(small(attention=None, scheme=None), small().state_dict(), init="full")


def test_scratch_loads_nothing():
    with pytest.raises(UserInputError, match="init='scratch' loads no weights"):
        load_weights(small(), small().state_dict(), init="scratch")


# ---- files


def test_safetensors_are_whole_and_repeatable(tmp_path):
    state = small().state_dict()
    save_safetensors(state, tmp_path / "a.safetensors")
    save_safetensors(dict(reversed(state.items())), tmp_path / "b.safetensors")
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()
    assert sorted(os.listdir(tmp_path)) == ["a.safetensors", "b.safetensors"]
    loaded = read_checkpoint(tmp_path / "a.safetensors")
    assert loaded.keys() == state.keys() and all(torch.equal(loaded[key], state[key]) for key in state)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EACCES])
def test_weights_that_cannot_be_written_leave_the_old_ones(tmp_path, monkeypatch, number):
    path = tmp_path / "a.safetensors"
    save_safetensors(small().state_dict(), path)
    before = path.read_bytes()

    def refuse(descriptor):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(
        RunError, match=rf"a\.safetensors: cannot be written: {os.strerror(number)}; make room"
    ) as caught:
        save_safetensors(small(seed=1).state_dict(), path)
    assert "\n" not in str(caught.value)
    assert path.read_bytes() == before and os.listdir(tmp_path) == [path.name]


@pytest.mark.skipif(sys.platform == "win32", reason="resource limits")
@pytest.mark.parametrize("room", [0, 4096, 100_000])
def test_a_disk_that_fills_up_leaves_no_weights(tmp_path, room):
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, hard))  # no file may be larger
    try:
        with pytest.raises(RunError, match=r"a\.safetensors: cannot be written") as caught:
            save_safetensors(small().state_dict(), tmp_path / "a.safetensors")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert "\n" not in str(caught.value)
    assert os.listdir(tmp_path) == []


def test_sha256_is_hashlibs(tmp_path):
    content = os.urandom(3_000_000)
    (tmp_path / "x").write_bytes(content)
    assert sha256_file(tmp_path / "x") == hashlib.sha256(content).hexdigest()


class Evil:
    def __reduce__(self):
        return os.mkdir, ("pwned",)


@pytest.mark.parametrize("protocol", ["torch", "pickle"])
def test_nothing_in_a_file_is_run(tmp_path, monkeypatch, protocol):
    monkeypatch.chdir(tmp_path)
    if protocol == "torch":
        torch.save({"state_dict": {"conv1.weight": torch.zeros(1)}, "x": Evil()}, "w.pth")
    else:
        (tmp_path / "w.pth").write_bytes(pickle.dumps(Evil()))
    with pytest.raises(UserInputError, match=r"w\.pth: .*not opened"):
        read_checkpoint("w.pth")
    assert not (tmp_path / "pwned").exists()


@pytest.mark.parametrize("name", ["w.pth", "w.safetensors"])
@pytest.mark.parametrize("content", [b"", b"no weights at all", b"PK\x03\x04 cut off"])
def test_other_files_are_refused_by_name(tmp_path, name, content):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(UserInputError) as error:
        read_checkpoint(path)
    assert str(path) in str(error.value) and "\n" not in str(error.value)


def test_missing_and_empty_checkpoints(tmp_path):
    with pytest.raises(UserInputError, match="no such file"):
        read_checkpoint(tmp_path / "w.pth")
    torch.save({"epoch": 3}, tmp_path / "w.pth")
    with pytest.raises(UserInputError, match="holds no tensors by name"):
        read_checkpoint(tmp_path / "w.pth")

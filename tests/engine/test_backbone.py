import copy
import platform

import pytest
import torch
import torch.distributed as dist
from mmengine.model import BaseModule
from mmengine.registry import MODELS
from torch import nn
from torch.distributed.device_mesh import init_device_mesh

from backbones.attention import Attention
from backbones.blocks import Bottleneck, Stage
from backbones.errors import UserInputError
from backbones.registry import create_backbone
from backbones.resnet import AttentionResNet
from transfer.engine import allocator
from transfer.engine.backbone import RegisteredBackbone, registered_backbones, without_initial_weights

NAME = "resnet38_share_ean_se.standin"


def test_keys_are_the_networks_own_and_outputs_agree():
    torch.manual_seed(0)
    backbone = MODELS.build(dict(type="RegisteredBackbone", name=NAME, out_indices=(1, 2)))
    net = create_backbone(NAME, out_indices=(1, 2))
    assert list(backbone.state_dict()) == list(net.state_dict())
    net.load_state_dict(backbone.state_dict())
    x = torch.randn(2, 3, 16, 16)
    for ours, theirs in zip(backbone.eval()(x), net.eval()(x), strict=True):
        assert torch.equal(ours, theirs)
    assert [info.channels for info in backbone.feature_info] == [128, 256]


def test_it_is_the_network_itself_with_what_is_known_of_it():
    backbone = RegisteredBackbone(NAME, out_indices=(1, 2))
    assert type(backbone) is AttentionResNet and registered_backbones(nn.Sequential(backbone)) == [backbone]
    assert backbone.card.name == NAME and backbone.init == "scratch" and backbone.load_report is None
    twin = copy.deepcopy(backbone).double()
    assert twin.conv1.weight.dtype == torch.float64 and twin.card == backbone.card
    assert not registered_backbones(create_backbone(NAME))


def test_mmengine_initialises_it_by_its_own_config_and_not_else():
    constant = dict(type="Constant", layer="Conv2d", val=0.5)
    assert (RegisteredBackbone(NAME, init_cfg=constant).conv1.weight == 0.5).all()
    backbone = RegisteredBackbone(NAME)
    before = backbone.conv1.weight.clone()
    model = BaseModule()
    model.backbone = backbone
    model.init_weights()
    assert torch.equal(backbone.conv1.weight, before)


@pytest.mark.parametrize("kinds", [(Bottleneck,), (Stage,), (Bottleneck, Attention)])
def test_a_sharded_network_has_the_same_output_and_gradients(kinds):
    """Blocks, stages and SAMs wrapped by FSDP: DIA's state passes from one to the other."""
    from torch.distributed.fsdp import fully_shard

    def gradients(sharded):
        torch.manual_seed(0)
        net = AttentionResNet("resnet29", attention="dia", scheme="101.111.011").eval()
        if sharded:
            mesh = init_device_mesh("cpu", (1,))
            for module in [m for m in net.modules() if isinstance(m, kinds)]:
                fully_shard(module, mesh=mesh)
            fully_shard(net, mesh=mesh)
        out = net(torch.ones(2, 3, 16, 16))[0]
        out.square().sum().backward()
        return [out, *(p.grad.full_tensor() if sharded else p.grad for p in net.parameters())]

    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    try:
        torch.testing.assert_close(gradients(True), gradients(False))
    finally:
        dist.destroy_process_group()


def test_train_honours_norm_eval_and_frozen_stages():
    backbone = RegisteredBackbone(NAME, frozen_stages=1, norm_eval=True).train()
    norms = [m for m in backbone.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    assert norms and not any(m.training for m in norms)
    assert backbone.training and backbone.layer2.training and not backbone.layer1.training
    assert not backbone.conv1.weight.requires_grad and backbone.layer2[0].conv1.weight.requires_grad


@pytest.mark.parametrize(
    "arguments, line",
    [
        (dict(name=NAME, init="full", pretrained=True), "exclude each other"),
        (dict(name=NAME, init="all"), "expected one of 'scratch'"),
        (dict(name=NAME, weights="x.pth"), "with init='scratch'"),
        (dict(name=NAME, weights="x.pth", init="auto"), "with init='auto'"),
        (dict(name=NAME, init="full"), "no weights of its own"),
        (dict(name=NAME, stride=64), "stride=64"),
        (dict(name=NAME, out_indices=(7,)), "out_indices"),
        (dict(name="resnet38_share_ean_sx.standin"), "Did you mean"),
    ],
)
def test_wrong_arguments(arguments, line):
    with pytest.raises(UserInputError, match=line):
        RegisteredBackbone(**arguments)


def test_trunk_weights_are_loaded_and_reported_or_left_to_the_checkpoint(tmp_path):
    plain = create_backbone("resnet38.cifar100")
    path = tmp_path / "trunk.pth"
    torch.save(plain.state_dict(), path)
    backbone = RegisteredBackbone(NAME, init="trunk", weights=str(path))
    assert torch.equal(backbone.layer2[0].conv1.weight, plain.layer2[0].conv1.weight)
    assert "attention" in str(backbone.load_report)
    with without_initial_weights():
        bare = RegisteredBackbone(NAME, init="trunk", weights=str(tmp_path / "absent.pth"))
    assert bare.init == "trunk" and bare.load_report is None


@pytest.mark.parametrize(
    ("name", "init", "line"),
    [
        (NAME, "scratch", "no trunk weights exist for resnet38, starting from scratch (init=scratch)"),
        ("resnet38.c100_6ep", "full", "no trunk weights exist for resnet38, starting from the card's own weights"),
    ],
)
def test_a_trunk_that_cannot_exist_is_said_and_recorded(name, init, line, monkeypatch):
    said = []
    monkeypatch.setattr("transfer.engine.backbone.print_log", lambda text, **_: said.append(text))
    backbone = RegisteredBackbone(name, init="trunk")
    assert backbone.init == init and (backbone.load_report is not None) == (init == "full")
    assert said[0].startswith(f"{name}: {line}") and "\n" not in said[0]
    said.clear()
    with without_initial_weights():
        assert RegisteredBackbone(name, init="trunk").init == init and not said
    RegisteredBackbone(name, init=init)
    assert not any("no trunk" in text for text in said), "only where something else was asked for"


def test_channels_last_changes_the_memory_format_and_nothing_else():
    backbone, plain = (
        RegisteredBackbone(NAME, out_indices=(1, 2), channels_last=given).double() for given in (True, False)
    )
    plain.load_state_dict(backbone.state_dict())
    x = torch.randn(2, 3, 32, 32, dtype=torch.float64)
    for mine, other in zip(backbone(x), plain(x), strict=True):
        assert mine.is_contiguous(memory_format=torch.channels_last) and other.is_contiguous()
        torch.testing.assert_close(mine, other)
    assert backbone.conv1.weight.is_contiguous(memory_format=torch.channels_last)


def test_the_allocator_is_told_once_on_glibc_and_left_alone_elsewhere(monkeypatch):
    monkeypatch.setattr(allocator.platform, "libc_ver", lambda: ("", ""))
    assert not allocator.keep_freed_memory()
    monkeypatch.undo()
    if platform.libc_ver()[0] == "glibc":
        assert allocator.keep_freed_memory()

import copy
import platform

import pytest
import torch
from mmengine.registry import MODELS

from backbones.errors import UserInputError
from backbones.registry import create_backbone
from transfer.engine import allocator
from transfer.engine.backbone import RegisteredBackbone, without_initial_weights

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


def test_two_views_stay_one_through_copy_and_conversion():
    backbone = copy.deepcopy(RegisteredBackbone(NAME)).double()
    assert backbone.net.conv1.weight.dtype == torch.float64
    backbone.load_state_dict({key: torch.zeros_like(value) for key, value in backbone.state_dict().items()})
    assert backbone.net.conv1.weight.abs().sum() == 0
    assert dict(backbone.named_parameters())["conv1.weight"] is backbone.net.conv1.weight


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


def test_channels_last_changes_the_memory_format_and_nothing_else():
    backbone, plain = (
        RegisteredBackbone(NAME, out_indices=(1, 2), channels_last=given).double() for given in (True, False)
    )
    plain.load_state_dict(backbone.state_dict())
    x = torch.randn(2, 3, 32, 32, dtype=torch.float64)
    for mine, other in zip(backbone(x), plain(x), strict=True):
        assert mine.is_contiguous(memory_format=torch.channels_last) and other.is_contiguous()
        torch.testing.assert_close(mine, other)
    assert backbone.net.conv1.weight.is_contiguous(memory_format=torch.channels_last)


def test_the_allocator_is_told_once_on_glibc_and_left_alone_elsewhere(monkeypatch):
    monkeypatch.setattr(allocator.platform, "libc_ver", lambda: ("", ""))
    assert not allocator.keep_freed_memory()
    monkeypatch.undo()
    if platform.libc_ver()[0] == "glibc":
        assert allocator.keep_freed_memory()

"""mmsegmentation's own configs, commands and checkpoints."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from mmengine.config import ConfigDict
from mmengine.logging import HistoryBuffer
from mmengine.registry import MODELS
from segmentation_files import make_voc
from torch import nn

from backbones.errors import UserInputError
from transfer.engine.backbone import RegisteredBackbone

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]

STRANGER = """
_base_ = ["mmseg::_base_/models/pspnet_r50-d8.py", "mmseg::_base_/datasets/pascal_voc12.py",
          "mmseg::_base_/schedules/schedule_20k.py", "mmseg::_base_/default_runtime.py"]
custom_imports = dict(imports=["tasks.segmentation"])
model = dict(pretrained=None, backbone=dict(_delete_=True, type="RegisteredBackbone",
             name="resnet50_share_ean_se.standin", output_stride=8),
             data_preprocessor=dict(size=(32, 32)),
             decode_head=dict(num_classes=21, channels=16), auxiliary_head=dict(num_classes=21, channels=16))
"""
TINY = """
train_dataloader.batch_size=2 train_dataloader.num_workers=0 train_dataloader.persistent_workers=False
train_dataloader.dataset.pipeline.2.scale=(64,40) train_dataloader.dataset.pipeline.3.crop_size=(32,32)
val_dataloader.num_workers=0 val_dataloader.persistent_workers=False val_dataloader.dataset.pipeline.1.scale=(64,40)
train_cfg.max_iters=2 train_cfg.val_interval=2 default_hooks.checkpoint.save_last=False param_scheduler.0.end=2
"""


def test_a_strangers_config_is_run_by_mmsegmentations_own_train_script(tmp_path):
    package = Path(importlib.util.find_spec("mmseg").origin).parent
    script = package / ".mim" / "tools" / "train.py"
    make_voc(tmp_path / "data" / "VOCdevkit" / "VOC2012", train=2, val=1)
    (tmp_path / "stranger.py").write_text(STRANGER)
    line = [sys.executable, str(script), "stranger.py", "--work-dir", "out", "--cfg-options", *TINY.split()]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(line, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "Iter(val) [1/1]" in done.stdout + done.stderr and "mIoU" in done.stdout + done.stderr


@pytest.fixture(scope="module")
def theirs():
    """mmsegmentation's ResNet-50 at output stride 8, its statistics and weights no longer initial ones."""
    import tasks.segmentation  # noqa: F401, I001  (first: it sets up the guards)
    from mmseg.models.backbones import ResNet

    torch.manual_seed(0)
    net = ResNet(50, style="pytorch", contract_dilation=True, strides=(1, 2, 1, 1), dilations=(1, 1, 2, 4))
    net.init_weights()
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.2, 0.6)
            nn.init.normal_(module.bias, std=0.1)
            nn.init.normal_(module.running_mean, std=0.1)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
    net.eval()  # on a line of its own: its train() returns None
    return net


def test_a_checkpoint_of_theirs_gives_the_same_features(theirs, tmp_path):
    state = {f"backbone.{key}": value for key, value in theirs.state_dict().items()}
    state["decode_head.conv_seg.weight"] = torch.zeros(21, 512, 1, 1)
    hub = {"log_scalars": {"loss": HistoryBuffer([1.0], [1])}, "runtime_info": {}, "resumed_keys": {}}
    torch.save({"state_dict": state, "message_hub": hub, "meta": {"iter": 1}}, tmp_path / "pspnet_r50b.pth")
    ours = RegisteredBackbone(
        "resnet50.imagenet",
        init="trunk",
        weights=str(tmp_path / "pspnet_r50b.pth"),
        out_indices=(0, 1, 2, 3),
        output_stride=8,
    )
    assert not ours.load_report.mismatched and "decode_head.conv_seg.weight" in ours.load_report.not_needed
    ours.eval()
    x = torch.randn(1, 3, 65, 97, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        for mine, expected in zip(ours(x), theirs(x), strict=True):
            assert mine.shape == expected.shape and expected.abs().max() > 0.1
            assert (mine - expected).abs().max() <= 1e-5 * max(1.0, expected.abs().max().item())
    assert ours(x)[3].shape[2:] == (9, 13)


def test_a_deep_stem_is_refused_by_name(theirs, tmp_path):
    state = {key: value for key, value in theirs.state_dict().items() if not key.startswith(("conv1.", "bn1."))}
    state = {f"backbone.{key}": value for key, value in state.items()} | {"backbone.stem.0.weight": torch.zeros(1)}
    torch.save({"state_dict": state}, tmp_path / "resnet50_v1c.pth")
    with pytest.raises(UserInputError, match=r"deep stem \(ResNetV1c.*plain ResNet") as error:
        RegisteredBackbone("resnet50.imagenet", init="trunk", weights=str(tmp_path / "resnet50_v1c.pth"))
    assert "\n" not in str(error.value)


@pytest.mark.usefixtures("mmseg_scope")
def test_weights_that_a_base_config_asks_for_are_refused_by_name():
    backbone = ConfigDict(type="RegisteredBackbone", name="resnet38.cifar100")
    head = dict(type="FCNHead", in_channels=256, channels=4, num_classes=2, num_convs=1)
    model = ConfigDict(
        type="EncoderDecoder", pretrained="open-mmlab://resnet50_v1c", backbone=backbone, decode_head=head
    )
    with pytest.raises(UserInputError, match=r"resnet50_v1c.*set pretrained=None") as error:
        MODELS.build(model)
    assert "\n" not in str(error.value)

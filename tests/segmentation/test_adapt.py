"""mmsegmentation's own model configs, with a registered backbone by the two lines of the README."""

from __future__ import annotations

import functools
import importlib.util
import re
from pathlib import Path

import pytest
import torch
from card_kinds import one_of_each
from mmengine.config import Config, ConfigDict
from mmengine.model import revert_sync_batchnorm
from mmengine.registry import MODELS
from mmengine.structures import PixelData

from backbones.arch import get_arch
from backbones.errors import UserInputError
from backbones.registry import get_card
from transfer.engine.config_check import apply_options

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("mmseg_scope")]

MODELS_FOLDER = Path(importlib.util.find_spec("mmseg").origin).parent / ".mim/configs/_base_/models"
README = """
custom_imports = dict(imports=["tasks.segmentation"])
model = dict(pretrained=None, backbone=dict(_delete_=True, type="RegisteredBackbone", name="...", output_stride=8))
"""
NECKS = ("fastfcn_r50-d32_jpu_psp", "fpn_r50")
BASES = (
    *("ann_r50-d8", "apcnet_r50-d8", "ccnet_r50-d8", "danet_r50-d8", "deeplabv3_r50-d8", "deeplabv3plus_r50-d8"),
    *("dmnet_r50-d8", "emanet_r50-d8", "encnet_r50-d8", "fcn_r50-d8", "gcnet_r50-d8", "isanet_r50-d8"),
    *("nonlocal_r50-d8", "ocrnet_r50-d8", "pspnet_r50-d8", "upernet_r50", *NECKS),
)
FEW = ("fcn_r50-d8", "pspnet_r50-d8", "deeplabv3plus_r50-d8", "upernet_r50", "ann_r50-d8", "fastfcn_r50-d32_jpu_psp")
STRANGE = "resnet38_share_ean_se.standin"  # three stages of 64 to 256 channels


def depth(name):
    return len(get_arch(get_card(name).arch).depths)


def usual(names):
    """Cards of four stages of 256 to 2048 channels."""
    return [name for name in names if get_arch(get_card(name).arch).channels == (256, 512, 1024, 2048)]


@functools.cache
def base(name):
    return (MODELS_FOLDER / f"{name}.py").read_text()


def config_of(tmp_path, model, card):
    """The official model, and the README's lines with the card's name."""
    (tmp_path / "official.py").write_text(base(model))
    (tmp_path / "mine.py").write_text('_base_ = ["official.py"]\n' + README.replace("...", card))
    return Config.fromfile(tmp_path / "mine.py")


def loss_of(config, classes=19):
    """One step on a tiny batch."""
    from mmseg.structures import SegDataSample

    torch.manual_seed(0)
    model = revert_sync_batchnorm(MODELS.build(config.model)).train()
    samples = []
    for _ in range(2):
        sample = SegDataSample(metainfo=dict(img_shape=(64, 64), ori_shape=(64, 64), pad_shape=(64, 64)))
        sample.gt_sem_seg = PixelData(data=torch.randint(0, classes, (1, 64, 64)))
        samples.append(sample)
    losses = model(torch.randn(2, 3, 64, 64), samples, mode="loss")
    return model, sum(value.mean() for key, value in losses.items() if "loss" in key)


def combinations(models, cards, few):
    """All of them, of which but a few are left to runs with `-m all_cards`."""
    return [
        pytest.param(model, card, marks=() if few(model, card) else pytest.mark.all_cards, id=f"{model}-{card}")
        for model in models
        for card in cards
    ]


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize(
    ("model", "card"),
    combinations(
        BASES,
        usual(one_of_each()),
        lambda model, card: model in FEW and card.endswith(("sa_sge.imagenet", "dia.imagenet")),
    ),
)
def test_two_lines_make_an_official_model_run_on_any_usual_card(tmp_path, model, card):
    built, loss = loss_of(config_of(tmp_path, model, card))
    assert loss.isfinite() and built.backbone.card.name == card
    stages = [info.stage for info in built.backbone.feature_info]
    assert stages == ([1, 2, 3] if model.startswith("fastfcn") else [0, 1, 2, 3])
    assert built.backbone.feature_info[-1].stride == 8


def test_the_two_lines_are_the_readmes():
    readme = (Path(__file__).resolve().parents[2] / "README.md").read_text()
    assert all(line in readme for line in README.strip().splitlines())


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize(
    ("model", "card"),
    combinations(
        [name for name in BASES if name not in NECKS and not name.startswith("ocrnet")],  # OCR: two maps of one stride
        [name for name in one_of_each() if name not in usual([name])],
        lambda model, card: model in FEW and "resnet38_full_sa" in card,
    ),
)
def test_another_card_is_told_what_to_set_and_runs_with_it(tmp_path, monkeypatch, model, card):
    config = config_of(tmp_path, model, card)
    with monkeypatch.context() as patch, pytest.raises(UserInputError) as error:
        patch.setattr("transfer.engine.backbone.build", lambda *_, **__: pytest.fail("it was built"))
        MODELS.build(config.model)
    line = str(error.value)
    assert "\n" not in line and f"{card!r} puts out 3 feature map(s), of 64, 128, 256 channels" in line
    told = re.findall(r"model\.\S+=\S+", line.partition("; set ")[2])
    assert told
    apply_options(config, dict(_read(option) for option in told))
    built, loss = loss_of(config)
    assert loss.isfinite() and len(built.backbone.feature_info) == depth(card)


def _read(option):
    from transfer.engine.config_check import parse_options

    return next(iter(parse_options([option]).items()))


def test_a_neck_that_does_not_fit_is_told_its_channels(tmp_path):
    config = config_of(tmp_path, "fpn_r50", STRANGE)
    with pytest.raises(UserInputError, match=r"set model\.neck\.in_channels=\[64,128,256\]$"):
        MODELS.build(config.model)


def segmentor(**head):
    backbone = ConfigDict(type="RegisteredBackbone", name=STRANGE)
    head = ConfigDict(dict(type="FCNHead", channels=4, num_classes=2, num_convs=1), **head)
    return ConfigDict(type="EncoderDecoder", backbone=backbone, decode_head=head)


@pytest.mark.parametrize(
    ("head", "stages", "channels"),
    [
        (dict(in_channels=256), [2], 256),  # nothing is said: the last alone, as ever
        (dict(in_channels=256, in_index=0), [2], 256),
        (dict(in_channels=64, in_index=0), [0, 1, 2], 64),
        (dict(in_channels=256, in_index=2), [0, 1, 2], 256),
        (dict(), [2], 256),
        (dict(in_index=1), [0, 1, 2], 128),
        (dict(in_index=[0, 2], input_transform="resize_concat"), [0, 1, 2], 320),
    ],
)
def test_what_is_put_out_and_read_when_little_is_said(head, stages, channels):
    config = segmentor(**head)
    before = config.to_dict()
    model = MODELS.build(config)
    assert [info.stage for info in model.backbone.feature_info] == stages
    assert model.decode_head.in_channels == channels
    assert config.to_dict() == before, "what is dumped beside the checkpoints is what the user wrote"


def test_other_backbones_and_finished_parts_are_left_alone():
    config = segmentor(in_channels=512)
    config.backbone = ConfigDict(type="ResNet", depth=18, num_stages=4, out_indices=(3,))
    assert MODELS.build(config).decode_head.in_channels == 512


def test_initialising_a_segmentor_leaves_its_backbone_as_it_was_loaded():
    model = MODELS.build(segmentor())
    before = {key: value.clone() for key, value in model.backbone.state_dict().items()}
    head = model.decode_head.conv_seg.weight.clone()
    model.init_weights()
    assert not torch.equal(head, model.decode_head.conv_seg.weight)
    assert all(torch.equal(value, before[key]) for key, value in model.backbone.state_dict().items())

"""One ignored id and one list of classes in a whole config."""

import copy
from pathlib import Path

import mmseg
import pytest
from mmengine.config import Config
from mmengine.registry import DATASETS, METRICS, MODELS, TRANSFORMS
from segmentation_files import CONFIGS

from backbones.errors import UserInputError
from tasks.segmentation.agreement import agree, disagreements, settle
from transfer.engine.config_check import load_config

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("mmseg_scope")]


@pytest.fixture(scope="module")
def plain():
    return load_config(CONFIGS / "voc_psp_ean_se.py")


@pytest.fixture
def config(plain):
    return copy.deepcopy(plain)


def dataset_of(config, loader):
    return config[f"{loader}_dataloader"].dataset


def test_a_config_that_says_nothing_stays_as_it_is(config, plain):
    settle(config)
    assert config._cfg_dict == plain._cfg_dict and disagreements(config) == []


def test_what_is_built_ignores_the_id_of_the_data(config, voc):
    dataset_of(config, "train").ignore_index = 11
    dataset_of(config, "train").pipeline.insert(5, dict(type="Pad", size=(473, 473)))
    dataset_of(config, "train").pipeline.insert(6, dict(type="CenterCrop", crop_size=(9, 9), auto_pad=True))
    config.model.auxiliary_head.loss_decode = [dict(type="OhemCrossEntropy"), dict(type="DiceLoss")]
    config.model.backbone = dict(type="RegisteredBackbone", name="resnet38.cifar100")
    settle(config)
    for loader in ("train", "val", "test"):
        dataset_of(config, loader).update(data_root=str(voc), ann_file="ImageSets/Segmentation/val.txt")
        assert DATASETS.build(dataset_of(config, loader)).ignore_index == 11
    steps = [TRANSFORMS.build(step) for step in dataset_of(config, "train").pipeline]
    told = {type(step).__name__: step for step in steps}
    assert told["RandomRotate"].seg_pad_val == told["RandomCrop"].ignore_index == 11
    assert told["Pad"].pad_val == {"img": 0, "seg": 11}
    assert told["CenterCrop"].pad_cfg["pad_val"]["seg"] == 11
    model = MODELS.build(config.model)
    assert model.decode_head.ignore_index == model.auxiliary_head.ignore_index == 11
    assert model.data_preprocessor.seg_pad_val == 11
    assert model.auxiliary_head.loss_decode[0].ignore_label == 11
    assert model.auxiliary_head.loss_decode[1].ignore_index == 255, "a class that Dice leaves out, no id of pixels"
    assert METRICS.build(config.val_evaluator).ignore_index == METRICS.build(config.test_evaluator).ignore_index == 11


SAID = {
    "model.decode_head.ignore_index": lambda config: config.model.decode_head.update(ignore_index=0),
    "model.auxiliary_head.ignore_index": lambda config: config.model.auxiliary_head.update(ignore_index=0),
    "test_evaluator.ignore_index": lambda config: config.test_evaluator.update(ignore_index=0),
    "val_dataloader.dataset.ignore_index": lambda config: dataset_of(config, "val").update(ignore_index=0),
    "model.data_preprocessor.seg_pad_val": lambda config: config.model.data_preprocessor.update(seg_pad_val=0),
    "train_dataloader.dataset.pipeline.3.seg_pad_val": lambda config: (
        dataset_of(config, "train").pipeline[3].update(seg_pad_val=0)
    ),
    "train_dataloader.dataset.pipeline.4.ignore_index": lambda config: (
        dataset_of(config, "train").pipeline[4].update(ignore_index=0)
    ),
}


@pytest.mark.parametrize("ignored", [255, 11])
@pytest.mark.parametrize("key", SAID)
def test_another_id_anywhere_is_refused_with_its_key(config, key, ignored):
    dataset_of(config, "train").ignore_index = ignored
    SAID[key](config)
    with pytest.raises(UserInputError) as error:
        settle(config)
    line = str(error.value)
    assert f"train_dataloader.dataset.ignore_index={ignored}" in line and f"{key}=0" in line and "\n" not in line
    assert line.count("=0") == 1


def test_an_id_said_everywhere_but_by_the_data_is_refused(config):
    for place in (config.model.decode_head, config.model.auxiliary_head, config.test_evaluator, config.val_evaluator):
        place.ignore_index = 11
    with pytest.raises(UserInputError, match=r"train_dataloader.dataset.ignore_index=255 by default .*decode_head"):
        settle(config)


def test_a_run_by_mmsegmentations_own_commands_fills_nothing_in_and_is_refused(config):
    dataset_of(config, "train").ignore_index = 11
    with pytest.raises(UserInputError, match=r"test_evaluator\.ignore_index=255 by default"):
        agree(config)
    settle(config)
    agree(config)


def test_a_head_of_binary_masks_ignores_nothing(config):
    config.model.decode_head.ignore_index = None
    dataset_of(config, "train").ignore_index = 11
    settle(config)
    assert config.model.decode_head.ignore_index is None


def test_classes_of_data_and_heads(config):
    meta = dict(classes=["sky", "sea"])
    dataset_of(config, "train").metainfo = meta
    lines = disagreements(config)
    assert len(lines) == 4 and all("2 classes (sky, sea)" in line for line in lines)
    assert "val_dataloader.dataset: has 21 classes" in lines[0]
    assert "model.decode_head.num_classes=21" in lines[2] and "model.auxiliary_head.num_classes=21" in lines[3]
    for loader in ("val", "test"):
        dataset_of(config, loader).metainfo = meta
    config.model.decode_head.num_classes = config.model.auxiliary_head.num_classes = 2
    assert disagreements(config) == []
    dataset_of(config, "test").metainfo = dict(classes=["sea", "sky"])
    (line,) = disagreements(config)
    assert "test_dataloader.dataset: has 2 classes (sea, sky)" in line and "same order" in line


@pytest.mark.parametrize(
    "name",
    [
        "pspnet/pspnet_r50-d8_4xb4-20k_voc12aug-512x512.py",
        "stdc/stdc1_4xb12-80k_cityscapes-512x1024.py",  # a boundary head of two classes
        "knet/knet-s3_r50-d8_pspnet_8xb2-adamw-80k_ade20k-512x512.py",  # heads inside the head
        "mask2former/mask2former_r50_8xb2-90k_cityscapes-512x1024.py",
        "san/san-vit-b16_voc12aug-640x640.py",  # validates without the background that it trains on
        "vpd/vpd_sd_4xb8-25k_nyu-512x512.py",  # depth, padded with 0
        "ocrnet/ocrnet_hr18_4xb4-80k_ade20k-512x512.py",  # heads in a list
    ],
)
def test_mmsegmentations_own_configs_stay_as_they_are(name):
    config = Config.fromfile(Path(mmseg.__file__).parent / ".mim" / "configs" / name, import_custom_modules=False)
    before = copy.deepcopy(config._cfg_dict)
    settle(config)
    assert config._cfg_dict == before

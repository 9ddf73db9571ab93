import functools

import pytest
import torch
from mmengine.registry import MODELS
from segmentation_files import CONFIGS

from transfer.engine.backbone import without_initial_weights
from transfer.engine.config_check import load_config

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("mmseg_scope")]

CARDS = {
    "resnet": "resnet50.imagenet",
    "full_share_se": "resnet50_full_share_se.imagenet",
    "ean_se": "resnet50_share_ean_se.standin",
    "full_share_dia": "resnet50_full_share_dia.imagenet",
    "ean_dia": "resnet50_share_ean_dia.imagenet",
    "full_share_sge": "resnet50_full_share_sge.imagenet",
    "ean_sge": "resnet50_share_ean_sge.imagenet",
}
SMALL = {"resnet": "resnet38.cifar100", "ean_se": "resnet38_share_ean_se.c100_6ep"}
EXPECTED = {
    **{f"voc_{kind}{cell}": card for kind in ("psp_", "aug_psp_") for cell, card in CARDS.items()},
    **{f"voc_small_{cell}": card for cell, card in SMALL.items()},
    "voc_sample_ean_se": "resnet38_share_ean_se.standin",
}


NAMES = sorted(p.stem for p in CONFIGS.glob("*.py") if "_base_/models/psp_" in p.read_text())


@functools.cache
def load(name, *options):
    """The checked config, read once a session; tests leave it as it is."""
    return load_config(CONFIGS / f"{name}.py", options)


def test_every_cell_of_the_papers_table_has_a_config():
    assert set(EXPECTED) <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_config_says_what_it_is_for_and_how_it_is_run(name):
    text = (CONFIGS / f"{name}.py").read_text()
    for word in ("# Result: ", "# Hardware: ", "# Command: ", f"configs/{name}.py", "# Ours: "):
        assert word in text
    assert text.startswith("# ") and len(text.splitlines()) < 20


@pytest.mark.parametrize("name", EXPECTED)
def test_a_config_is_whole(name):
    config = load(name)
    large = "psp" in name
    assert config.task == "segmentation" and config.model.backbone.name == EXPECTED[name]
    small = "auto" if name == "voc_small_ean_se" else "scratch"
    assert config.model.backbone.init == ("trunk" if large else small)
    for head, weight in (("decode_head", 1.0), ("auxiliary_head", 0.4)):
        assert config.model[head].loss_decode.loss_weight == weight
        assert config.model[head].loss_decode.avg_non_ignore is True
    train, test = config.train_dataloader.dataset, config.test_dataloader.dataset
    crop = next(step for step in train.pipeline if step.type == "RandomCrop").crop_size
    assert tuple(crop) == tuple(config.model.data_preprocessor["size"])
    assert config.train_dataloader.batch_size > 1 and train.data_root == test.data_root
    assert test.test_mode and config.val_dataloader == config.test_dataloader
    assert "save_best" not in config.default_hooks.checkpoint, "val is what is reported"
    last = config.param_scheduler[-1]
    assert (last.type, last.power, last.end) == ("PolyLR", 0.9, config.train_cfg.max_iters)
    if large:
        assert tuple(crop) == (473, 473) and config.model.backbone.stride == 8
        assert config.optim_wrapper.optimizer.type == "SGD" and config.optim_wrapper.optimizer.lr == 0.01


def test_the_sbd_variant_differs_in_data_and_schedule_only():
    for cell in CARDS:
        plain, augmented = load(f"voc_psp_{cell}"), load(f"voc_aug_psp_{cell}")
        assert plain.model == augmented.model and plain.test_dataloader == augmented.test_dataloader
        data = augmented.train_dataloader.dataset
        assert data.ann_file.endswith("trainaug.txt") and data.data_prefix.seg_map_path == "SegmentationClassAug"


@pytest.mark.parametrize("name", ["voc_psp_resnet", "voc_psp_ean_dia", "voc_small_ean_se"])
def test_heads_fit_the_backbone(name):
    with without_initial_weights(), torch.device("meta"):
        model = MODELS.build(load(name).model)
    features = model.backbone.feature_info
    for head in (model.decode_head, model.auxiliary_head):
        assert head.in_channels == features[head.in_index].channels
    assert features[-1].stride == 8 and features[0].stage == features[-1].stage - 1
    assert model.decode_head.num_classes == model.auxiliary_head.num_classes == 21


def test_other_classes_by_config_alone(tmp_path):
    text = (
        f'_base_ = "{CONFIGS / "voc_small_ean_se.py"}"\nmeta = dict(classes=["sky", "sea"], palette=[[0, 0, 9]] * 2)\n'
    )
    text += "train_dataloader = dict(dataset=dict(data_root='x', metainfo=meta))\n"
    text += "model = dict(decode_head=dict(num_classes=2), auxiliary_head=dict(num_classes=2))\n"
    (tmp_path / "mine.py").write_text(text)
    config = load_config(tmp_path / "mine.py")
    assert config.train_dataloader.dataset.metainfo.classes == ["sky", "sea"]


@pytest.mark.parametrize("name", ["voc_psp_ean_se", "voc_aug_psp_ean_se"])
def test_the_option_for_crops_of_512_that_the_data_sets_name(name):
    base = "voc_aug.py" if "aug" in name else "voc.py"
    (line,) = [
        line
        for line in (CONFIGS / "_base_/datasets" / base).read_text().splitlines()
        if line.startswith("#   --cfg-options")
    ]
    config = load_config(CONFIGS / f"{name}.py", line.split("--cfg-options")[1].split())
    crops = [step.crop_size for step in config.train_dataloader.dataset.pipeline if step.type == "RandomCrop"]
    assert crops == [(512, 512)] and config.model.data_preprocessor.size == (512, 512)

import functools
from pathlib import Path

import pytest
import torch
from mmengine.registry import DATASETS, MODELS

from transfer.engine.backbone import without_initial_weights
from transfer.engine.config_check import load_config

pytestmark = pytest.mark.slow

CONFIGS = Path(__file__).resolve().parents[2] / "configs"
CARDS = {
    "resnet": "resnet50.imagenet",
    "full_sa_se": "resnet50_full_sa_se.imagenet",
    "full_share_se": "resnet50_full_share_se.imagenet",
    "ean_se": "resnet50_share_ean_se.standin",
    "full_share_dia": "resnet50_full_share_dia.imagenet",
    "ean_dia": "resnet50_share_ean_dia.imagenet",
    "full_sa_sge": "resnet50_full_sa_sge.imagenet",
    "full_share_sge": "resnet50_full_share_sge.imagenet",
    "ean_sge": "resnet50_share_ean_sge.imagenet",
}
SMALL = {
    "resnet": "resnet38.cifar100",
    "full_share_se": "resnet38_full_share_se.cifar100",
    "ean_se": "resnet38_share_ean_se.c100_6ep",
}
EXPECTED = {
    **{f"{part}_{cell}": card for part in ("shha", "shhb") for cell, card in CARDS.items()},
    **{f"shha_small_{cell}": card for cell, card in SMALL.items()},
    "sample_ean_se": "resnet38_share_ean_se.standin",
}


TEXTS = {p.stem: text for p in CONFIGS.glob("*.py") if "_base_/models/counter_" in (text := p.read_text())}
NAMES = sorted(TEXTS)


@functools.cache
def load(name, *options):
    """The checked config, read once a session; tests leave it as it is."""
    return load_config(CONFIGS / f"{name}.py", options)


def test_every_cell_of_the_papers_table_has_a_config():
    assert set(EXPECTED) <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_config_says_what_it_is_for_and_how_it_is_run(name):
    text = (CONFIGS / f"{name}.py").read_text()
    for word in ("# Result: ", "# Hardware: ", "# Command: ", f"configs/{name}.py"):
        assert word in text
    assert text.startswith("# ") and len(text.splitlines()) < 20


@pytest.mark.parametrize("name", EXPECTED)
def test_a_cell_of_the_papers_table_has_its_backbone(name):
    backbone = load(name).model.backbone
    assert backbone.name == EXPECTED[name]
    small = "auto" if name == "shha_small_ean_se" else "scratch"
    assert backbone.init == (small if name.startswith(("shha_small", "sample")) else "trunk")


@pytest.mark.parametrize("cell", CARDS)
def test_both_parts_have_the_same_model(cell):
    assert load(f"shha_{cell}").model == load(f"shhb_{cell}").model


@pytest.mark.parametrize("name", [name for name in NAMES if not name.startswith("shhb")])
def test_a_model_counts_after_stage_3_at_the_stride_of_its_targets(name):
    with without_initial_weights(), torch.device("meta"):
        model = MODELS.build(load(name).model)
    model.check_config(load(name).to_dict())
    assert model.stride == 8 and model.backbone.feature_info[0].stage == 2
    assert model.backbone.feature_info[0].channels == (256 if "counter_resnet38" in TEXTS[name] else 1024)


@pytest.mark.parametrize("name", NAMES)
def test_a_config_selects_on_val(name):
    config = load(name)
    assert config.task == "counting"
    splits = [config[f"{loader}_dataloader"].dataset.split for loader in ("train", "val", "test")]
    assert splits == ["train", "val", "test"]
    saved = config.default_hooks.checkpoint
    assert (saved.save_best, saved.rule) == ("mae", "less")
    last = config.param_scheduler[-1]
    assert last.end == config.train_cfg.max_iters and config.param_scheduler[0].end == last.begin
    root = config.train_dataloader.dataset.data_root
    assert root == config.val_dataloader.dataset.data_root == config.test_dataloader.dataset.data_root


def test_c3s_head_is_one_option_away():
    config = load("shha_resnet", "model.head.type=C3Head")
    with without_initial_weights(), torch.device("meta"):
        assert type(MODELS.build(config.model).head).__name__ == "C3Head"


def test_c3s_trunk_keeps_layer3_at_stride_8_without_dilation():
    with without_initial_weights(), torch.device("meta"):
        net = MODELS.build(load("shha_resnet").model).backbone
    assert net.layer3[0].conv2.stride == (1, 1)
    assert all(block.conv2.dilation == (1, 1) for block in net.layer3)


@pytest.mark.real_data
def test_the_small_config_takes_a_training_step_and_predicts_on_part_a(real_data):
    config = load("shha_small_ean_se")
    pipeline = config.train_dataloader.dataset.pipeline
    train = DATASETS.build({**config.val_dataloader.dataset, "pipeline": pipeline, "test_mode": False})
    assert len(train) == 30
    torch.manual_seed(0)
    model = MODELS.build(config.model)
    items = [train[0], train[1]]
    batch = {key: [item[key] for item in items] for key in ("inputs", "data_samples")}
    losses = model(**model.data_preprocessor(batch), mode="loss")
    sum(losses.values()).backward()
    assert set(losses) == {"loss_density", "loss_blocks_32_64", "loss_count"}
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)
    with torch.no_grad():
        (sample,) = model.eval().test_step({key: [items[0][key]] for key in items[0]})
    assert sample.pred_density.shape == (1, 32, 32) and sample.num_points == len(sample.points)

"""From the work directory of a search to a name that works everywhere."""

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.registry import MODELS, DefaultScope, init_default_scope
from register_files import BEST, CLASSES, NAME, classifier, read, replace_best

from backbones.card import BackboneCard
from backbones.registry import create_backbone, get_card, list_backbones
from backbones.verification import verify_backbone
from backbones.weights import sha256_file
from transfer.engine.backbone import RegisteredBackbone
from transfer.engine.config_check import load_config
from transfer.pipeline.config import read_search_config
from transfer.pipeline.register import register_search
from transfer.pipeline.run import run_search

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def registered(finished, cards):
    """The card of the search's best."""
    return register_search(finished, NAME, licence="MIT")


# ---- the card


def test_the_best_candidate_by_validation_gets_a_card(finished, cards, registered):
    run = read(finished)["runs"][BEST]
    assert sorted(path.name for path in cards.iterdir()) == [f"{NAME}.safetensors", f"{NAME}.toml"]
    card = get_card(NAME)
    assert card == registered == BackboneCard.read(cards / f"{NAME}.toml")
    assert (card.arch, card.attention, card.attention_args) == ("resnet38", "se", {"reduction": 16})
    assert (str(card.scheme), card.sharing, card.mean) == (run["scheme"], "stage", get_card("resnet38.cifar100").mean)

    assert card.published == ()
    *trained, counted = card.measured
    assert set(counted.values) == {"macs_billion"}
    assert {figures.data: dict(figures.values) for figures in trained} == {
        "cifar100 test": run["test"],
        "cifar100 val": run["val"],
    }
    for figures in trained:
        for part in (
            "tools/search.py",
            "configs/standalone/c100_resnet38_20ep.py",
            run["scheme"],
            "6250",
            "seed=3",
            "optim_wrapper.optimizer.lr=0.2",
            ", amp",
        ):
            assert part in figures.source


def test_the_card_says_how_its_scheme_was_found(finished, registered):
    search, provenance = read(finished, "search"), registered.provenance
    assert provenance.kind == "search"
    for part in ("random(batch=4)", "budget 8", "evaluations 8", "seed 0", "cifar100", "bn recalibrated"):
        assert part in provenance.source
    for part in (
        "supernet/c100_resnet38_full_share_se_20ep.py(val_dataloader.dataset.images=2000)",
        "beta 0.5, max_iters 6250, seed 7",
        search["supernet"]["sha256"],
        search["log_sha256"],
        "lambda1=2.0",
        f"candidate {BEST + 1} of 3",
    ):
        assert part in provenance.note


def test_the_weights_are_the_checkpoints_and_verified(finished, cards, registered):
    run, weights = read(finished)["runs"][BEST], registered.weights
    assert weights.sha256 == sha256_file(cards / f"{NAME}.safetensors") and weights.licence == "MIT"
    assert run["sha256"] in weights.source
    state = torch.load(finished / run["checkpoint"], weights_only=True)["state_dict"]
    learnt = [t.numel() for k, t in state.items() if not k.endswith(("running_mean", "running_var", "tracked"))]
    assert (registered.parameters.count, registered.parameters.num_classes) == (sum(learnt), CLASSES)
    found = verify_backbone(NAME)
    assert found.ok and found.weights == "verified"


# ---- the name works at once


def test_the_name_works_for_classification(finished, registered):
    assert NAME in list_backbones("resnet38*", pretrained=True)
    net = create_backbone(NAME, pretrained="full", num_classes=CLASSES).eval()
    trained = classifier(registered.scheme, seed=BEST)
    picture = torch.rand(2, 3, 32, 32)
    with torch.inference_mode():
        torch.testing.assert_close(net(picture), trained(picture), rtol=0, atol=1e-5)


def only_the_classifier_is_left_out(backbone):
    report = backbone.load_report
    return report.clean and set(report.not_needed) == {"fc.weight", "fc.bias"} and not report.fresh and report.loaded


def test_the_name_works_as_a_backbone(registered):
    backbone = RegisteredBackbone(NAME, init="full", stem_stride=2, out_indices=(1, 2))
    assert only_the_classifier_is_left_out(backbone)
    assert [tuple(f.shape) for f in backbone(torch.rand(1, 3, 64, 64))] == [(1, 128, 16, 16), (1, 256, 8, 8)]


OPTIONS = [f"model.backbone.name={NAME}", "model.backbone.init=full"]


def test_the_name_works_in_a_counting_config(registered):
    model = MODELS.build(load_config(ROOT / "configs" / "shha_small_ean_se.py", OPTIONS).model)
    assert only_the_classifier_is_left_out(model.backbone) and model.backbone.card == registered


def test_the_name_works_in_a_segmentation_config(registered):
    pytest.importorskip("mmseg", reason="mmsegmentation is not installed (extras lite and full)")
    import tasks.segmentation  # noqa: F401

    init_default_scope("mmseg")
    try:
        model = MODELS.build(load_config(ROOT / "configs" / "voc_small_ean_se.py", OPTIONS).model)
    finally:
        DefaultScope._instance_dict.clear()
    assert only_the_classifier_is_left_out(model.backbone) and model.backbone.card == registered


# ---- other networks of the search


@pytest.mark.parametrize("dots", [True, False])
def test_another_candidate_by_its_scheme(finished, cards, dots):
    run = read(finished)["runs"][2]
    card = register_search(finished, NAME, scheme=run["scheme"] if dots else run["scheme"].replace(".", ""))
    assert str(card.scheme) == run["scheme"] and card.measured[0].values["top1"] == run["test"]["top1"]
    assert "candidate 3 of 3" in card.provenance.note


@pytest.mark.parametrize(
    ("run", "like"),
    [
        ("plain", "resnet38.cifar100"),
        ("full_sa", "resnet38_full_sa_se.cifar100"),
        ("full_share", "resnet38_full_share_se.cifar100"),
    ],
)
def test_a_network_beside_the_candidates(finished, cards, run, like):
    name = like.replace("cifar100", "c100_20ep")
    card, shipped = register_search(finished, name, run=run), get_card(like)
    assert card.network_options == shipped.network_options and card.parameters == shipped.parameters
    assert card.provenance.kind == "hand" and run in card.provenance.source
    assert verify_backbone(name).ok


def test_convolutions_with_bias_are_counted_with_them(work_dir, cards):
    replace_best(work_dir, classifier(read(work_dir)["best"], conv_bias=True))
    card = register_search(work_dir, NAME)
    assert (
        card.parameters.conv_bias
        and card.parameters.count > get_card("resnet38_full_share_se.cifar100").parameters.count
    )
    assert verify_backbone(NAME).ok


# ---- the command, and a whole search


def test_the_command_registers_a_work_directory(command, finished, cards, tmp_path):
    status, out, err = command("register", finished, "--name", NAME, "--licence", "CC0-1.0")
    assert (status, err) == (0, "") and f"{NAME} is registered: {cards / NAME}.toml" in out
    (row,) = json.loads(command("list", NAME, "--json")[1])
    assert row["weights"] and row["provenance"] == "search"
    assert "top1 61.75" in command("show", NAME)[1]
    assert command("verify", NAME)[0] == 0
    into = tmp_path / "shared"
    assert command("register", finished, "--name", "resnet38.c100", "--run", "plain", "--into", into)[0] == 0
    assert sorted(path.name for path in into.iterdir()) == ["resnet38.c100.safetensors", "resnet38.c100.toml"]


def test_a_search_from_end_to_end(tmp_path, cards):
    data = tmp_path / "cifar-100-python"
    data.mkdir()
    generator = np.random.default_rng(0)
    for part, count in (("train", 200), ("test", 100)):
        pixels = generator.integers(0, 256, (count, 3072), dtype=np.uint8)
        (data / part).write_bytes(pickle.dumps({"data": pixels, "fine_labels": (np.arange(count) % 100).tolist()}))
    (data / "meta").write_bytes(pickle.dumps({"fine_label_names": [f"class{i}" for i in range(100)]}))
    few = (("data_root", str(data)), ("val_per_class", 1), ("images", 20))
    loaders = [f"{split}_dataloader.dataset" for split in ("train", "val", "test")]
    options = {f"{loader}.{key}": value for loader in loaders for key, value in few}
    calibration = {f"calibration_dataset.{key}": value for key, value in few}
    options |= {"train_cfg.max_iters": 1, "train_dataloader.batch_size": 4, "default_hooks.checkpoint.interval": 1}
    sections = {
        "supernet": {
            "config": f"{ROOT}/configs/supernet/c100_resnet38_full_share_se.py",
            "options": options | calibration,
        },
        "search": {"method": "random", "budget": 2},
        "standalone": {
            "config": f"{ROOT}/configs/standalone/c100_resnet38.py",
            "options": options,
            "candidates": 1,
            "timing": {"batch": 2, "rounds": 2},
        },
    }
    config = tmp_path / "config.py"
    config.write_text("".join(f"{key} = {value!r}\n" for key, value in sections.items()))
    assert run_search(read_search_config(config), tmp_path / "work") == 0
    card = register_search(tmp_path / "work", NAME)
    assert str(card.scheme) == read(tmp_path / "work")["best"] and card.provenance.kind == "search"
    assert "configs/standalone/c100_resnet38.py" in card.measured[0].source
    assert verify_backbone(NAME).ok
    assert only_the_classifier_is_left_out(RegisteredBackbone(NAME, init="full"))

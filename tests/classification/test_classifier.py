"""The classifier, its metric and its preprocessor, against independent references; training and configs."""

import pickle
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from mmengine.registry import MODELS

from backbones.errors import UserInputError
from backbones.registry import create_backbone, get_card
from backbones.scheme import ConnectionScheme
from tasks.classification import Classifier, ImageSizeHook, TopKMetric
from tasks.classification.metric import label_ranks, top_k_accuracy
from transfer.engine.config_check import load_config
from transfer.engine.evaluation import evaluate
from transfer.engine.training import train

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
CONFIGS = sorted(
    [*ROOT.glob("configs/c100_*.py"), *ROOT.glob("configs/imagenet_*.py"), *ROOT.glob("configs/supernet/*.py")]
)


def tiny(**options):
    backbone = {"type": "RegisteredBackbone", "name": "resnet38_full_share_se.cifar100", **options.pop("backbone", {})}
    return Classifier(backbone, options.pop("num_classes", 10), **options)


# ---- metric


def numpy_top_k(scores, labels, k):
    first = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    return 100 * np.mean([label in row for label, row in zip(labels, first, strict=True)])


@pytest.mark.parametrize("classes", [3, 10, 100])
def test_accuracy_against_numpy(classes):
    generator = np.random.default_rng(classes)
    scores = generator.integers(0, 20, (500, classes)).astype(np.float32)  # many ties
    labels = generator.integers(0, classes, 500)
    metric = TopKMetric()
    for part in np.array_split(np.arange(500), 7):
        metric.process(
            None,
            [{"scores": torch.from_numpy(scores[i]), "labels": torch.tensor(labels[i])} for i in part],
        )
    found = metric.evaluate(500)
    assert found["top1"] == pytest.approx(numpy_top_k(scores, labels, 1), abs=1e-9)
    assert found["top5"] == pytest.approx(numpy_top_k(scores, labels, 5), abs=1e-9)


def test_nan_predicts_nothing():
    ranks = label_ranks(torch.tensor([[float("nan")] * 6, [0.0, 1, 2, 3, 4, 5]]), torch.tensor([0, 5]))
    assert ranks.tolist() == [6, 0] and top_k_accuracy(ranks, 5) == 50


# ---- model


def test_preprocessor_uses_the_cards_statistics():
    model = tiny()
    pixels = torch.randint(0, 256, (4, 3, 8, 8), dtype=torch.uint8)
    ready = model.data_preprocessor({"inputs": list(pixels), "labels": [1, 2, 3, 9]})
    mean, std = np.array([0.4914, 0.4822, 0.4465]), np.array([0.2023, 0.1994, 0.2010])
    expected = (pixels.numpy() / 255 - mean[:, None, None]) / std[:, None, None]
    np.testing.assert_allclose(ready["inputs"].numpy(), expected, atol=1e-5)
    assert ready["labels"].tolist() == [1, 2, 3, 9]
    with pytest.raises(UserInputError, match=r"label 10, model\.num_classes=10"):
        model.data_preprocessor({"inputs": list(pixels), "labels": [1, 2, 3, 10]})
    with pytest.raises(UserInputError, match=r"1 channels, model\.data_preprocessor\.mean has 3"):
        model.data_preprocessor({"inputs": list(pixels[:, :1]), "labels": [1, 2, 3, 4]})


def test_preprocessor_scales_as_torchvision():
    transforms = pytest.importorskip("torchvision.transforms.v2.functional")
    model = tiny()
    pixels = torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8)
    mean, std = model.data_preprocessor.mean, model.data_preprocessor.std
    for size in (32, 48):
        model.data_preprocessor.size = size
        ready = model.data_preprocessor({"inputs": list(pixels), "labels": [1, 2]})["inputs"]
        expected = transforms.resize(pixels.float(), [size, size], antialias=True)
        torch.testing.assert_close(ready, (expected / 255 - mean) / std, atol=1e-5, rtol=1e-5)


def test_image_size_follows_the_iteration():
    model = tiny()
    hook = ImageSizeHook([(0, 32), (2, 48), (3, 64)])
    runner = SimpleNamespace(model=model, iter=0)
    hook.before_train(runner)
    seen = []
    for runner.iter in (0, 1, 2, 3, 10):
        hook.before_train_iter(runner, 0)
        seen.append(model.data_preprocessor.size)
    assert seen == [32, 32, 48, 64, 64]
    hook.before_val(runner)
    assert model.data_preprocessor.size is None  # and tests see images as they are
    for wrong in ([], [(1, 32)], [(0, 32), (0, 48)], [(0, 0)]):
        with pytest.raises(UserInputError, match="ascending from iteration 0"):
            ImageSizeHook(wrong)


@pytest.mark.parametrize("channels_last", [False, True])
def test_modes_agree_with_the_bare_network(channels_last):
    torch.manual_seed(0)
    model = tiny(channels_last=channels_last).eval()
    net = create_backbone("resnet38_full_share_se.cifar100", num_classes=10).eval()
    state = {key.removeprefix("backbone."): value for key, value in model.state_dict().items()}
    net.load_state_dict(state)  # strictly: nothing but the network, under its own keys
    x, y = torch.randn(4, 3, 16, 16), torch.tensor([1, 2, 3, 4])
    with torch.no_grad():
        expected = net(x)
        torch.testing.assert_close(model(x), expected, atol=1e-5, rtol=1e-5)
        loss = model(x, y, mode="loss")["loss"]
        scores = torch.stack([sample["scores"] for sample in model(x, y, mode="predict")])
    torch.testing.assert_close(loss, F.cross_entropy(expected, y), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(scores, expected, atol=1e-5, rtol=1e-5)
    with pytest.raises(ValueError, match="mode='losses'"):
        model(x, y, mode="losses")


def test_several_schemes_give_the_mean_of_their_losses():
    torch.manual_seed(0)
    model = tiny(backbone={"supernet": True, "norm_eval": True})
    x, y = torch.randn(4, 3, 8, 8), torch.tensor([1, 2, 3, 4])
    schemes = [ConnectionScheme.parse(text) for text in ("1010.0001.1111", "0101.1110.0000")]
    alone = []
    for scheme in schemes:
        model.backbone.scheme = scheme
        alone.append(model(x, y, mode="loss")["loss"])
    model.schemes = tuple(schemes)
    both = model(x, y, mode="loss")["loss"]
    assert alone[0] != alone[1]
    torch.testing.assert_close(both, (alone[0] + alone[1]) / 2)


# ---- training by config


@pytest.mark.parametrize("path", CONFIGS, ids=[path.stem for path in CONFIGS])
def test_configs_build_what_they_say(path):
    config = load_config(path)
    model = MODELS.build(config.model)
    words = {"full_sa": "block", "full_share": "stage", "ean": "stage"}
    for word, sharing in words.items():
        if f"_{word}_" in path.stem:
            assert model.backbone.sharing == sharing and model.backbone.scheme.connected
    assert model.backbone.supernet is (path.parent.name == "supernet")
    iterations = config.train_cfg.max_iters
    schedule = config.get("param_scheduler") or {}
    assert schedule.get("T_max", iterations) == iterations
    assert all(milestone < iterations for milestone in schedule.get("milestones", []))
    assert config.test_dataloader.dataset.split == "test"
    on_d_val = config.train_dataloader.dataset.split == "train"
    assert on_d_val is (config.val_dataloader is not None)  # whoever trains on D_val is not validated on it
    assert path.name in path.read_text()


def test_recipe_trains_resumes_and_is_tested(tmp_path):
    folder = tmp_path / "cifar-100-python"
    folder.mkdir()
    generator = np.random.default_rng(0)
    for part, count in (("train", 200), ("test", 100)):
        data = generator.integers(0, 256, (count, 3072), dtype=np.uint8)
        (folder / part).write_bytes(pickle.dumps({"data": data, "fine_labels": [i % 100 for i in range(count)]}))
    (folder / "meta").write_bytes(pickle.dumps({"fine_label_names": [str(i) for i in range(100)]}))
    options = [f"{split}_dataloader.dataset.data_root={folder}" for split in ("train", "test")]
    options += ["train_dataloader.batch_size=4", "test_dataloader.dataset.images=8", "test_dataloader.batch_size=4"]
    options += ["default_hooks.checkpoint.interval=1", "default_hooks.checkpoint.max_keep_ckpts=3"]

    def config():
        path = ROOT / "configs" / "c100_resnet38_ean_se.py"
        return load_config(path, [*options, "train_cfg.max_iters=3", "param_scheduler.T_max=3"])

    train(config(), work_dir=tmp_path / "whole")
    train(config(), work_dir=tmp_path / "parts", resume=tmp_path / "whole" / "iter_2.pth")
    whole, parts = (
        torch.load(tmp_path / name / "iter_3.pth", weights_only=True)["state_dict"] for name in ("whole", "parts")
    )
    assert whole.keys() == parts.keys() and all(torch.equal(whole[key], parts[key]) for key in whole)
    record = evaluate(config(), tmp_path / "whole" / "iter_3.pth", work_dir=tmp_path / "test")
    assert set(record["metrics"]) == {"top1", "top5"}
    assert record["data"]["split"] == "test" and record["data"]["images"] == 8
    assert record["scheme"] == str(get_card(record["backbone"]).scheme)

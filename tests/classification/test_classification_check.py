"""tools/check_data.py on classification configs: finds all problems at once, and gives a verdict."""

import json
import pickle
import runpy
from pathlib import Path

import numpy as np
import pytest
from mmengine.registry import DATASETS
from PIL import Image
from torch.utils.data import Dataset

from tasks.classification.check import check
from transfer.cli import run_command
from transfer.engine.config_check import load_config

ROOT = Path(__file__).resolve().parents[2]
CLASSES, TRAIN, TEST = 3, 4, 2


def pixels(number, mode="RGB"):
    return Image.fromarray(np.random.default_rng(number).integers(0, 256, (20, 24, 3), np.uint8)).convert(mode)


@pytest.fixture
def folder(tmp_path):
    """An image folder of three classes: four training images, two of test a class."""
    number = 0
    for part, count in (("train", TRAIN), ("val", TEST)):
        for label in range(CLASSES):
            inside = tmp_path / "photos" / part / f"c{label}"
            inside.mkdir(parents=True)
            for i in range(count):
                pixels(number := number + 1).save(inside / f"{part}_{label}_{i}.png")
    return tmp_path / "photos"


def config_of(folder, *splits, model=None, **options):
    splits = splits or ("train", "val", "test")
    dataset = dict(type="ImageFolder", data_root=str(folder), val_per_class=1, **options)
    loaders = {
        f"{loader}_dataloader": dict(dataset=dict(dataset, split=split))
        for loader, split in zip(("train", "val", "test"), splits, strict=False)
    }
    return {**loaders, "model": model or {"num_classes": CLASSES, "backbone": {"name": "resnet38.cifar100"}}}


def test_a_sound_folder_is_sound_and_counted(folder):
    report = check(config_of(folder))
    assert report.sound and report.remarks == [], (report.problems, report.remarks)
    assert [(row["split"], row["images"], row["fewest"], row["most"]) for row in report.rows] == [
        ("train", 9, 3, 3),
        ("val", 3, 1, 1),
        ("test", 6, 2, 2),
    ]
    assert {(row["classes"], row["min side"], row["max side"], row["channels"]) for row in report.rows} == {
        ("3 of 3", 20, 24, "3")
    }
    assert report.notes == ["always saying the largest class of training gets a top-1 of 33.3 on test"]


def test_every_file_that_cannot_be_decoded_is_named_once(folder):
    cut, text = folder / "train/c0/train_0_3.png", folder / "val/c1/val_1_0.png"
    cut.write_bytes(cut.read_bytes()[:-200])
    text.write_text("no image")
    report = check(config_of(folder))
    assert report.verdict == "not usable: 2 problems"
    for path in (cut, text):
        assert sum(f"{path}: cannot be decoded" in line for line in report.problems) == 1
    assert all("\n" not in line for line in report.problems)
    assert [row["images"] for row in report.rows] == [9, 3, 6]


def test_the_same_bytes_are_remarked_by_where_they_are(folder):
    same = (folder / "train/c0/train_0_2.png").read_bytes()
    (folder / "val/c0/val_0_1.png").write_bytes(same)
    (folder / "train/c1/train_1_2.png").write_bytes((folder / "train/c1/train_1_1.png").read_bytes())
    (folder / "train/c2/train_2_3.png").write_bytes((folder / "train/c1/train_1_3.png").read_bytes())
    within, across = check(config_of(folder)).remarks
    assert within.startswith("train: 2 images are there more than once, byte for byte, 1 of them with two labels: ")
    assert "train train_1_1.png = train train_1_2.png" in within
    assert (
        across
        == "train and test: 1 image is there more than once, byte for byte: train train_0_2.png = test val_0_1.png"
    )


def test_training_on_what_is_validated_is_remarked(folder):
    (line,) = check(config_of(folder, "trainval", "val")).remarks
    assert line.startswith("trainval and val: 3 images are there more than once")


@pytest.mark.parametrize(
    ("model", "lines"),
    [
        ({"num_classes": 10}, ["config key model.num_classes=10: train_dataloader.dataset has 3 classes"]),
        ({"num_classes": CLASSES, "backbone": {"in_channels": 1}}, ["config key model.backbone.in_channels: is for 1"]),
        ({"num_classes": CLASSES, "data_preprocessor": {"mean": [0.5]}}, ["model.data_preprocessor.mean: is for 1"]),
        ({"num_classes": CLASSES, "backbone": {"name": "no such card"}}, []),
    ],
)
def test_data_and_model_are_compared(folder, model, lines):
    problems = check(config_of(folder, "trainval", model=model)).problems
    assert len(problems) == len(lines)
    assert all(line in problem for line, problem in zip(lines, problems, strict=True))


def test_an_empty_class_a_missing_folder_and_other_problems_are_all_there(folder, tmp_path):
    for path in (folder / "val/c2").iterdir():
        path.unlink()
    config = config_of(folder)
    config["train_dataloader"]["dataset"]["data_root"] = str(tmp_path / "nowhere")
    report = check(config)
    assert len(report.problems) == 2 and [row["split"] for row in report.rows] == ["val"]
    assert "nowhere" in report.problems[0] and "holds no image" in report.problems[1] and "c2" in report.problems[1]


def test_grey_images_and_a_class_that_a_subset_leaves_out_are_remarks(folder):
    pixels(1, "L").save(folder / "train/c0/train_0_0.png")
    report = check(config_of(folder, "train", "val", "test", images=2))
    assert report.sound and sum("no image of" in line for line in report.remarks) == 3
    assert "1 of 6 files are grey and read as RGB: train_0_0.png" in report.remarks


def test_wrong_options_are_problems_not_tracebacks(folder):
    missing = {"train_dataloader": {"dataset": {"type": "ImageFolder"}}}
    unknown = {"train_dataloader": {"dataset": {"type": "ImageFolders"}}}
    for config, text in ((missing, "data_root"), (unknown, "ImageFolders"), (config_of(folder, "all"), "split='all'")):
        (problem,) = check(config).problems
        assert text in problem and "\n" not in problem


def test_any_data_set_with_labels_and_pixels_is_checked():
    @DATASETS.register_module(force=True)
    class Stripes(Dataset):
        labels = np.array([0, 1, 1])
        pixels = np.stack([np.zeros((1, 4, 5), np.uint8), *np.ones((2, 1, 4, 5), np.uint8)])

    report = check({"train_dataloader": {"dataset": {"type": "Stripes"}}})
    assert report.rows == [
        {
            **{"data": "Stripes", "split": "train", "images": 3, "classes": "2 of 2", "fewest": 1, "most": 2},
            **{"min side": 4, "max side": 5, "channels": "1"},
        }
    ]
    assert report.remarks == ["train: 1 image is there more than once, byte for byte: train 1 = train 2"]


@pytest.mark.parametrize("base", ["c100_resnet38_ean_se.py", "supernet/c100_resnet38_full_share_se.py"])
def test_the_command_on_cifar(base, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("cifar-100-python").mkdir()
    generator = np.random.default_rng(0)
    for part, count in (("train", 200), ("test", 100)):
        data = generator.integers(0, 256, (count, 3072), dtype=np.uint8)
        content = {"data": data, "fine_labels": [i % 100 for i in range(count)]}
        Path("cifar-100-python", part).write_bytes(pickle.dumps(content))
    names = [str(i) for i in range(100)]
    Path("cifar-100-python/meta").write_bytes(pickle.dumps({"fine_label_names": names}))
    options = [f"{loader}_dataloader.dataset.data_root={tmp_path / 'cifar-100-python'}" for loader in ("train", "test")]
    if base.startswith("supernet"):
        options += [f"{loader}_dataloader.dataset.val_per_class=1" for loader in ("train", "val")]
    main = runpy.run_path(str(ROOT / "tools/check_data.py"), run_name="tool")["main"]
    argv = [str(ROOT / "configs" / base), "--json", "--cfg-options", *options]
    assert run_command(main, argv) == 0
    splits = json.loads(capsys.readouterr().out)["splits"]
    trained = ("trainval (train)", 200) if base.startswith("c100") else ("train", 100)
    assert (splits[0]["split"], splits[0]["images"]) == trained and splits[-1]["images"] == 100
    Path("cifar-100-python/test").write_bytes(b"no pickle")
    assert run_command(main, argv) == 2
    assert "cifar-100-python/test: not a pickle" in capsys.readouterr().out


def test_digits():
    pytest.importorskip("sklearn")
    report = check(load_config(ROOT / "configs/supernet/digits_resnet38_full_share_se.py"))
    assert report.sound and [(row["images"], row["channels"]) for row in report.rows] == [
        (797, "1"),
        (500, "1"),
        (500, "1"),
    ]

"""tools/check_data.py: finds all problems at once, and gives a verdict."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from tasks.counting.check import check
from tasks.counting.dataset import CrowdDataset
from tasks.counting.layouts.shanghaitech import image_info
from tasks.counting.scenes import write_scenes

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    root = tmp_path_factory.mktemp("scenes") / "data"
    write_scenes(root, 10, seed=2)
    return root


@pytest.fixture
def scenes(sound, tmp_path):
    return Path(shutil.copytree(sound, tmp_path / "data"))


def config(root, **options):
    def loader(split):
        return {"dataset": {"type": "CrowdDataset", "data_root": str(root), "split": split, **options}}

    return {f"{split}_dataloader": loader(split) for split in ("train", "val", "test")}


def test_sound_data(scenes):
    report = check(config(scenes))
    assert report.problems == report.remarks == []
    assert [(row["split"], row["images"]) for row in report.rows] == [("train", 7), ("val", 1), ("test", 2)]
    assert report.verdict == "sound"


def test_every_problem_is_listed(scenes):
    images, truth = scenes / "train_data/images", scenes / "train_data/ground-truth"
    (truth / "GT_IMG_1.mat").unlink()
    (images / "IMG_2.jpg").unlink()
    (truth / "GT_IMG_3.mat").write_bytes(b"MATLAB 5.0")
    (images / "IMG_4.jpg").write_bytes((images / "IMG_4.jpg").read_bytes()[:300])
    report = check(config(scenes))
    assert not report.sound
    assert len(report.problems) == 4
    for name in ("IMG_1.jpg", "GT_IMG_2.mat", "GT_IMG_3.mat", "IMG_4.jpg"):
        assert sum(name in line for line in report.problems) == 1, name


def test_images_in_two_splits_are_remarked(scenes):
    shutil.copy(scenes / "train_data/images/IMG_5.jpg", scenes / "test_data/images/IMG_1.jpg")
    (line,) = check(config(scenes)).remarks
    assert "IMG_5" in line
    assert "test IMG_1" in line


def test_a_broken_image_does_not_hide_its_broken_points(scenes):
    image, truth = scenes / "train_data/images/IMG_2.jpg", scenes / "train_data/ground-truth/GT_IMG_2.mat"
    image.write_bytes(b"no image")
    truth.unlink()
    savemat(truth, {"image_info": image_info(np.array([[3.0, np.nan]]))})
    problems = check(config(scenes)).problems
    assert len(problems) == 2
    assert str(image) in problems[0]
    assert str(truth) in problems[1] and "nan" in problems[1]


def test_a_split_of_two_loaders_is_read_once(scenes):
    loaders = config(scenes)
    loaders["val_dataloader"] = loaders["test_dataloader"]
    report = check(loaders)
    assert [row["split"] for row in report.rows] == ["train", "test"]
    assert report.remarks == []


def test_training_on_test_images_is_remarked(scenes):
    loaders = config(scenes)
    loaders["train_dataloader"]["dataset"]["split"] = "all"
    remarks = check(loaders).remarks
    assert any(line.startswith("all and test have 2 images in common") for line in remarks)
    assert not any("byte for byte" in line for line in remarks)


def test_heads_outside_tell_the_release_as_the_data_set_does(scenes):
    root = scenes.rename(scenes.with_name("part_A"))
    assert {row["data"] for row in check(config(root)).rows} == {"ShanghaiTech A (2016)"}
    savemat(
        root / "test_data/ground-truth/GT_IMG_1.mat", {"image_info": image_info(np.array([[9.0, 9.0], [9e3, 5.0]]))}
    )
    report = check(config(root))
    assert report.sound
    assert CrowdDataset(root, split="test").metainfo["release"] == "2015"
    assert report.rows[-1]["data"] == "ShanghaiTech A (2015)"
    assert any("test: 1 points outside" in line for line in report.remarks)


def test_a_loader_without_data_root_is_named():
    (problem,) = check({"train_dataloader": {"dataset": {"type": "CrowdDataset"}}}).problems
    assert "train_dataloader.dataset" in problem and "data_root" in problem


def test_missing_data(tmp_path):
    report = check(config(tmp_path / "nowhere"))
    assert len(report.problems) == 1
    assert "nowhere" in report.problems[0]


def test_the_command(scenes, command):
    options = [f"{s}_dataloader.dataset.data_root={scenes}" for s in ("train", "val", "test")]
    done = command("check_data.py", "sample_ean_se", "--json", "--cfg-options", *options)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["sound"] is True
    (scenes / "train_data/ground-truth/GT_IMG_1.mat").unlink()
    done = command("check_data.py", "sample_ean_se", "--cfg-options", *options)
    assert done.returncode == 2
    assert "GT_IMG_1.mat" in done.stdout
    assert "not usable: 1 problems" in done.stdout


@pytest.mark.real_data
def test_the_leak_of_part_a_is_seen(real_data):
    report = check(config(real_data / "ShanghaiTech/part_A"))
    assert report.sound
    assert any("train IMG_121" in line and "test IMG_98" in line for line in report.remarks)
    assert sum(row["people"] for row in report.rows) == 162_413 + 78_862

import json

import numpy as np
import pytest
from mmengine.config import Config
from PIL import Image
from segmentation_files import CONFIGS, write_config, write_list, write_mask, write_sample

from tasks.segmentation.check import check

pytestmark = pytest.mark.slow


def config_of(root, **options):
    loaders = {}
    for loader, listed in (("train", "train"), ("val", "val"), ("test", "val")):
        dataset = dict(data_root=str(root), ann_file=f"ImageSets/Segmentation/{listed}.txt", **options)
        loaders[f"{loader}_dataloader"] = dict(dataset=dataset)
    return loaders


def test_sound_data_are_sound_and_counted(voc):
    report = check(config_of(voc))
    assert report.sound, report.problems
    assert [(row["split"], row["images"], row["classes"]) for row in report.rows] == [
        ("train (train.txt)", 4, "5 of 21"),
        ("val (val.txt)", 3, "4 of 21"),
    ]
    masks = [np.asarray(Image.open(voc / "SegmentationClass" / f"2007_{i:06d}.png")) for i in range(4)]
    ignored = 100 * np.mean([mask == 255 for mask in masks])
    assert report.rows[0]["ignored %"] == pytest.approx(ignored, abs=0.01)
    assert any("no pixel of cat" in line or "cat, " in line for line in report.remarks)


def test_everything_that_is_wrong_is_named_at_once(voc):
    write_list(voc, "train", [f"2007_{i:06d}" for i in range(4)] + ["2011_000001", "2011_000002"])
    write_sample(voc, "2011_000002", (40, 56), 3)
    (voc / "SegmentationClass" / "2011_000002.png").unlink()
    ids = np.zeros((40, 56))
    ids[0, 0] = 30
    write_mask(voc / "SegmentationClass" / "2007_000000.png", ids)
    write_mask(voc / "SegmentationClass" / "2007_000001.png", np.zeros((56, 40)))
    Image.fromarray(np.zeros((40, 56, 3), np.uint8)).save(voc / "SegmentationClass" / "2007_000002.png")
    image = voc / "JPEGImages" / "2007_000003.jpg"
    image.write_bytes(image.read_bytes()[:-200])
    report = check(config_of(voc))
    assert not report.sound and report.verdict == "not usable: 7 problems"
    for part in (
        "2011_000001.jpg: the image is missing",
        "2011_000001.png: the mask is missing",
        "2011_000002.png: the mask is missing",
        "2007_000000.png: holds the class ids 30, expected 0 to 20",
        "2007_000001.png: the mask is 40x56, its image 56x40",
        "2007_000002.png: its pixels are colours",
        "2007_000003.jpg: cannot be decoded",
    ):
        assert sum(part in line for line in report.problems) == 1, part
    assert all("\n" not in line for line in report.problems)


def test_fewer_classes_make_ids_wrong(voc):
    report = check(config_of(voc, metainfo=dict(classes=["a", "b", "c"])))
    assert len(report.problems) == 5 and "expected 0 to 2" in report.problems[0]


def test_an_ignored_id_that_is_a_class_is_a_remark_and_one_that_no_mask_holds_a_problem(voc):
    report = check(config_of(voc, ignore_index=20))
    assert "ignore_index=20 is the class 'tvmonitor', which is neither trained nor counted" in report.remarks
    (problem,) = check(config_of(voc, ignore_index=300)).problems
    assert "ignore_index=300: expected" in problem


def test_a_missing_list_does_not_hide_the_other_one(voc):
    (voc / "ImageSets" / "Segmentation" / "train.txt").unlink()
    report = check(config_of(voc))
    assert len(report.problems) == 1 and "train.txt: no such list" in report.problems[0] and len(report.rows) == 1


def test_a_image_in_train_and_val_is_a_remark(voc):
    write_list(voc, "val", ["2007_000001", "2007_000005"])
    report = check(config_of(voc))
    assert report.sound and any("2007_000001: 1 images are in train and val" in line for line in report.remarks)


def test_the_command_gives_a_verdict(command, voc, tmp_path):
    write_config(tmp_path, voc)
    done = command("check_data.py", "tiny.py", "--json")
    assert done.returncode == 0 and json.loads(done.stdout)["sound"] is True
    write_mask(voc / "SegmentationClass" / "2007_000005.png", np.full((40, 56), 99))
    done = command("check_data.py", "tiny.py")
    assert done.returncode == 2 and "99" in done.stdout and "not usable: 1 problems" in done.stdout


@pytest.mark.real_data
def test_real_data_are_sound(real_data, monkeypatch):
    monkeypatch.setenv("TRANSFER_DATA", str(real_data))
    report = check(Config.fromfile(CONFIGS / "voc_small_resnet.py", import_custom_modules=False))
    assert report.sound, report.problems[:3]
    assert [row["images"] for row in report.rows] == [294, 146]
    assert report.rows[0]["longest side"] <= 276 and report.rows[0]["classes"] == "21 of 21"

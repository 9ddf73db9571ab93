"""Training and testing as a user types them."""

import json
import shutil

import numpy as np
import pytest
import torch
from PIL import Image
from segmentation_files import write_config, write_list, write_mask

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning")]


@pytest.fixture
def config(tmp_path, voc):
    return write_config(tmp_path, voc)


def test_training_testing_and_an_exact_continuation(command, config, tmp_path):
    done = command("train.py", "tiny.py", "--seed", 3)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "iteration 4/4" in done.stdout and "miou" in done.stdout and not done.stderr, done.stderr
    work = tmp_path / "work_dirs" / "tiny"
    assert (work / "curve.png").is_file() and list(work.glob("*/vis_data/vis_image/*.png"))
    again = tmp_path / "again"
    again.mkdir()
    shutil.copy(work / "iter_2.pth", again)
    assert command("train.py", "tiny.py", "--work-dir", again, "--resume").returncode == 0
    expected, found = (torch.load(p / "iter_4.pth", weights_only=True) for p in (work, again))
    assert expected["meta"]["dataset_meta"]["classes"][0] == "background"
    for key, tensor in expected["state_dict"].items():
        assert torch.equal(found["state_dict"][key], tensor), key

    plain = command("test.py", "tiny.py", work / "iter_4.pth", "--out", "plain.json")
    averaged = command("test.py", "tiny.py", work / "iter_4.pth", "--out", "tta.json", "--tta")
    assert plain.returncode == averaged.returncode == 0, averaged.stderr[-3000:]
    assert "tvmonitor" in plain.stdout and plain.stdout.splitlines()[-1].startswith("miou ")
    record = json.loads((tmp_path / "plain.json").read_text())
    metrics = record["metrics"]
    assert {"miou", "macc", "aacc", "iou", "acc"} <= set(metrics) and len(metrics["iou"]) == 21
    known = [value for value in metrics["iou"].values() if value is not None]
    assert metrics["miou"] == pytest.approx(np.mean(known))
    assert record["data"]["images"] == 3 and record["data"]["list"] == "val.txt" and record["tta"] is False
    assert json.loads((tmp_path / "tta.json").read_text())["tta"] is True

    other = "model['decode_head']['num_classes'] = model['auxiliary_head']['num_classes'] = 2\n"
    other += "for loader in (train_dataloader, val_dataloader):\n"
    other += "    loader['dataset']['metainfo'] = dict(classes=['a', 'b'])\n"
    write_config(tmp_path, tmp_path / "VOC2012", "two", other)
    done = command("test.py", "two.py", work / "iter_4.pth", "--out", "two.json")
    assert done.returncode == 2 and done.stderr.count("\n") == 1 and not (tmp_path / "two.json").exists()
    assert "conv_seg" in done.stderr and "(21, " in done.stderr and "(2, " in done.stderr


def _small_mask(voc):
    for name in range(4):
        write_mask(voc / "SegmentationClass" / f"2007_{name:06d}.png", np.zeros((40, 55)))


def _wrong_id(voc):
    for name in range(4):
        write_mask(voc / "SegmentationClass" / f"2007_{name:06d}.png", np.full((40, 56), 77))


def _rgb_mask(voc):
    for name in range(4):
        Image.fromarray(np.zeros((40, 56, 3), np.uint8)).save(voc / "SegmentationClass" / f"2007_{name:06d}.png")


def _missing(voc):
    write_list(voc, "train", ["2007_000000", "2011_000003"])


@pytest.mark.parametrize(
    ("spoil", "options", "line"),
    [
        (_small_mask, (), ".png: the mask is 55x40, expected 56x40"),
        (_wrong_id, (), ".png: holds the class ids 77, expected 0 to 20"),
        (_rgb_mask, (), "its pixels are colours"),
        (_missing, (), "train.txt: names '2011_000003', but"),
        (
            None,
            ("model.decode_head.num_classes=5",),
            "model.decode_head.num_classes=5: train_dataloader.dataset has 21",
        ),
        (None, ("model.auxiliary_head.num_classes=5",), "model.auxiliary_head.num_classes=5"),
        (None, ("train_dataloader.batch_size=1",), "PSPHead (model.decode_head) normalises maps of 1x1"),
        (None, ("train_dataloader.dataset.pipeline.2.crop_size=(4,4)",), "smaller than the backbone's stride 8"),
        (None, ("model.decode_head.num_clases=5",), "Did you mean 'num_classes'"),
        (None, ("train_dataloader.dataset.annfile=x",), "Did you mean 'ann_file'"),
        (None, ("model.decode_head.type=PSPHed",), "Did you mean 'PSPHead'"),
    ],
)
def test_wrong_input_is_one_line_and_leaves_nothing(command, config, tmp_path, voc, spoil, options, line):
    if spoil:
        spoil(voc)
    options = ("--cfg-options", *options) if options else ()
    before = {path.name for path in tmp_path.iterdir()}
    done = command("train.py", "tiny.py", *options)
    assert done.returncode == 2, done.stderr[-3000:]
    assert line in done.stderr and done.stderr.count("\n") == 1, done.stderr
    assert {path.name for path in tmp_path.iterdir()} - {"__pycache__"} == before


def test_tta_without_a_pipeline_for_it_is_one_line(command, config, tmp_path):
    (tmp_path / "bare.py").write_text('_base_ = "tiny.py"\ntta_pipeline = None\n')
    done = command("test.py", "bare.py", "none.pth", "--tta")
    assert done.returncode == 2 and "tta_pipeline" in done.stderr and done.stderr.count("\n") == 1

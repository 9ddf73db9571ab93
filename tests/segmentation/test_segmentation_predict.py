import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.registry import MODELS
from PIL import Image
from segmentation_files import write_config

from tasks.segmentation.predict import classes_of
from tasks.segmentation.visualize import overlay, with_legend
from transfer.engine.config_check import load_config

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("mmseg_scope")]


@pytest.fixture
def files(tmp_path, voc, command):
    """A config, a checkpoint and images of two sizes in the current folder."""
    torch.manual_seed(0)
    config = load_config(write_config(tmp_path, voc))
    model = MODELS.build(config.model)
    torch.nn.init.normal_(model.decode_head.conv_seg.weight)
    torch.save({"state_dict": model.state_dict(), "meta": {}}, "tiny.pth")
    Path("images").mkdir()
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 256, (80, 56, 3), np.uint8)).save("images/b.png")
    Image.fromarray(rng.integers(0, 256, (16, 24), np.uint8)).save("images/a.jpg")
    return model.eval()


def test_images_become_overlays_masks_and_shares(files, command):
    done = command("predict.py", "tiny.py", "tiny.pth", "images", "--out", "results/run")
    assert done.returncode == 0 and not done.stderr, done.stderr[-2000:]
    assert sorted(p.name for p in Path("results/run").iterdir()) == [
        "a_mask.png",
        "a_segmentation.png",
        "b_mask.png",
        "b_segmentation.png",
        "predictions.json",
    ]
    rows = json.loads(Path("results/run/predictions.json").read_text())["predictions"]
    assert [(row["width"], row["height"]) for row in rows] == [(24, 16), (56, 80)]
    assert len(done.stdout.splitlines()) == 2 and done.stdout.startswith("images/a.jpg: ")
    for row in rows:
        mask = Image.open(Path("results/run") / row["mask"])
        assert mask.mode == "P" and mask.size == (row["width"], row["height"])
        assert sum(row["shares"].values()) == pytest.approx(1, abs=1e-4)
        drawn = cv2.imread(str(Path("results/run") / row["overlay"]))
        assert drawn.shape[0] > row["height"] and drawn.shape[1] >= row["width"]


def test_the_mask_is_what_the_model_says(files, command):
    command("predict.py", "tiny.py", "tiny.pth", "images/b.png", "--out", "out")
    image = cv2.imread("images/b.png")
    small = cv2.resize(image, (39, 56))[..., ::-1].astype(np.float32)  # longest side 56
    mean, std = (files.data_preprocessor.get_buffer(k).flatten().numpy() for k in ("mean", "std"))
    x = torch.from_numpy(((small - mean) / std).transpose(2, 0, 1).copy())[None]
    with torch.no_grad():
        logits = files(x, mode="tensor")
        for size in ((56, 39), (80, 56)):
            logits = torch.nn.functional.interpolate(logits, size, mode="bilinear", align_corners=False)
    found = np.asarray(Image.open("out/b_mask.png"))
    assert (found == logits.argmax(1)[0].numpy()).mean() > 0.999
    assert len(np.unique(found)) > 1


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("tiny.py", "tiny.pth", "nowhere.jpg"), "nowhere.jpg"),
        (("tiny.py", "missing.pth", "images"), "missing.pth"),
        (("tiny.py", "other.pth", "images"), "other.pth"),
        (("tiny.py", "tiny.pth", "images/a.jpg", "cut.jpg"), "cut.jpg"),
    ],
)
def test_wrong_input_is_one_line_and_leaves_nothing(files, command, arguments, named):
    torch.save({"state_dict": {"weight": torch.zeros(1)}, "meta": {}}, "other.pth")
    Path("cut.jpg").write_bytes(Path("images/a.jpg").read_bytes()[:-40])
    done = command("predict.py", *arguments, "--out", "out")
    assert done.returncode == 2 and not Path("out").exists() and not list(Path().glob(".out*"))
    assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1 and named in done.stderr


def test_an_overlay_blends_colours_and_leaves_background_alone():
    image = np.full((4, 6, 3), 100, np.uint8)
    ids = np.zeros((4, 6), np.uint8)
    ids[:, 3:] = 1
    ids[0, 5] = 255
    drawn = overlay(image, ids, [(0, 0, 0), (200, 0, 0)])
    assert (drawn[:, :3] == 100).all() and (drawn[0, 5] == 100).all()
    assert (drawn[1:, 3:] == (155, 45, 45)).all()


def test_a_legend_names_what_is_there_and_nothing_else(monkeypatch):
    written = []
    real = cv2.putText
    monkeypatch.setattr(cv2, "putText", lambda image, text, *rest: written.append(text) or real(image, text, *rest))
    ids = np.zeros((10, 10), np.uint8)
    ids[:2] = 2
    drawn = with_legend(np.zeros((10, 10, 3), np.uint8), ids, ("sky", "sea", "land"), [(9, 9, 9)] * 3)
    assert written == ["sky 80.0 %", "land 20.0 %"] and drawn.shape[0] > 10


def test_names_come_from_the_checkpoint_then_the_config_then_voc(files):
    config = load_config("tiny.py")
    own = {"meta": {"dataset_meta": {"classes": ["sky", "sea"], "palette": [[1, 2, 3], [4, 5, 6]]}}}
    assert classes_of(config, own, 2) == (("sky", "sea"), [(1, 2, 3), (4, 5, 6)])
    assert classes_of(config, {}, 21)[0][15] == "person"
    names, colours = classes_of(config, {}, 30)
    assert names[29] == "class 29" and len(set(colours)) == 30 and colours[1] == (128, 0, 0)

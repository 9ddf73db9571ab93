import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from checkpoint_files import save_checkpoint
from mmengine.registry import MODELS
from PIL import Image
from segmentation_files import write_config

from tasks.segmentation import visualize
from tasks.segmentation.predict import classes_of, truth_of
from tasks.segmentation.visualize import overlay, panels
from transfer.engine.config_check import load_config

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("mmseg_scope")]


@pytest.fixture
def files(tmp_path, voc, command):
    """A config, a checkpoint and images of two sizes in the current folder."""
    torch.manual_seed(0)
    config = load_config(write_config(tmp_path, voc))
    model = MODELS.build(config.model)
    torch.nn.init.normal_(model.decode_head.conv_seg.weight)
    save_checkpoint({"state_dict": model.state_dict(), "meta": {}}, "tiny.pth")
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
        (("tiny.py", "tiny.pth", "cut.jpg"), "cut.jpg"),
        (("tiny.py", "tiny.pth", "images", "--grid", "2x2"), "--grid"),
        (("tiny.py", "tiny.pth", "clip.mp4"), "clip.mp4"),
    ],
)
def test_wrong_input_is_one_line_and_leaves_nothing(files, command, arguments, named):
    save_checkpoint({"state_dict": {"weight": torch.zeros(1)}, "meta": {}}, "other.pth")
    Path("cut.jpg").write_bytes(Path("images/a.jpg").read_bytes()[:-40])
    Path("clip.mp4").touch()
    done = command("predict.py", *arguments, "--out", "out")
    assert done.returncode == 2 and not Path("out").exists() and not list(Path().glob("*out*"))
    assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1 and named in done.stderr


def test_an_overlay_blends_colours_and_leaves_background_alone():
    image = np.full((4, 6, 3), 100, np.uint8)
    ids = np.zeros((4, 6), np.uint8)
    ids[:, 3:] = 1
    ids[0, 5] = 255
    drawn = overlay(image, ids, [(0, 0, 0), (200, 0, 0)])
    assert (drawn[:, :3] == 100).all() and (drawn[0, 5] == 100).all()
    assert (drawn[1:, 3:] == (155, 45, 45)).all()


def test_one_bad_image_costs_itself_alone(files, command):
    Path("images/cut.jpg").write_bytes(Path("images/a.jpg").read_bytes()[:-40])
    Image.new("RGB", (1, 3000)).save("images/slim.png")
    done = command("predict.py", "tiny.py", "tiny.pth", "images", "--out", "out", "--no-overlay")
    assert done.returncode == 2 and len(done.stdout.splitlines()) == 2
    assert [line.split(":")[1] for line in done.stderr.splitlines() if line.startswith("error: ")] == [
        " images/cut.jpg",
        " images/slim.png",
    ]
    record = json.loads(Path("out/predictions.json").read_text())
    assert [row["image"] for row in record["failed"]] == ["images/cut.jpg", "images/slim.png"]
    assert sorted(p.name for p in Path("out").iterdir()) == ["a_mask.png", "b_mask.png", "predictions.json"]
    done = command("predict.py", "tiny.py", "tiny.pth", "images/a.jpg", "--out", "out")
    assert done.returncode == 2 and "--overwrite" in done.stderr


@pytest.fixture
def written(monkeypatch):
    """The texts on images."""
    texts, real = [], visualize.write
    monkeypatch.setattr(visualize, "write", lambda image, text, *rest: texts.append(text) or real(image, text, *rest))
    return texts


CLASSES, COLOURS = ("sky", "sea", "land", "ship"), [(9, 9, 9), (200, 0, 0), (0, 200, 0), (0, 0, 200)]


def test_photograph_truth_and_prediction_stand_side_by_side(written):
    image, ids = np.full((40, 60, 3), (100, 90, 80), np.uint8), np.zeros((40, 60), np.uint8)
    truth = ids.copy()
    ids[:8], truth[:20], truth[39] = 2, 3, 255
    three, two = panels(image, ids, CLASSES, COLOURS, truth), panels(image, ids, CLASSES, COLOURS)
    assert written[:6] == ["input", "ground truth", "prediction", "sky 80.0 %", "land 20.0 %", "ship 0.0 %"]
    assert written[6:] == ["input", "prediction", "sky 80.0 %", "land 20.0 %"]
    width = two.shape[1] // 2
    assert three.shape[1] == 3 * width and width >= 60
    land, ship = ((three == overlay(image, np.full_like(ids, i), COLOURS)[0, 0]).all(-1) for i in (2, 3))
    assert ship[:, width : 2 * width].sum() == 20 * 60 == ship.sum()
    assert land[:, 2 * width :].sum() == 8 * 60 == land.sum()
    assert (three[:, :width] == image[0, 0]).all(-1).sum() == 40 * 60


def test_large_panels_are_bounded_unless_asked_for():
    image, ids = np.zeros((30, 1500, 3), np.uint8), np.zeros((30, 1500), np.uint8)
    assert (
        panels(image, ids, CLASSES, COLOURS).shape[1]
        < 2100
        < 3000
        < panels(image, ids, CLASSES, COLOURS, longest=None).shape[1]
    )


def test_the_truth_is_that_of_the_configs_test_images(files, voc):
    config = load_config("tiny.py")
    image = sorted((voc / "JPEGImages").iterdir())[0]
    with Image.open(voc / "SegmentationClass" / f"{image.stem}.png") as mask:
        expected = np.asarray(mask)
    assert (truth_of(config, image, expected.shape) == expected).all()
    assert truth_of(config, image, (3, 3)) is None
    assert truth_of(config, Path("images/b.png"), expected.shape) is None
    (voc / "SegmentationClass" / f"{image.stem}.png").unlink()
    assert truth_of(config, image, expected.shape) is None


def test_names_come_from_the_checkpoint_then_the_config_then_voc(files):
    config = load_config("tiny.py")
    own = {"dataset_meta": {"classes": ["sky", "sea"], "palette": [[1, 2, 3], [4, 5, 6]]}}
    assert classes_of(config, own, 2) == (("sky", "sea"), [(1, 2, 3), (4, 5, 6)])
    assert classes_of(config, {}, 21)[0][15] == "person"
    names, colours = classes_of(config, {}, 30)
    assert names[29] == "class 29" and len(set(colours)) == 30 and colours[1] == (128, 0, 0)


def test_a_large_image_is_segmented_smaller_and_its_mask_enlarged(files, monkeypatch):
    from tasks.segmentation import predict, predictor

    loaded = predictor.load(load_config("tiny.py"), "tiny.pth")
    small = np.random.default_rng(1).integers(0, 256, (40, 56, 3), np.uint8)
    expected = predictor.predict_image(loaded, small).mask
    monkeypatch.setattr(predict, "MAX_PIXELS", small.shape[0] * small.shape[1])
    found = predictor.predict_image(loaded, np.kron(small, np.ones((2, 2, 1), np.uint8))).mask
    np.testing.assert_array_equal(found, np.kron(expected, np.ones((2, 2), np.uint8)))
    assert len(np.unique(found)) > 1


@pytest.mark.parametrize("options", [{"to_float32": True}, {"color_type": "grayscale"}])
def test_a_loader_of_the_config_is_heeded(files, monkeypatch, options):
    from tasks.segmentation import predict

    config, seen = load_config("tiny.py"), []
    pipeline = config.test_dataloader.dataset.pipeline
    (place,) = [number for number, step in enumerate(pipeline) if step["type"] in predict.LOADERS]
    pipeline[place] = {"type": "LoadImageFromFile", **options}

    def segmented(model, pipeline, image, where):
        seen.append(image)
        return np.zeros(image.shape[:2], np.uint8)

    monkeypatch.setattr(predict, "predict_loaded", segmented)
    predict.predict(config, "tiny.pth", ["images/b.png"], out="out")
    grey = "color_type" in options
    expected = cv2.imread("images/b.png", cv2.IMREAD_GRAYSCALE if grey else cv2.IMREAD_COLOR)
    np.testing.assert_array_equal(seen[0].squeeze(), expected)
    assert seen[0].dtype == (np.uint8 if grey else np.float32)

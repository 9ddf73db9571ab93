from types import SimpleNamespace

import cv2
import matplotlib
import numpy as np
import pytest
import torch
from counting_tiny import batch, counter

from tasks.counting.hooks import DensityPictureHook, draw_sample
from tasks.counting.visualize import COLORMAP, overlay, panels
from transfer.engine.curve import CurvePictureHook


def test_panels_show_input_truth_and_prediction_side_by_side():
    image = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    density = np.zeros((5, 8), np.float32)
    three = panels(image, density, 0.0, density, 3, width=120)
    two = panels(image, density, 0.0, width=120)
    assert three.dtype == np.uint8 and three.shape[1] == 3 * 120 + 2 * 8 and two.shape[1] == 2 * 120 + 8
    assert three.shape[0] == two.shape[0]


def test_panels_name_both_counts(monkeypatch):
    written = []
    monkeypatch.setattr(cv2, "putText", lambda image, text, *args: written.append(text))
    density = np.full((1, 1), 2.0, np.float32)
    panels(np.zeros((8, 8, 3), np.uint8), density, 12.34, density, 13)
    assert any("13" in text for text in written) and any("predicted: 12.3" in text for text in written)
    assert any("2 people per 8 x 8 px" in text for text in written)


def test_captions_name_what_the_model_counts(monkeypatch):
    written = []
    monkeypatch.setattr(cv2, "putText", lambda image, text, *args: written.append(text))
    data = batch((16, 24))
    with torch.no_grad():
        (sample,) = counter(noun="cells").eval().test_step(data)
    draw_sample(data["inputs"][0].permute(1, 2, 0).numpy(), sample)
    assert any("cells per" in text for text in written) and any(text.endswith(" cells") for text in written)
    assert not any("people" in text for text in written)


def test_an_overlay_is_grey_where_nobody_is_and_coloured_where_many_are():
    image = np.full((16, 20, 3), (200, 100, 50), np.uint8)
    density = np.zeros((2, 3), np.float32)
    density[1, 2] = 4.0
    shown = overlay(image, density, 8, top=4.0).astype(int)
    assert shown.shape == image.shape
    grey = 0.299 * 200 + 0.587 * 100 + 0.114 * 50
    low, high = (np.array(matplotlib.colormaps[COLORMAP](v)[:3]) * 255 for v in (0.0, 1.0))
    assert np.abs(shown[:8] - (0.65 * grey + 0.35 * low)).max() <= 1.5
    assert np.abs(shown[8:, 16:] - (0.05 * grey + 0.95 * high)).max() <= 1.5
    assert np.abs(shown[8:, :16] - shown[0, 0]).max() == 0


def test_the_colour_map_rises_evenly_in_lightness():
    colours = np.array([matplotlib.colormaps[COLORMAP](v)[:3] for v in np.linspace(0, 1, 32)])
    assert (np.diff(colours @ (0.299, 0.587, 0.114)) > 0).all()


@pytest.mark.parametrize("shape", [(7, 500), (500, 7), (1, 1)])
def test_odd_images_can_be_drawn(shape):
    density = np.zeros((-(-shape[0] // 8), -(-shape[1] // 8)), np.float32)
    assert panels(np.zeros((*shape, 3), np.uint8), density, 0.0, width=64).size


class Shown:
    """Stands in for mmengine's visualizer: remembers what it is given."""

    def __init__(self):
        self.images = {}

    def add_image(self, name, image, step):
        self.images[name, step] = image


def validated(hook, work_dir, epoch="val"):
    """Runs a hook over one validation of two images; returns the runner."""
    runner = SimpleNamespace(visualizer=Shown(), iter=20, work_dir=str(work_dir), experiment_name="tiny_2026_01")
    model = counter().eval()
    getattr(hook, f"before_{epoch}_epoch")(runner)
    for number in range(2):
        data = batch((16, 24), seed=number)
        data["data_samples"][0].set_metainfo({"image_id": f"IMG_{number}"})
        if number == 1:
            del data["data_samples"][0].density  # validation pipelines make none
        with torch.no_grad():
            getattr(hook, f"after_{epoch}_iter")(runner, number, data, model.test_step(data))
    getattr(hook, f"after_{epoch}_epoch")(runner, {"mae": 1.0})
    return runner


@pytest.mark.parametrize(("images", "expected"), [(0, 0), (1, 1), (5, 2)])
def test_density_images_of_the_first_validation_images_are_shown(tmp_path, images, expected):
    shown = validated(DensityPictureHook(images=images), tmp_path).visualizer.images
    assert [key for key in shown] == [(f"val_IMG_{n}", 20) for n in range(expected)]
    assert all(image.dtype == np.uint8 and image.shape[1] == 3 * 480 + 16 for image in shown.values())


def test_density_images_of_tests_are_an_option(tmp_path):
    validated(DensityPictureHook(), tmp_path, "test")
    assert not list(tmp_path.iterdir())
    validated(DensityPictureHook(test_images=1), tmp_path, "test")
    assert [p.name for p in (tmp_path / "pictures").iterdir()] == ["IMG_0.png"]
    assert cv2.imread(str(tmp_path / "pictures/IMG_0.png")).shape[1] == 3 * 480 + 16


def test_the_curve_is_drawn_after_a_validation_where_there_is_one(tmp_path):
    validated(CurvePictureHook(), tmp_path)
    assert not (tmp_path / "curve.png").exists()
    (tmp_path / "curve.jsonl").write_text('{"iter": 20, "val": {"mae": 30.0}}\n')
    validated(CurvePictureHook(), tmp_path)
    assert (tmp_path / "curve.png").exists()

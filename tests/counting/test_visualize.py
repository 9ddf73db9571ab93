from types import SimpleNamespace

import cv2
import matplotlib
import numpy as np
import pytest
import torch
from counting_tiny import batch, counter

from tasks.counting import visualize
from tasks.counting.hooks import DensityPictureHook, draw_sample
from tasks.counting.visualize import COLORMAP, OPACITY, drawing, overlay, panels
from transfer.engine.curve import CurvePictureHook


def test_panels_show_input_truth_and_prediction_side_by_side():
    image = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    density = np.zeros((5, 8), np.float32)
    three = panels(image, density, 0.0, density, 3, width=120)
    two = panels(image, density, 0.0, width=120)
    assert three.dtype == np.uint8 and three.shape[1] == 3 * 120 + 2 * 8 and two.shape[1] == 2 * 120 + 8
    assert three.shape[0] == two.shape[0]


@pytest.fixture
def written(monkeypatch):
    """The texts on images."""
    texts = []
    monkeypatch.setattr(visualize, "write", lambda image, text, *rest, **options: texts.append(text))
    return texts


def test_panels_name_both_counts(written):
    density = np.full((1, 1), 2.0, np.float32)
    panels(np.zeros((8, 8, 3), np.uint8), density, 12.34, density, 13)
    assert any("13" in text for text in written) and any("predicted: 12.3" in text for text in written)
    assert any("2 people per 8 x 8 px" in text for text in written)


def test_captions_name_what_the_model_counts(written):
    data = batch((16, 24))
    with torch.no_grad():
        (sample,) = counter(noun="cells").eval().test_step(data)
    draw_sample(data["inputs"][0].permute(1, 2, 0).numpy(), sample)
    assert any("cells per" in text for text in written) and any(text.endswith(" cells") for text in written)
    assert not any("people" in text for text in written)


def grey_of(image):
    return np.round(image @ np.array([0.299, 0.587, 0.114]))[..., None]


def test_an_overlay_is_the_grey_photograph_where_nobody_is():
    image = np.random.default_rng(0).integers(0, 256, (19, 37, 3), np.uint8)
    shown = overlay(image, np.zeros((3, 5), np.float32), 8, top=4.0)
    assert shown.shape == image.shape and np.abs(shown - grey_of(image)).max() <= 1
    negative = overlay(image, np.full((3, 5), -1.0, np.float32), 8, top=4.0)
    assert (negative == shown).all()


def test_an_overlay_is_coloured_by_density_and_smooth():
    image = np.full((32, 48, 3), 255, np.uint8)
    full = overlay(image, np.full((4, 6), 4.0, np.float32), 8, top=4.0).astype(float)
    assert (
        np.abs(full - (255 * (1 - OPACITY) + OPACITY * 255 * np.array(matplotlib.colormaps[COLORMAP](1.0)[:3]))).max()
        <= 1
    )
    density = np.zeros((4, 6), np.float32)
    density[1, 4] = 4.0
    away = np.abs(overlay(image, density, 8, top=4.0).astype(float) - 255).sum(-1)
    assert np.unravel_index(away.argmax(), away.shape)[0] // 8 == 1 and (away[:, :16] == 0).all()
    middle = away[8:16, 32:40].mean()
    assert all(away[part].mean() < middle / 3 for part in (np.s_[24:, 32:40], np.s_[8:16, 16:24]))
    line = overlay(image, np.linspace(0, 4, 6, dtype=np.float32)[None].repeat(4, 0), 8, top=4.0)[16].astype(float)
    assert np.abs(np.diff(line, axis=0)).max() < 32  # no steps at the borders of cells


def test_a_drawing_has_the_images_size_a_title_and_the_scale(written):
    image = np.zeros((400, 500, 3), np.uint8)
    density = np.full((50, 63), 0.5, np.float32)
    square = [(100, 100), (300, 100), (300, 300), (100, 300)]
    drawn = drawing(image, density, "a.jpg   12.3 people", stride=8, top=2.0, outlines=[("gate: 3.1", square)])
    assert drawn.shape[1] == 500 and 400 < drawn.shape[0] < 500
    assert written == ["gate: 3.1", "a.jpg   12.3 people", "0", "2 people per 8 x 8 px"]
    plain = drawing(image, density, "", stride=8, top=2.0)
    assert (drawn != plain).any(-1).sum() >= 800  # the outline
    lower = drawing(image, density, "", stride=8, top=0.5)
    assert lower[200, 250].sum() > plain[200, 250].sum()  # one density, two scales
    marked = drawing(image, density, "", stride=8, top=2.0, points_xy=np.array([[250.0, 150.0]]))
    rows, columns = np.nonzero((marked != plain).any(-1))
    assert abs(columns.mean() - 250) < 1 and abs(rows.mean() - 150 - (drawn.shape[0] - 400 - 34)) < 1


@pytest.mark.parametrize("longest", [None, 300])
def test_drawings_of_large_images_are_bounded(longest):
    image = np.zeros((200, 1000, 3), np.uint8)
    drawn = drawing(image, np.ones((25, 125), np.float32), "a", stride=8, longest=longest)
    assert drawn.shape[1] == (1000 if longest is None else 360)  # a title needs some room
    assert drawn.shape[0] - (200 if longest is None else 60) < 80


def test_a_map_without_anybody_is_no_crowd(written):
    drawing(np.zeros((80, 400, 3), np.uint8), np.full((10, 50), 1e-4, np.float32), "a", stride=8)
    assert "0.05 people per 8 x 8 px" in written


def test_the_colour_map_rises_evenly_in_lightness():
    colours = np.array([matplotlib.colormaps[COLORMAP](v)[:3] for v in np.linspace(0, 1, 32)])
    assert (np.diff(colours @ (0.299, 0.587, 0.114)) > 0).all()


@pytest.mark.parametrize("shape", [(7, 500), (500, 7), (1, 1), (20_000, 1), (1, 20_000), (40_000, 2)])
def test_odd_images_can_be_drawn(shape):
    density, image = np.zeros((-(-shape[0] // 8), -(-shape[1] // 8)), np.float32), np.zeros((*shape, 3), np.uint8)
    drawn = panels(image, density, 0.0, width=64)
    assert drawn.shape[1] == 2 * 64 + 8 and drawn.shape[0] < 300
    for longest in (2000, None):
        assert max(drawing(image, density, "a", stride=8, longest=longest).shape) <= (longest or 30_000) + 100


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

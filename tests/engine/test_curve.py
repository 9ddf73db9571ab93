"""The curve of a training as a picture."""

import json

import cv2
import pytest

from transfer.engine.curve import draw_curve, read_curve

LINES = [
    {"iter": 10, "loss": 2.0, "lr": 0.1},
    {"iter": 10, "val": {"miou": 4.0, "mae": 30.0}},
    {"iter": 20, "loss": 1.0},
]


@pytest.fixture
def curve(tmp_path):
    path = tmp_path / "curve.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in LINES))
    return path


def test_it_is_read_as_the_run_wrote_it(curve):
    assert read_curve(curve, "mae") == ([(10, 2.0), (20, 1.0)], [(10, 30.0)])
    assert read_curve(curve, "miou")[1] == [(10, 4.0)] and read_curve(curve, "top1")[1] == []


@pytest.mark.parametrize("errors", [True, False])
def test_it_is_drawn(curve, tmp_path, errors):
    draw_curve(curve, tmp_path / "curve.png", "mae", "validation MAE", errors=errors, title="a run")
    with_points = cv2.imread(str(tmp_path / "curve.png"))
    curve.write_text("")
    draw_curve(curve, tmp_path / "empty.png", "mae", "validation MAE", errors=errors)
    assert with_points.shape == cv2.imread(str(tmp_path / "empty.png")).shape and with_points.std() > 0

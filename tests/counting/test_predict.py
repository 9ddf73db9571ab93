import csv
import hashlib
import json
import runpy
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from counting_tiny import counter
from PIL import Image

from tasks.counting.predict import load_model, predict_array
from transfer.cli import run_command
from transfer.engine.config_check import load_config
from transfer.engine.images import find_images

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
CONFIG = """
task = "counting"
custom_imports = dict(imports=["counting_tiny", "tasks.counting"])
model = dict(type="CrowdCounter", backbone=dict(type="TinyCountingBackbone"),
             head=dict(type="DilatedHead", channels=(5,)), loss=dict(type="DensityMSELoss"))
"""


@pytest.fixture
def files(tmp_path, monkeypatch):
    """A config, a checkpoint and two images in the current folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("mmengine.device.utils.DEVICE", "cpu")
    Path("tiny.py").write_text(CONFIG)
    model = counter(loss={"type": "DensityMSELoss"})
    torch.save({"state_dict": model.state_dict(), "meta": {}}, "tiny.pth")
    Path("images").mkdir()
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 256, (30, 41, 3), np.uint8)).save("images/b.png")
    Image.fromarray(rng.integers(0, 256, (16, 24), np.uint8)).save("images/a.jpg")
    Path("images/notes.txt").write_text("not an image")
    return tmp_path


@pytest.fixture
def command(capsys):
    def run(*args):
        main = runpy.run_path(str(ROOT / "tools" / "predict.py"), run_name="tool")["main"]
        status = run_command(main, [str(arg) for arg in args])
        return status, *capsys.readouterr()

    return run


def test_a_folder_is_predicted_into_overlays_json_and_csv(files, command):
    status, out, err = command("tiny.py", "tiny.pth", "images", "--out", "results/run")
    assert status == 0 and not err
    assert sorted(p.name for p in Path("results/run").iterdir()) == [
        "a_density.png",
        "b_density.png",
        "predictions.csv",
        "predictions.json",
    ]
    record = json.loads(Path("results/run/predictions.json").read_text())
    assert record["checkpoint_sha256"] == hashlib.sha256(Path("tiny.pth").read_bytes()).hexdigest()
    rows = record["predictions"]
    assert [row["image"] for row in rows] == ["images/a.jpg", "images/b.png"]
    assert [(row["width"], row["height"], row["tiles"]) for row in rows] == [(24, 16, [1, 1]), (41, 30, [1, 1])]
    with open("results/run/predictions.csv", newline="") as file:
        assert [float(row["count"]) for row in csv.DictReader(file)] == [row["count"] for row in rows]
    assert out.splitlines() == [f"{row['image']}: {row['count']:.1f} people" for row in rows]
    assert cv2.imread("results/run/b_density.png").std() > 0
    assert [p.name for p in Path("results").iterdir()] == ["run"]


def test_the_count_is_the_models_own(files, command):
    command("tiny.py", "tiny.pth", "images/b.png", "--out", "out")
    (row,) = json.loads(Path("out/predictions.json").read_text())["predictions"]
    model = load_model(load_config("tiny.py"), "tiny.pth")
    image = np.asarray(Image.open("images/b.png"))
    mean, std = (np.reshape(v, (3, 1, 1)) for v in ((0.1, 0.2, 0.3), (0.5, 0.25, 0.125)))
    x = np.pad((image.transpose(2, 0, 1) / 255 - mean) / std, ((0, 0), (0, 2), (0, 7)))
    with torch.no_grad():
        expected = model(torch.from_numpy(x).float()[None]).sum().item()
    assert row["count"] == pytest.approx(expected, abs=2e-3)
    assert predict_array(model, image).pred_count == pytest.approx(expected, rel=1e-4)


def test_json_goes_to_standard_output(files, command):
    status, out, _ = command("tiny.py", "tiny.pth", "images/a.jpg", "--out", "out", "--json")
    assert status == 0 and json.loads(out) == json.loads(Path("out/predictions.json").read_text())


def test_images_of_one_name_get_overlays_of_their_own(files, command):
    Path("other").mkdir()
    Path("other/b.png").write_bytes(Path("images/b.png").read_bytes())
    command("tiny.py", "tiny.pth", "images/b.png", "other/b.png", "--out", "out")
    assert {p.name for p in Path("out").glob("*.png")} == {"b_density.png", "b_2_density.png"}


def test_upright_rgba_and_palette_images_are_read(files, command):
    image = Image.fromarray(np.random.default_rng(1).integers(0, 256, (16, 24, 4), np.uint8), "RGBA")
    image.save("rgba.png")
    image.convert("P").save("palette.png")
    exif = Image.Exif()
    exif[0x0112] = 6
    image.convert("RGB").save("turned.jpg", exif=exif)
    command("tiny.py", "tiny.pth", "rgba.png", "palette.png", "turned.jpg", "--out", "out")
    rows = json.loads(Path("out/predictions.json").read_text())["predictions"]
    assert [(row["width"], row["height"]) for row in rows] == [(24, 16), (24, 16), (16, 24)]


def test_large_images_are_tiled_and_say_so(files, command):
    Image.new("RGB", (400, 300)).save("large.png")
    Path("tiled.py").write_text('_base_ = "tiny.py"\nmodel = dict(test_cfg=dict(max_pixels=60000))\n')
    command("tiled.py", "tiny.pth", "large.png", "--out", "out")
    (row,) = json.loads(Path("out/predictions.json").read_text())["predictions"]
    assert np.prod(row["tiles"]) > 1


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("tiny.py", "tiny.pth", "nowhere.jpg"), "nowhere.jpg"),
        (("tiny.py", "tiny.pth", "empty"), "empty"),
        (("tiny.py", "tiny.pth", "images/b.png", "images/notes.txt"), "notes.txt"),
        (("tiny.py", "missing.pth", "images"), "missing.pth"),
        (("tiny.py", "other.pth", "images"), "other.pth"),
        (("tini.py", "tiny.pth", "images"), "tini.py"),
        (("task.py", "tiny.pth", "images"), "Did you mean 'counting'"),
        (("tiny.py", "tiny.pth", "images", "--device", "toaster"), "toaster"),
    ],
)
def test_wrong_input_is_one_line_and_leaves_nothing(files, command, arguments, named):
    Path("empty").mkdir()
    Path("task.py").write_text(CONFIG.replace('task = "counting"', 'task = "couting"'))
    torch.save({"state_dict": {"weight": torch.zeros(1)}, "meta": {}}, "other.pth")
    before = sorted(Path().rglob("*"))
    status, out, err = command(*arguments, "--out", "out")
    assert status == 2 and not out
    assert err.startswith("error: ") and err.count("\n") == 1 and named in err
    assert sorted(p for p in Path().rglob("*") if "__pycache__" not in str(p)) == before


def test_results_do_not_replace_a_file(files, command):
    status, _, err = command("tiny.py", "tiny.pth", "images", "--out", "tiny.py")
    assert status == 2 and "tiny.py" in err and Path("tiny.py").read_text() == CONFIG


def test_folders_list_images_by_name_whatever_their_case(files):
    Path("images/c.PNG").write_bytes(Path("images/b.png").read_bytes())
    assert [p.name for p in find_images(["images"])] == ["a.jpg", "b.png", "c.PNG"]

import csv
import hashlib
import json
import os
import runpy
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from checkpoint_files import save_checkpoint
from counting_tiny import counter
from PIL import Image

from backbones.errors import UserInputError
from tasks.counting.predict import predict_array
from transfer.cli import run_command
from transfer.engine.config_check import load_config
from transfer.engine.images import find_images
from transfer.engine.inference import load_model

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
    save_checkpoint({"state_dict": model.state_dict(), "meta": {}}, "tiny.pth")
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
        (("tiny.py", "tiny.pth", "images/notes.txt"), "notes.txt"),
        (("tiny.py", "tiny.pth", "images/*.tif"), "images/*.tif"),
        (("tiny.py", "tiny.pth", "images/b.png", "--roi", "0,0,42,30"), "outside the image of 41 x 30"),
        (("tiny.py", "tiny.pth", "images", "--roi", "0,0,5"), "--roi 0,0,5"),
        (("tiny.py", "tiny.pth", "images", "--grid", "0x3"), "--grid 0x3"),
        (("tiny.py", "tiny.pth", "images", "--vmax", "-1"), "--vmax -1"),
        (("tiny.py", "tiny.pth", "images", "--vmax", "nan"), "--vmax nan"),
        (("tiny.py", "tiny.pth", "images", "--every", "0"), "--every 0"),
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
    save_checkpoint({"state_dict": {"weight": torch.zeros(1)}, "meta": {}}, "other.pth")
    before = sorted(Path().rglob("*"))
    status, out, err = command(*arguments, "--out", "out")
    assert status == 2 and not out
    assert err.startswith("error: ") and err.count("\n") == 1 and named in err
    assert sorted(p for p in Path().rglob("*") if "__pycache__" not in str(p)) == before


def test_results_do_not_replace_a_file(files, command):
    status, _, err = command("tiny.py", "tiny.pth", "images", "--out", "tiny.py")
    assert status == 2 and "tiny.py" in err and Path("tiny.py").read_text() == CONFIG


def test_one_bad_image_costs_itself_alone(files, command):
    Path("images/c.png").write_bytes(Path("images/b.png").read_bytes()[:-40])
    status, out, err = command("tiny.py", "tiny.pth", "images", "images/notes.txt", "--out", "out")
    assert status == 2 and len(out.splitlines()) == 2
    assert err.count("error: ") == err.count("\n") == 2 and "c.png" in err and "notes.txt" in err
    record = json.loads(Path("out/predictions.json").read_text())
    assert [row["image"] for row in record["predictions"]] == ["images/a.jpg", "images/b.png"]
    assert [row["image"] for row in record["failed"]] == ["images/c.png", "images/notes.txt"] and record["complete"]
    assert len(Path("out/predictions.csv").read_text().splitlines()) == 3
    assert not Path("out/c_density.png").exists()


def test_results_of_an_earlier_run_stay_unless_told_otherwise(files, command):
    command("tiny.py", "tiny.pth", "images", "--out", "out")
    before = {path.name: path.read_bytes() for path in Path("out").iterdir()}
    status, out, err = command("tiny.py", "tiny.pth", "images/a.jpg", "--out", "out")
    assert status == 2 and not out and err.count("\n") == 1 and "--overwrite" in err
    assert {path.name: path.read_bytes() for path in Path("out").iterdir()} == before
    Path("out/mine.txt").write_text("kept")
    status, *_ = command("tiny.py", "tiny.pth", "images/a.jpg", "--out", "out", "--overwrite", "--no-overlay")
    assert status == 0 and Path("out/mine.txt").exists()
    assert len(json.loads(Path("out/predictions.json").read_text())["predictions"]) == 1
    assert len(Path("out/predictions.csv").read_text().splitlines()) == 2


def test_counts_by_region_and_grid_add_up(files, command):
    Path("left.json").write_text(json.dumps([[0, 0], [12, 0], [12, 16], [0, 16]]))
    options = ("--roi", "left.json", "--roi", "0,0,24,16", "--grid", "3x4")
    status, out, _ = command("tiny.py", "tiny.pth", "images/a.jpg", "--out", "out", *options)
    (row,) = json.loads(Path("out/predictions.json").read_text())["predictions"]
    assert status == 0 and list(row["regions"]) == ["left", "roi"] and "(left " in out
    assert row["regions"]["roi"] == row["count"] != 0
    assert np.shape(row["grid"]) == (3, 4) and np.sum(row["grid"]) == pytest.approx(row["count"], abs=1e-4)
    assert np.sum(row["grid"], axis=0)[:2].sum() == pytest.approx(row["regions"]["left"], abs=1e-4)
    with open("out/predictions.csv", newline="") as file:
        (line,) = csv.DictReader(file)
    assert float(line["region_left"]) == row["regions"]["left"] and float(line["cell_3_2"]) == row["grid"][2][1]


def test_points_and_density_are_written_as_they_are_predicted(files, command):
    checkpoint = torch.load("tiny.pth")
    state = checkpoint["state_dict"]
    state[next(key for key in reversed(state) if key.endswith("bias"))].fill_(100 * 0.5 / 64)  # half a person a cell
    save_checkpoint(checkpoint, "tiny.pth")
    command("tiny.py", "tiny.pth", "images/b.png", "--out", "out", "--points", "--density")
    (row,) = json.loads(Path("out/predictions.json").read_text())["predictions"]
    sample = predict_array(load_model(load_config("tiny.py"), "tiny.pth"), np.asarray(Image.open("images/b.png")))
    density = np.load(Path("out") / row["density"])
    assert density.dtype == np.float32 and (density == sample.pred_density[0].numpy()).all()
    assert density.shape == (-(-30 // sample.stride), -(-41 // sample.stride))
    points = np.loadtxt(Path("out") / row["points"], delimiter=",", skiprows=1, ndmin=2)
    assert len(points) == round(row["count"]) > 0 and ((points >= 0) & (points < (41, 30))).all()
    assert (Path("out") / row["density_png"]["file"]).is_file()


def test_one_colour_scale_for_all(files, command):
    for name, vmax in (("low", "0.001"), ("high", "1000")):
        command("tiny.py", "tiny.pth", "images/b.png", "--out", name, "--vmax", vmax)
    low, high = (cv2.imread(f"{name}/b_density.png").astype(int) for name in ("low", "high"))
    assert low.shape == high.shape and np.abs(low - high)[40:60, :41].mean() > 1


def test_weights_that_are_no_numbers_are_no_result(files, command):
    state = counter(loss={"type": "DensityMSELoss"}).state_dict()
    save_checkpoint({"state_dict": {key: value * float("nan") for key, value in state.items()}, "meta": {}}, "nan.pth")
    status, out, err = command("tiny.py", "nan.pth", "images", "--out", "out")
    assert status and not out and err.count("\n") == 1 and not Path("out").exists()


def test_images_and_videos_go_into_one_folder(files, command):
    video = cv2.VideoWriter("clip.avi", cv2.VideoWriter_fourcc(*"MJPG"), 5, (40, 30))
    for value in (0, 80, 160):
        video.write(np.full((30, 40, 3), value, np.uint8))
    video.release()
    Path("bad.mp4").write_text("no video")
    inputs = ("tiny.py", "tiny.pth", "images", "clip.avi", "bad.mp4", "--out", "out")
    status, out, err = command(*inputs, "--points")
    assert status == 2 and not out and "--points" in err and not Path("out").exists()
    status, out, err = command(*inputs, "--every", "2")
    assert status == 2 and err.count("\n") == 1 and "bad.mp4" in err
    assert out.splitlines()[2].startswith("clip.avi: ") and "in 2 frames" in out
    record = json.loads(Path("out/predictions.json").read_text())
    assert (len(record["predictions"]), len(record["videos"]), len(record["failed"])) == (2, 1, 1)
    names = {"a_density.png", "b_density.png", "clip_frames.csv", "clip_counts.png", "clip_density.webm"}
    assert {path.name for path in Path("out").iterdir()} == names | {"predictions.csv", "predictions.json"}


def test_names_that_spreadsheets_or_terminals_would_trip_over(files, command):
    image = Path("images/b.png").read_bytes()
    Path("=1+2.png").write_bytes(image)
    Path(os.fsdecode(b"caf\xe9.png")).write_bytes(image)
    status, out, _ = command("tiny.py", "tiny.pth", *sorted(Path().glob("*.png")), "--out", "out", "--no-overlay")
    rows = json.loads(Path("out/predictions.json").read_text())["predictions"]
    assert status == 0 and [row["image"] for row in rows] == ["./=1+2.png", "caf\\xe9.png"]
    assert "./=1+2.png" in Path("out/predictions.csv").read_text() and len(out.splitlines()) == 2


def test_an_option_of_another_task_is_refused(files, command, monkeypatch):
    from tasks.counting import predict as module

    monkeypatch.setattr(module, "predict", lambda config, checkpoint, inputs, *, out: None)
    status, out, err = command("tiny.py", "tiny.pth", "images", "--out", "out", "--grid", "2x2")
    assert status == 2 and not out and err.count("\n") == 1 and "--grid" in err and "'counting'" in err


def test_folders_list_images_by_name_whatever_their_case(files):
    Path("images/c.PNG").write_bytes(Path("images/b.png").read_bytes())
    assert [p.name for p in find_images(["images"])] == ["a.jpg", "b.png", "c.PNG"]
    assert [p.name for p in find_images(["images/*", "*/[ab].*g"])] == ["a.jpg", "b.png", "c.PNG", "a.jpg", "b.png"]
    assert [p.name for p in find_images(["**/b.png"])] == ["b.png"]
    Path("[1].png").write_bytes(Path("images/b.png").read_bytes())  # a name, though it looks like a pattern
    assert [p.name for p in find_images(["[1].png"])] == ["[1].png"]


def test_videos_are_images_only_where_a_task_takes_them(files):
    Path("images/clip.mp4").touch()
    assert find_images(["images/*.mp4"], videos=True) == find_images(["images/clip.mp4"], videos=True)
    for given in ("images/clip.mp4", "images/*.mp4"):
        with pytest.raises(UserInputError, match=r"mp4"):
            find_images([given])
    assert [p.name for p in find_images(["images"], videos=True)] == ["a.jpg", "b.png"]

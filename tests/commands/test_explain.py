"""`explain` as people type it: classifiers, counters and segmentors, against what they predict and against autograd."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from checkpoint_files import save_checkpoint
from mmengine.registry import MODELS, DefaultScope
from PIL import Image

import transfer
from backbones import create_backbone
from tasks.counting.explain import cell_shares
from transfer.commands.explain import parse_region
from transfer.engine.config_check import load_config, scope_of

pytestmark = pytest.mark.slow

CONFIGS = Path(__file__).resolve().parents[2] / "configs"
FILES = ["explain.json", "gates.png", "grad_cam.png"]
NET = "resnet38_share_ean_se.c100_6ep"
BACKBONE = f'backbone=dict(type="RegisteredBackbone", name="{NET}"'
COUNTER = f"""
task = "counting"
custom_imports = dict(imports=["tasks.counting"])
model = dict(type="CrowdCounter", head=dict(type="DilatedHead", channels=(5,)), loss=dict(type="DensityMSELoss"),
             {BACKBONE}, stride=8))
"""
CLASSIFIER = f"""
task = "classification"
custom_imports = dict(imports=["tasks.classification"])
model = dict(type="Classifier", num_classes=10, {BACKBONE}, in_channels=1),
             data_preprocessor=dict(mean=[0.3], std=[0.4]))
test_dataloader = dict(dataset=dict(type="Digits"))
"""
SEGMENTOR = f"""
_base_ = "{CONFIGS}/voc_small_ean_se.py"
model = dict(decode_head=dict(channels=8, num_classes=3), auxiliary_head=dict(channels=8, num_classes=3))
"""
CLASSES = {"classes": ("background", "sea", "land"), "palette": [[1, 2, 3], [4, 5, 6], [7, 8, 9]]}


def save(name, text, own_config=True, **meta):
    """A config and a checkpoint as training writes it, the weights drawn; returns the network."""
    Path(f"{name}.py").write_text(text)
    config = load_config(f"{name}.py")
    torch.manual_seed(0)
    with DefaultScope.overwrite_default_scope(scope_of(config)):
        network = MODELS.build(config.model).eval()
    for key, tensor in network.state_dict().items():
        if tensor.dim() == 4:
            torch.nn.init.kaiming_normal_(tensor)
        elif key.endswith("running_var"):
            tensor.uniform_(0.5, 2)
    said = {"cfg": config.pretty_text} if own_config else {}
    save_checkpoint({"state_dict": network.state_dict(), "meta": {**said, **meta}}, f"{name}.pth")
    return network


@pytest.fixture
def folder(command, tmp_path, monkeypatch):
    """The current one, which holds an image."""
    monkeypatch.setenv("TRANSFER_CARDS", str(tmp_path / "cards"))
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 57, 3), np.uint8)).save("a.png")


@pytest.fixture
def undrawn(monkeypatch):
    """Figures take seconds; where numbers are compared, empty files stand for them."""
    for name in ("draw_maps", "draw_gates"):
        monkeypatch.setattr(f"transfer.explain.run.{name}", lambda path, *args: path.touch())


@pytest.fixture
def explain(folder, undrawn, command):
    """Runs the command; returns the first model's record, or with several all of them."""

    def run(*argv):
        done = command("explain.py", *argv, "--out", "out", "--overwrite")
        assert (done.returncode, done.stderr) == (0, ""), done.stderr
        assert sorted(path.name for path in Path("out").iterdir()) == FILES
        models = json.loads(Path("out/explain.json").read_text())["models"]
        return models if len(models) > 1 else models[0]

    return run


def pixels():
    return torch.from_numpy(np.asarray(Image.open("a.png")).transpose(2, 0, 1).copy())


def cam_by_autograd(network, layer, score):
    """Grad-CAM from a whole backward pass."""
    kept = []
    handle = network.backbone.get_submodule(layer).register_forward_hook(lambda module, inputs, out: kept.append(out))
    (gradient,) = torch.autograd.grad(score(), kept)
    handle.remove()
    return (gradient.mean((2, 3), keepdim=True) * kept[0]).sum(1).clamp(min=0)[0].detach().numpy()


# ---- counters


def test_a_counter(explain):
    network = save("tiny", COUNTER)
    found = explain("tiny.pth", "a.png", "--layer", "layer3.2")
    assert found["label"] == f"{Path.cwd().name}/tiny" or found["label"] == "tiny"
    assert found["target"]["count"] == pytest.approx(transfer.load_model("tiny.pth").predict("a.png").count, rel=1e-4)
    assert found["said"] == f"{found['target']['count']:.1f} people" and found["layer"] == "layer3.2"
    inputs = network.data_preprocessor({"inputs": [pixels()]})["inputs"]
    assert inputs.shape[-2:] == (40, 64)  # 57 pixels, padded to whole cells
    expected = cam_by_autograd(network, "layer3.2", lambda: network.density(inputs).sum())
    assert (found["map"]["cell_height"], found["map"]["cell_width"]) == (8, 8) and expected.max() > 0
    np.testing.assert_allclose(found["map"]["values"], expected, rtol=1e-3, atol=1e-5 * expected.max())
    assert [block["connected"] for block in found["blocks"]] == [bit == "1" for bit in "111000001010"]
    assert all((block["gate"] is not None) == block["connected"] for block in found["blocks"])
    assert len(found["blocks"][0]["gate"]["channels"]) == 64 and found["scheme"] == "1110.0000.1010"


def test_a_region_of_a_count(explain):
    network = save("tiny", COUNTER)
    whole, part = explain("tiny.pth", "a.png"), explain("tiny.pth", "a.png", "--region", "3,5,57,30")
    density = transfer.load_model("tiny.pth").predict("a.png").density
    cells = np.add.outer(100 * (np.arange(40) // 8), np.arange(57) // 8)  # the cell of each pixel
    shares = {cell: (cells[5:30, 3:57] == cell).sum() / (cells == cell).sum() for cell in np.unique(cells)}
    expected = sum(density[cell // 100, cell % 100] * share for cell, share in shares.items())
    assert part["target"]["count_in_region"] == pytest.approx(expected, rel=1e-4)
    assert part["target"]["count"] == whole["target"]["count"] and part["map"] != whole["map"]
    inputs = network.data_preprocessor({"inputs": [pixels()]})["inputs"]
    weights = torch.from_numpy(cell_shares((40, 57), 8, (3, 5, 57, 30)))
    by_hand = cam_by_autograd(network, "layer3", lambda: (network.density(inputs)[0, 0] * weights).sum())
    np.testing.assert_allclose(part["map"]["values"], by_hand, rtol=1e-3, atol=1e-5 * by_hand.max())


# ---- classifiers


def test_a_backbone_with_a_classifier_of_its_own(explain):
    Image.fromarray(np.random.default_rng(1).integers(0, 256, (32, 32, 3), np.uint8)).save("a.png")
    net = create_backbone(NET, init="full", num_classes=100).eval()
    mean, std = (torch.tensor(values)[:, None, None] for values in (net_card().mean, net_card().std))
    with torch.no_grad():
        scores = net((pixels()[None] / 255 - mean) / std)[0].softmax(0)
    by_name, by_number = explain("--model", NET, "a.png", "--target", "Wolf"), explain(NET, "a.png", "--target", "97")
    assert by_name == by_number and by_name["label"] == NET and by_name["target"]["name"] == "wolf"
    assert by_name["target"]["probability"] == pytest.approx(float(scores[97]), rel=1e-3)
    default = explain("resnet38_share_ean_se", "a.png")["target"]
    assert default["class"] == int(scores.argmax()) and default["predicted"] == default["name"]


def net_card():
    from backbones import get_card

    return get_card(NET)


def test_a_checkpoint_of_a_classifier_of_grey_images(explain):
    network = save("grey", CLASSIFIER)
    Image.fromarray(np.random.default_rng(1).integers(0, 256, (8, 8), np.uint8)).save("a.png")
    found = explain("grey.pth", "a.png", "--target", "7")
    inputs = (torch.from_numpy(np.asarray(Image.open("a.png")).copy())[None, None] / 255 - 0.3) / 0.4
    logits = network(inputs)[0]
    assert found["target"]["name"] == "7" and found["target"]["predicted"] == str(int(logits.argmax()))
    assert found["target"]["probability"] == pytest.approx(float(logits.detach().softmax(0)[7]), rel=1e-3)
    expected = cam_by_autograd(network, "layer3", lambda: network(inputs)[0, 7])
    np.testing.assert_allclose(found["map"]["values"], expected, rtol=1e-3, atol=1e-6)


def test_a_large_image_is_cut_and_scaled_to_what_the_network_saw_in_training(explain):
    square = Image.open("a.png").crop((8, 0, 48, 40)).resize((32, 32), Image.Resampling.BILINEAR)
    whole = explain(NET, "a.png")
    square.save("a.png")
    assert explain(NET, "a.png")["target"]["probability"] == pytest.approx(whole["target"]["probability"], abs=0.05)
    assert np.shape(whole["map"]["values"]) == (8, 8)


# ---- several models


def test_models_side_by_side_have_one_target(explain):
    save("one", CLASSIFIER)
    Image.fromarray(np.random.default_rng(1).integers(0, 256, (8, 8), np.uint8)).save("a.png")
    checkpoint = torch.load("one.pth")
    weight = checkpoint["state_dict"]["backbone.fc.weight"]
    checkpoint["state_dict"]["backbone.fc.weight"] = weight.roll(1, 0)
    checkpoint["state_dict"]["backbone.fc.bias"] = checkpoint["state_dict"]["backbone.fc.bias"].roll(1, 0)
    save_checkpoint(checkpoint, "two.pth")
    first, second, third = explain("one.pth", "one.py", "two.pth", "two.pth", "a.png", *sum(LABELS, ()))
    assert [model["label"] for model in (first, second, third)] == [label for _, label in LABELS]
    assert first["target"]["class"] == second["target"]["class"] and second["map"] == third["map"]
    assert second["target"]["predicted"] == str((first["target"]["class"] + 1) % 10)
    assert first["checkpoint_sha256"] != second["checkpoint_sha256"]


LABELS = (("--label", "a"), ("--label", "b"), ("--label", "c"))


# ---- segmentors


def test_a_segmentor(explain):
    pytest.importorskip("mmseg", reason="mmsegmentation is not installed (extras lite and full)")
    network = save("seg", SEGMENTOR, dataset_meta=CLASSES)
    predicted = transfer.load_model("seg.pth").predict("a.png")
    default, background = explain("seg.pth", "a.png"), explain("seg.pth", "a.png", "--target", "0")
    scaled = cv2.resize(np.asarray(Image.open("a.png")), (144, 101))  # the config's pipeline: a longer side of 144
    normalised = torch.from_numpy(scaled.transpose(2, 0, 1).copy()).float()
    inputs = ((normalised - network.data_preprocessor.mean) / network.data_preprocessor.std)[None]
    others = {name: share for name, share in predicted.shares.items() if name != "background"}
    assert default["target"]["name"] == max(others, key=others.get)
    for found in (default, background):
        name, label = found["target"]["name"], found["target"]["class"]
        assert found["target"]["share"] == pytest.approx(predicted.shares.get(name, 0), abs=1e-6)
        wins = torch.from_numpy(predicted.mask == label)
        assert not wins.all()

        def score(wins=wins, label=label):
            logits = network.decode_head(network.backbone(inputs))
            for size in ((101, 144), (40, 57)):  # of what the network sees, then of the image
                logits = torch.nn.functional.interpolate(logits, size, mode="bilinear")
            return logits[0, label][wins].sum()

        expected = cam_by_autograd(network, "layer3", score)
        np.testing.assert_allclose(found["map"]["values"], expected, rtol=1e-2, atol=1e-4 * expected.max())


# ---- wrong input

CASES = [
    (("tiny.pth", "a.png", "--layer", "layer4"), "tiny: --layer layer4: expected a stage (layer1, layer2, layer3)"),
    (("tiny.pth", "a.png", "--layer", "layer3.9"), "Did you mean 'layer3.3'"),
    (("tiny.pth", "a.png", "--target", "people"), "a counter has one target"),
    (("tiny.pth", "a.png", "--region", "0,0,58,9"), "inside the image of 57 x 40"),
    (("tiny.pth", "a.png", "--region", "9,9,9,12"), "inside the image of 57 x 40"),
    (("tiny.pth", "a.png", "--region", "1,2,3"), "expected left,top,right,bottom"),
    (("tiny.pth", "a.png", "--cfg-options", "model.test_cfg.max_pixels=1000"), "predicted in tiles"),
    (("tiny.pth", "b.png"), "b.png: no such file"),
    (("tiny.pth", "tiny.py"), "tiny.py: is a model, expected the image behind it"),
    (("tiny.py", "a.png"), "config tiny.py: expected CHECKPOINT"),
    (("bare.pth", "a.png"), "bare.pth: holds no config"),
    (("--model", "tini", "a.png"), "'tini' is neither a registered model"),
    ((NET, "a.png", "--target", "wolff"), "Did you mean 'wolf'"),
    ((NET, "a.png", "--target", "100"), "a number from 0 to 99"),
    ((NET, "a.png", "--region", "0,0,5,5"), "only a counter's count has one"),
    ((NET, "tiny.pth", "a.png"), f"{NET} (classification), "),
    (("resnet38_share_ean_se.c100_6e", "a.png"), f"Did you mean '{NET}'"),
    (("resnet50_share_ean_se.standin", "a.png"), "has no weights of its own"),
    ((NET, "a.png", "--label", "x", "--label", "y"), "given 2 times for 1 models"),
    ((NET, "a.png", "--out", "a.png"), "--out a.png: is a file"),
    ((NET, "a.png", "--device", "tpu"), "--device tpu"),
]


@pytest.mark.parametrize(("argv", "told"), CASES, ids=[told[:30] for _, told in CASES])
def test_wrong_input_is_one_line_and_leaves_nothing(folder, command, argv, told):
    for name in {"tiny", "bare"} & {Path(word).stem for word in argv}:
        save(name, COUNTER, own_config=name == "tiny")
    before = sorted(path for path in Path().rglob("*") if "__pycache__" not in str(path))
    done = command("explain.py", *argv)
    assert (done.returncode, done.stdout) == (2, "") and told in done.stderr, done.stderr
    assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1 and told in done.stderr
    assert sorted(path for path in Path().rglob("*") if "__pycache__" not in str(path)) == before


def test_results_are_whole_and_not_overwritten_unasked(folder, command):
    done = command("explain.py", NET, "a.png")
    assert done.returncode == 0 and done.stderr == "" and str(Path("explained/a")) in done.stdout
    assert sorted(path.name for path in Path("explained/a").iterdir()) == FILES
    for name in FILES[1:]:
        drawn = np.asarray(Image.open(f"explained/a/{name}").convert("RGB"))
        assert min(drawn.shape[:2]) > 200 and drawn.std() > 10
    Path("explained/a/notes.txt").write_text("mine")
    Path("explained/a/grad_cam.png").unlink()
    refused = command("explain.py", NET, "a.png")
    assert refused.returncode == 2 and "--overwrite" in refused.stderr and not Path("explained/a/grad_cam.png").exists()
    done = command("explain.py", NET, "a.png", "--overwrite", "--json")
    assert done.returncode == 0 and json.loads(done.stdout) == json.loads(Path("explained/a/explain.json").read_text())
    assert sorted(path.name for path in Path("explained/a").iterdir()) == [*FILES, "notes.txt"]


def test_a_failed_figure_leaves_nothing(folder, undrawn, command, monkeypatch):
    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("transfer.explain.run.draw_gates", full)
    done = command("explain.py", NET, "a.png", "--out", "out")
    assert done.returncode == 1 and "No space left" in done.stderr
    assert sorted(path.name for path in Path().iterdir() if path.name != "cards") == ["a.png"]


def test_a_region_is_four_numbers():
    assert parse_region("1, 2,30,4") == (1, 2, 30, 4)

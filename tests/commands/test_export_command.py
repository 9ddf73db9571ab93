"""A model carried away: what other programs compute with the file is what the model computes."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from checkpoint_files import save_checkpoint
from mmengine.registry import MODELS, DefaultScope
from PIL import Image
from torch import nn

import backbones
import transfer
from backbones.errors import UserInputError
from tasks.counting.domain import describe, fit
from transfer.cli import run_command
from transfer.commands.export import main
from transfer.deploy.exportable import _MeanOfBins
from transfer.engine.checkpoint import backbone_meta
from transfer.engine.config_check import load_config, scope_of

onnxruntime = pytest.importorskip("onnxruntime", reason="ONNX Runtime is not installed (extra onnx)")
pytest.importorskip("onnxscript", reason="onnxscript is not installed (extra onnx)")

# A whole model is half a minute's tracing: few of them, small, each traced once for all tests.
CONFIGS = Path(__file__).resolve().parents[2] / "configs"
COUNTER = """
task = "counting"
custom_imports = dict(imports=["tasks.counting"])
model = dict(type="CrowdCounter", head=dict(type="C3Head", channels=5), loss=dict(type="DensityMSELoss"),
             backbone=dict(type="RegisteredBackbone", name="resnet38_share_ean_se.standin", init="scratch", {}))
"""
SEGMENTOR = f"""
_base_ = "{CONFIGS}/voc_small_ean_se.py"
model = dict(backbone=dict(init="scratch"), decode_head=dict(channels=8, num_classes=3),
             auxiliary_head=dict(channels=8, num_classes=3), {{}})
"""
CLASSES = {"classes": ("sky", "sea", "land"), "palette": [[1, 2, 3], [4, 5, 6], [7, 8, 9]]}
MODELS_OF = {
    "se": COUNTER.format("stride=8"),
    "sge": COUNTER.format("stride=8, out_indices=(1,), attention='sge', attention_args=dict(groups=4)"),
    "dia": COUNTER.format("stride=8, out_indices=(1,), attention='dia', attention_args=dict(reduction=4)"),
    "psp": SEGMENTOR.format(""),
}


def save(folder, name, text):
    """A config and a checkpoint as training writes it, the weights drawn so that no output is nearly constant."""
    file = folder / f"{name}.py"
    file.write_text(text)
    config = load_config(file)
    torch.manual_seed(0)
    with DefaultScope.overwrite_default_scope(scope_of(config)):
        network = MODELS.build(config.model).eval()
    for key, tensor in network.state_dict().items():
        if tensor.dim() == 4:
            nn.init.kaiming_normal_(tensor)
            if key == "head.layers.2.weight":
                tensor.abs_()  # no count of 0
        elif key.endswith("running_var"):
            tensor.uniform_(0.5, 2)
        elif "attention." in key:
            tensor.add_(0.3 * torch.randn_like(tensor))
    meta = {"cfg": config.pretty_text, **backbone_meta(network)}
    if config.task == "segmentation":
        meta["dataset_meta"] = CLASSES
    else:
        meta["domain"] = fit([describe(noise(40, 40, seed)) for seed in range(24)]).plain()
    save_checkpoint({"state_dict": network.state_dict(), "meta": meta}, folder / f"{name}.pth")
    return folder / f"{name}.pth"


@pytest.fixture
def exported(once, monkeypatch):
    """`exported("se.onnx")`: a model's checkpoint and its exported file, made once for all tests."""
    monkeypatch.setattr("mmengine.device.utils.DEVICE", "cpu")

    def make(file, *options):
        name = file.partition(".")[0]

        def fill(folder):
            save(folder, name, MODELS_OF[name])
            assert run_command(main, [str(folder / f"{name}.pth"), "--out", str(folder / file), *options]) == 0

        folder = once("-".join(("export", file, *options)), fill)
        return folder / f"{name}.pth", folder / file

    return make


def noise(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def run(path, images, *outputs):
    """As another program does, without this project."""
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return session.run(list(outputs), {"image": images})


def record(path):
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return json.loads(session.get_modelmeta().custom_metadata_map["ean_transfer"])


# ---- counters


@pytest.mark.slow
@pytest.mark.parametrize("name", ("se", "sge", "dia"))
def test_an_exported_counter_counts_what_the_counter_counts(exported, name):
    checkpoint, path = exported(f"{name}.onnx")
    model, reader = transfer.load_model(checkpoint), transfer.load_model(path)
    for height, width in ((61, 83), (64, 48), (17, 131)):  # sides that the stride does not divide, and a batch
        images = np.stack([noise(height, width, seed) for seed in (1, 2)])
        density, count = run(path, images, "density", "count")
        for i, image in enumerate(images):
            expected = model.predict(image)
            assert expected.count > 1
            assert count[i] == pytest.approx(expected.count, rel=1e-5)
            np.testing.assert_allclose(density[i], expected.density, atol=1e-5 * expected.density.max())
        found = reader.predict(image)
        assert found.count == pytest.approx(expected.count, rel=1e-5)
        np.testing.assert_allclose(found.density, expected.density, atol=1e-5 * expected.density.max())
        assert (found.stride, found.size, found.noun) == (expected.stride, expected.size, expected.noun)
        assert found.novelty == expected.novelty is not None


@pytest.mark.slow
@pytest.mark.real_data
def test_real_images_are_counted_alike(exported, real_data):
    checkpoint, path = exported("se.onnx")
    files = sorted((real_data / "ShanghaiTech").rglob("*.jpg"))
    small = [file for file in files if Image.open(file).size[0] * Image.open(file).size[1] < 3e5][:2]
    assert small
    for file in small:
        expected = transfer.load_model(checkpoint).predict(file)
        assert transfer.load_model(path).predict(file).count == pytest.approx(expected.count, rel=1e-5)


@pytest.mark.slow
def test_the_file_says_what_it_is(exported):
    _, path = exported("se.onnx")
    said = record(path)
    card = backbones.get_card("resnet38_share_ean_se.standin")
    assert (said["task"], said["model"], said["noun"], said["stride"]) == ("counting", "se.pth", "people", 8)
    assert said["backbone"] == card.name and said["scheme"] == str(card.scheme)
    assert said["mean"] == pytest.approx(card.mean) and said["std"] == pytest.approx(card.std)
    assert said["size"] is None and set(said["outputs"]) == {"density", "count"} and "torch" in said["toolkit"]
    assert list(path.parent.glob("*.data")) == [], "weights are in the file"


@pytest.mark.slow
def test_predict_takes_an_exported_model(exported, command):
    checkpoint, path = exported("se.onnx")
    Image.fromarray(noise(61, 83)).save("a.png")
    for name, model in (("own", checkpoint), ("onnx", path)):
        done = command("predict.py", model, "a.png", "--out", name)
        assert done.returncode == 0 and not done.stderr, done.stderr
    own, onnx = (json.loads(Path(name, "predictions.json").read_text()) for name in ("own", "onnx"))
    assert onnx["deployed"] and onnx["predictions"][0]["count"] == pytest.approx(own["predictions"][0]["count"], 1e-5)
    Image.fromarray(noise(12, 83)).save("slim.png")
    done = command("predict.py", path, "a.png", "slim.png", "--out", "both")
    assert done.returncode == 2 and "takes images from 16x16 on, found 12x83" in done.stderr
    for words, told in (
        ((path, "a.png", "--cfg-options", "model.noun=cars"), "leave --cfg-options out"),
        ((checkpoint.with_suffix(".py"), path, "a.png"), "se.py out"),
    ):
        done = command("predict.py", *words, "--out", "x")
        assert done.returncode == 2 and done.stderr.count("\n") == 1 and told in done.stderr


@pytest.mark.slow
def test_large_images_are_counted_in_tiles_as_the_counter_does(exported):
    checkpoint, path = exported("se.onnx")
    model, reader = transfer.load_model(checkpoint), transfer.load_model(path)
    model.network.max_pixels = reader.network.max_pixels = 60_000
    expected, found = (one.predict(noise(301, 403)) for one in (model, reader))
    assert found.tiles == expected.tiles != (1, 1)
    assert found.count == pytest.approx(expected.count, rel=1e-5)


@pytest.mark.slow
def test_an_exported_model_is_no_checkpoint(exported, command):
    _, path = exported("se.onnx")
    lines = (
        ("models.py", "register", path, "--name", "x"),
        ("export.py", path, "--out", "y.onnx"),
        ("explain.py", path, "a.png", "--out", "y"),
    )
    for line in lines:
        done = command(*line)
        assert done.returncode == 2 and done.stderr.count("\n") == 1
        assert "the checkpoint that it was made" in done.stderr


# ---- segmentors


@pytest.mark.slow
def test_an_exported_pspnet_takes_any_size(exported):
    checkpoint, path = exported("psp.onnx")
    model, reader = transfer.load_model(checkpoint), transfer.load_model(path)
    preprocessor = model.network.data_preprocessor
    for height, width in ((61, 83), (96, 40), (33, 70)):
        images = np.stack([noise(height, width, seed) for seed in (1, 2)])
        bgr = [torch.from_numpy(image[..., ::-1].transpose(2, 0, 1).copy()) for image in images]
        with torch.no_grad():  # mmsegmentation's own way, at the image's size
            expected = model.network.encode_decode(
                preprocessor({"inputs": bgr})["inputs"], [{"img_shape": (height, width)}] * 2
            ).numpy()
        logits, classes = run(path, images, "logits", "classes")
        assert abs(logits).max() == pytest.approx(abs(expected).max(), rel=1e-5)
        np.testing.assert_allclose(logits, expected, atol=2e-5 * abs(expected).max())
        assert (classes == expected.argmax(1)).mean() > 0.999 and len(np.unique(classes)) > 1
        wanted, found = (one.predict(images[0]) for one in (model, reader))
        assert (found.mask == wanted.mask).mean() > 0.999
        assert (found.classes, found.palette) == (wanted.classes, wanted.palette)
        assert found.classes == CLASSES["classes"]
    assert record(path)["resize"] == [{"scale": [144, 144], "keep_ratio": True}]


@pytest.mark.slow
@pytest.mark.real_data
def test_real_images_are_segmented_alike(exported, real_data):
    checkpoint, path = exported("psp.onnx")
    for file in sorted((real_data / "VOC_small/VOC2012/JPEGImages").glob("*.jpg"))[:2]:
        wanted, found = (transfer.load_model(one).predict(file) for one in (checkpoint, path))
        assert (found.mask == wanted.mask).mean() > 0.999


@pytest.mark.slow
def test_predict_segments_with_an_exported_model(exported, command):
    checkpoint, path = exported("psp.onnx")
    Image.fromarray(noise(61, 83)).save("a.png")
    masks = []
    for name, model in (("own", checkpoint), ("onnx", path)):
        done = command("predict.py", model, "a.png", "--out", name)
        assert done.returncode == 0 and not done.stderr, done.stderr
        masks.append(np.asarray(Image.open(f"{name}/a_mask.png")))
    assert (masks[0] == masks[1]).mean() > 0.999


@pytest.mark.parametrize(("rows", "columns"), [(12, 17), (6, 6), (5, 3), (1, 40), (100, 7)])
@pytest.mark.parametrize("bins", [1, 2, 3, 6, (2, 5)])
def test_pooling_over_bins_is_that_of_torch(rows, columns, bins):
    x = torch.randn(2, 3, rows, columns, dtype=torch.float64)
    torch.testing.assert_close(_MeanOfBins(bins)(x), nn.AdaptiveAvgPool2d(bins)(x))


# ---- the other formats, backbones


@pytest.mark.slow
def test_torchs_own_archive_holds_the_same(exported):
    checkpoint, path = exported("dia.pt2")
    extra = {"ean_transfer.json": ""}
    module = torch.export.load(path, extra_files=extra).module()
    assert json.loads(extra["ean_transfer.json"])["task"] == "counting"
    model = transfer.load_model(checkpoint)
    for height, width in ((61, 83), (64, 48)):
        images = np.stack([noise(height, width, seed) for seed in (1, 2)])
        density, count = module(torch.from_numpy(images))
        for i, image in enumerate(images):
            expected = model.predict(image)
            assert expected.count > 1
            assert float(count[i]) == pytest.approx(expected.count, rel=1e-5)
            np.testing.assert_allclose(density[i], expected.density, atol=1e-5 * expected.density.max())
    with pytest.raises(UserInputError, match=r"unpickles .* can run code, so it is not opened"):
        transfer.load_model(path)


def test_weights_are_read_as_a_checkpoint(tmp_path, command):
    checkpoint = save(tmp_path, "se", MODELS_OF["se"])
    done = command("export.py", checkpoint, "--format", "safetensors", "--out", "se.safetensors")
    assert done.returncode == 0 and "weights and config" in done.stdout, done.stderr
    image = noise(61, 83)
    found, expected = (transfer.load_model(name).predict(image) for name in ("se.safetensors", checkpoint))
    assert found.count == expected.count


@pytest.mark.slow
def test_a_backbone_gives_its_feature_maps(command):
    name = "resnet38.c100_6ep"
    done = command("export.py", name, "--out", "net.onnx", "--size", "45x61")
    assert done.returncode == 0 and not done.stderr, done.stderr
    images = np.stack([noise(45, 61, seed) for seed in (1, 2)])
    net, card = backbones.create_backbone(name, init="full", out_indices=(0, 1, 2)).eval(), backbones.get_card(name)
    x = (images / 255 - np.array(card.mean)) / np.array(card.std)
    with torch.no_grad():
        expected = net(torch.from_numpy(x.transpose(0, 3, 1, 2)).float())
    for found, wanted in zip(run("net.onnx", images, "stage1", "stage2", "stage3"), expected, strict=True):
        np.testing.assert_allclose(found, wanted, atol=2e-5 * float(wanted.abs().max()))
    assert record("net.onnx")["size"] == [45, 61]


# ---- wrong input


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("se.pth", "--out", "x.pth"), "format 'pth', expected one of onnx, pt2, safetensors"),
        (("se.pth", "--out", "x"), "format '', expected one of"),
        (("se.pth", "--out", "x.pt2", "--format", "onnx"), "expected a name that ends in .onnx"),
        (("se.pth", "--out", "folder.onnx"), "is a folder"),
        (("se.pth", "--out", "x.onnx", "--size", "640"), "--size 640: expected height and width"),
        (("se.pth", "--out", "x.safetensors", "--size", "64x64"), "weights go with any size"),
        (("se.pth", "--out", "x.onnx", "--size", "8x640"), "expected at least 16x16"),
        (("se.pth", "b.pth", "c.pth", "--out", "x.onnx"), "expected one model"),
        (("se.py", "--out", "x.onnx"), "expected CHECKPOINT"),
        (("lost.pth", "--out", "x.onnx"), "lost.pth: no such checkpoint"),
        (("resnet38.c100_6pe", "--out", "x.onnx"), "Did you mean 'resnet38.c100_6ep'"),
        (("resnet38.cifar100", "--out", "x.onnx"), "resnet38.cifar100"),
        (("resnet38.c100_6ep", "--out", "x.onnx", "--cfg-options", "model.noun=x"), "leave --cfg-options out"),
        (("se.pth", "--out", "x.onnx", "--cfg-options", "model.hed=x"), "Did you mean 'head'"),
    ],
)
def test_wrong_input_is_one_line_and_leaves_nothing(command, tmp_path, words, told):
    save(tmp_path, "se", MODELS_OF["se"])
    Path("folder.onnx").mkdir()
    before = sorted(path for path in Path().rglob("*") if "__pycache__" not in str(path))
    done = command("export.py", *words)
    assert (done.returncode, done.stdout) == (2, ""), done
    assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1 and told in done.stderr
    assert sorted(path for path in Path().rglob("*") if "__pycache__" not in str(path)) == before


@pytest.mark.slow
@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("test_cfg=dict(mode='slide', crop_size=(64, 64), stride=(32, 32))", "a graph predicts whole images"),
        ("data_preprocessor=dict(test_cfg=dict(size=(64, 64)))", "becomes part of an exported graph"),
    ],
)
def test_what_no_graph_holds_is_refused(command, tmp_path, text, told):
    save(tmp_path, "seg", SEGMENTOR.format(text))
    done = command("export.py", "seg.pth", "--out", "x.onnx")
    assert done.returncode == 2 and told in done.stderr.splitlines()[-1], done.stderr


class Bound(nn.AdaptiveAvgPool2d):
    """A layer that torch takes down for the traced size alone."""


@pytest.mark.slow
def test_a_layer_that_is_bound_to_the_traced_size_is_found_out(command, tmp_path, monkeypatch):
    monkeypatch.setattr("transfer.deploy.exportable._MeanOfBins", Bound)
    save(tmp_path, "psp", MODELS_OF["psp"])
    done = command("export.py", "psp.pth", "--out", "x.onnx")
    assert done.returncode == 2 and "--size HxW" in done.stderr.splitlines()[-1], done.stderr
    assert not Path("x.onnx").exists()

"""From a checkpoint to a model by name, as people type it and from Python, with a counter and a segmentor."""

import hashlib
import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from checkpoint_files import save_checkpoint
from mmengine.registry import MODELS, DefaultScope
from PIL import Image
from safetensors.torch import load_file

import transfer
from backbones.errors import UserInputError
from transfer.engine.checkpoint import backbone_meta
from transfer.engine.config_check import load_config, scope_of
from transfer.engine.runner_setup import prepare
from transfer.engine.saved_config import check_known, config_from_text, config_text

CONFIGS = Path(__file__).resolve().parents[2] / "configs"
COUNTER = """
task = "counting"
custom_imports = dict(imports=["tasks.counting"])
model = dict(type="CrowdCounter", head=dict(type="DilatedHead", channels=(5,)), loss=dict(type="DensityMSELoss"),
             backbone=dict(type="RegisteredBackbone", name="resnet38_share_ean_se", stride=8))
"""
SEGMENTOR = f"""
_base_ = "{CONFIGS}/voc_small_ean_se.py"
model = dict(decode_head=dict(channels=8, num_classes=3), auxiliary_head=dict(channels=8, num_classes=3))
"""
CLASSES = {"classes": ("sky", "sea", "land"), "palette": [[1, 2, 3], [4, 5, 6], [7, 8, 9]]}


def save(name, text, meta=(), own_config=True, seed=0):
    """A config and a checkpoint as training writes it, the weights drawn; returns the network."""
    Path(f"{name}.py").write_text(text)
    config = load_config(f"{name}.py")
    torch.manual_seed(seed)
    with DefaultScope.overwrite_default_scope(scope_of(config)):
        network = MODELS.build(config.model).eval()
    for key, tensor in network.state_dict().items():
        if tensor.dim() == 4:
            torch.nn.init.kaiming_normal_(tensor)
        elif key.endswith("running_var"):
            tensor.uniform_(0.5, 2)
    said = {"cfg": config.pretty_text} if own_config else {}
    meta = {**said, "seed": 3, "iter": 9, **backbone_meta(network), **dict(meta)}
    save_checkpoint({"state_dict": network.state_dict(), "meta": meta}, f"{name}.pth")
    return network


@pytest.fixture
def own(command, tmp_path, monkeypatch):
    """The user's own cards; the current folder holds an image."""
    monkeypatch.setenv("TRANSFER_CARDS", str(tmp_path / "cards"))
    pixels = np.random.default_rng(0).integers(0, 256, (40, 57, 3), np.uint8)
    Image.fromarray(pixels).save("a.png")
    return tmp_path / "cards" / "models"


def files(folder):
    return sorted(path.name for path in folder.glob("*")) if folder.exists() else []


def only(record="out/predictions.json"):
    (row,) = json.loads(Path(record).read_text())["predictions"]
    return row


# ---- a counter


def test_a_checkpoint_alone_becomes_a_model_by_name(command, own):
    network = save("tiny", COUNTER)
    done = command("models.py", "register", "tiny.pth", "--name", "tiny", "--default", "--trained-on", "noise")
    assert done.returncode == 0 and str(own) in done.stdout, done.stderr
    assert files(own) == ["tiny.safetensors", "tiny.toml"]
    stored = load_file(own / "tiny.safetensors")
    assert all(stored[key].equal(tensor) for key, tensor in network.state_dict().items())

    inputs = torch.from_numpy(np.array(Image.open("a.png")).transpose(2, 0, 1))
    with torch.no_grad():
        batch = network.data_preprocessor({"inputs": [inputs]})
        density = network(batch["inputs"], mode="tensor")[0, 0]  # 5 x 8 cells: nothing is padded but the last column
    expected = density.double().sum().item()
    for model in ((), ("--model", "tiny"), ("tiny.pth",), ("tiny.py", "tiny.pth")):
        arguments = ("a.png", *model) if model[:1] == ("--model",) else (*model, "a.png")
        done = command("predict.py", *arguments, "--out", "out", "--overwrite")
        assert done.returncode == 0 and not done.stderr, done.stderr
        assert only()["count"] == pytest.approx(expected, abs=2e-3)

    for name in ("tiny", None, "tiny.pth"):
        model = transfer.load_model(name, device="cpu")
        for image in ("a.png", Path("a.png"), Image.open("a.png"), np.asarray(Image.open("a.png"))):
            found = model.predict(image)
            assert found.count == pytest.approx(expected, rel=1e-5) and (found.stride, found.size) == (8, (40, 57))
            assert found.noun == model.network.noun == "people"
            assert found.density.dtype == np.float32
            assert found.density == pytest.approx(density.numpy(), rel=1e-4, abs=1e-6)
            assert len(found.points) == round(expected)
            assert ((found.points >= 0) & (found.points <= (57, 40))).all()
    assert model.card is None and transfer.load_model("tiny").card.data.trained_on == "noise"


def test_options_of_the_config_hold_for_a_model_by_name(command, own):
    Image.new("RGB", (400, 300)).save("large.png")
    save("tiny", COUNTER)
    command("models.py", "register", "tiny.pth", "--name", "tiny")
    options = ("--cfg-options", "model.test_cfg.max_pixels=60000")
    done = command("predict.py", "--model", "tiny", "large.png", "--out", "out", *options)
    assert done.returncode == 0 and np.prod(only()["tiles"]) > 1, done.stderr
    done = command("predict.py", "--model", "tiny", "large.png", "--out", "x", "--cfg-options", "model.hed=3")
    assert done.returncode == 2 and "Did you mean 'head'" in done.stderr


def test_half_the_size_and_nearly_the_same_count(command, own):
    save("tiny", COUNTER)
    for name, options in (("whole", ()), ("half", ("--half",))):
        assert command("models.py", "register", "tiny.pth", "--name", name, *options).returncode == 0
    whole, half = (load_file(own / f"{name}.safetensors") for name in ("whole", "half"))
    sizes = [(own / f"{name}.safetensors").stat().st_size for name in ("half", "whole")]
    assert sizes[0] < 0.6 * sizes[1]
    for key, tensor in half.items():
        assert tensor.dtype == (torch.float16 if whole[key].dim() > 1 else whole[key].dtype), key
        assert torch.allclose(tensor.float(), whole[key].float(), rtol=1e-3, atol=1e-6)
    counts = [transfer.load_model(name).predict("a.png").count for name in ("whole", "half")]
    assert counts[0] != counts[1] and counts[1] == pytest.approx(counts[0], rel=0.02)


def test_weights_beyond_float16_stay_as_they_are(command, own):
    network = save("tiny", COUNTER)
    key = next(key for key, tensor in network.state_dict().items() if key.startswith("head") and tensor.dim() == 4)
    checkpoint = torch.load("tiny.pth")
    checkpoint["state_dict"][key][0, 0] = 1e6
    save_checkpoint(checkpoint, "tiny.pth")
    command("models.py", "register", "tiny.pth", "--name", "tiny", "--half")
    assert load_file(own / "tiny.safetensors")[key].equal(checkpoint["state_dict"][key])


def metrics(checkpoint="tiny.pth", **changes):
    record = {
        "metrics": {"mae": 12.5, "iou": {"sky": 3.0}},
        "checkpoint_sha256": hashlib.sha256(Path(checkpoint).read_bytes()).hexdigest(),
        "command": "python tools/test.py tiny.py tiny.pth",
        "data": {"name": "Noise", "split": "test", "images": 4, "leaked": ["x"]},
        **changes,
    }
    Path("metrics.json").write_text(json.dumps(record))


def test_metrics_come_from_a_test_of_this_very_checkpoint(command, own):
    save("tiny", COUNTER)
    metrics(intervals={"mae": [11, 14]})
    assert command("models.py", "register", "tiny.pth", "--name", "tiny", "--metrics", "metrics.json").returncode == 0
    (row,) = json.loads(command("models.py", "show", "tiny", "--json").stdout)["measured"]
    assert row == {
        "command": "python tools/test.py tiny.py tiny.pth",
        "data": "Noise test, 4 images",
        "metrics": {"mae": 12.5},
        "intervals": {"mae": [11.0, 14.0]},
    }
    assert "mae 12.5 (11 to 14)" in command("models.py", "show", "tiny").stdout
    save("other", COUNTER, seed=1)
    metrics("other.pth")
    done = command("models.py", "register", "tiny.pth", "--name", "second", "--metrics", "metrics.json")
    assert done.returncode == 2 and "metrics.json: measured on the checkpoint" in done.stderr
    assert files(own) == ["tiny.safetensors", "tiny.toml"]


def test_a_pack_is_taken_back(command, own):
    save("tiny", COUNTER)
    command("models.py", "register", "tiny.pth", "--name", "tiny")
    before = {name: (own / name).read_bytes() for name in files(own)}
    assert command("models.py", "pack", "tiny", "tiny.zip").returncode == 0
    assert command("models.py", "remove", "tiny").returncode == 0 and files(own) == []
    done = command("models.py", "register", "tiny.zip", "--name", "x")
    assert done.returncode == 2 and "--name cannot be given beside it" in done.stderr
    assert command("models.py", "register", "tiny.zip").returncode == 0
    assert {name: (own / name).read_bytes() for name in files(own)} == before


def test_a_hubs_folder_predicts_and_is_taken_back(command, own):
    save("tiny", COUNTER)
    command("models.py", "register", "tiny.pth", "--name", "tiny", "--trained-on", "noise", "--licence", "MIT")
    before = {name: (own / name).read_bytes() for name in files(own)}
    expected = transfer.load_model("tiny").predict("a.png")
    assert command("models.py", "pack", "tiny", "hub", "--layout", "hub").returncode == 0
    assert files(Path("hub")) == ["README.md", "card.toml", "config.json", "model.safetensors"]
    assert command("models.py", "remove", "tiny").returncode == 0
    model = transfer.load_model("hub", task="counting")
    assert model.card.name == "tiny" and np.array_equal(model.predict("a.png").density, expected.density)
    done = command("predict.py", "--model", "hub", "a.png", "--out", "out")
    assert done.returncode == 0 and only()["count"] == pytest.approx(expected.count, abs=0.01), done.stderr
    assert command("models.py", "verify", "hub").returncode == 0
    assert command("models.py", "register", "hub").returncode == 0
    assert {name: (own / name).read_bytes() for name in files(own)} == before


def test_a_registered_name_is_no_folder(command, own):
    save("tiny", COUNTER)
    command("models.py", "register", "tiny.pth", "--name", "tiny")
    Path("tiny").mkdir()
    assert transfer.load_model("tiny").card.path.parent == own
    with pytest.raises(UserInputError, match=r"holds no config.json; expected a folder that"):
        transfer.load_model("./tiny")


def test_a_hubs_folder_of_another_task_or_kind_is_refused(command, own):
    save("tiny", COUNTER)
    command("models.py", "register", "tiny.pth", "--name", "tiny")
    command("models.py", "pack", "tiny", "hub", "--layout", "hub")
    with pytest.raises(UserInputError, match="is of task 'counting', not of 'segmentation'"):
        transfer.load_model("hub", task="segmentation")
    command("backbones.py", "pack", "resnet38_share_ean_se", "net", "--layout", "hub")
    with pytest.raises(UserInputError, match="net: holds a backbone, expected a model"):
        transfer.load_model("net")
    done = command("backbones.py", "register", "hub")
    assert done.returncode == 2 and "hub: holds a model, expected a backbone" in done.stderr


def test_verify_finds_what_does_not_hold(command, own):
    save("tiny", COUNTER)
    command("models.py", "register", "tiny.pth", "--name", "tiny")
    rows = json.loads(command("models.py", "verify", "--all", "--json").stdout)
    assert {"name": "tiny", "ok": True, "problem": ""} in rows and all(row["ok"] for row in rows)  # the package's too
    done = command("models.py", "list", "tinny*")
    assert (done.returncode, done.stdout) == (0, "") and "Did you mean 'tiny" in done.stderr
    card = own / "tiny.toml"
    text = card.read_text()
    for old, new, told in (
        ('task = "counting"', 'task = "segmentation"', "its config is of 'counting'"),
        ("1110.0000.1010", "1110.0000.1011", "its config builds"),
        ("channels=(5, )", "channels=(6, )", "of another shape"),
        ("'DilatedHead'", "'DilatedHed'", "Did you mean 'DilatedHead'"),
        ("bytes = ", "bytes = 1", "but the card says 1"),
        ("counting", "counting", None),
    ):
        card.write_text(text.replace(old, new))
        done = command("models.py", "verify", "tiny")
        assert (done.returncode == 0) == (told is None) and (told or "") in done.stderr, (old, done.stderr)
        assert done.stderr.count("\n") == (told is not None)


def test_another_scheme_of_the_same_keys_is_found_out(command, own):
    """Modules that a stage shares have the same keys whichever of its blocks they are connected to."""
    save("tiny", COUNTER)
    command("models.py", "register", "tiny.pth", "--name", "tiny")
    card = own / "tiny.toml"
    card.write_text(card.read_text().replace("stride=8", "scheme='1010.0000.1010', stride=8"))
    done = command("predict.py", "--model", "tiny", "a.png", "--out", "out")
    assert done.returncode == 2 and "connection scheme 1110.0000.1010 instead of 1010.0000.1010" in done.stderr


def test_a_name_without_its_tag_is_written_out(command, own):
    save("tiny", COUNTER)
    command("models.py", "register", "tiny.pth", "--name", "tiny")
    assert "name='resnet38_share_ean_se.c100_6ep'" in command("models.py", "show", "tiny", "--config").stdout


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("predict.py", "a.png", "--model", "tini"), "Did you mean 'tiny'"),
        (("predict.py", "a.png", "--task", "segmentation"), "no default model for task 'segmentation'"),
        (("predict.py", "a.png", "--task", "couting"), "Did you mean 'counting'"),
        (("predict.py", "a.png", "--model", "tiny", "--task", "segmentation"), "is of task 'counting'"),
        (("predict.py", "tiny.pth", "a.png", "--task", "segmentation"), "is of task 'counting'"),
        (("predict.py", "tiny.pth", "a.png", "--model", "tiny"), "tiny.pth cannot be given beside it"),
        (("predict.py", "tiny.py", "a.png"), "expected CHECKPOINT"),
        (("predict.py", "tiny.pth"), "nothing to predict"),
        (("predict.py", "bare.pth", "a.png"), "bare.pth: holds no config"),
        (("predict.py", "lost.pth", "a.png"), "lost.pth: no such checkpoint"),
        (("models.py", "show", "tini"), "Did you mean 'tiny'"),
        (("models.py", "verify"), "the name of one model, or --all"),
        (("models.py", "remove", "tini"), "is not registered"),
        (("models.py", "pack", "tiny", "tiny.rar"), "ends in .zip or .tar"),
        (("models.py", "register", "tiny.pth"), "expected --name"),
        (("models.py", "register", "bare.pth", "--name", "x"), "bare.pth: holds no config"),
        (("models.py", "register", "tiny.pth", "--name", "tiny"), "is registered already"),
        (("models.py", "register", "tiny.pth", "--name", "Tiny"), "expected lower case"),
        (("models.py", "register", "tiny.py", "other.pth", "--name", "x"), "does not fit the config's model"),
        (("models.py", "register", "a.py", "b.py", "tiny.pth", "--name", "x"), "expected CHECKPOINT, or CONFIG"),
        (("models.py", "register", "tiny.pth", "--name", "x", "--metrics", "none.json"), "none.json: no such file"),
    ],
)
def test_wrong_input_is_one_line_and_leaves_nothing(command, own, arguments, told):
    save("tiny", COUNTER)
    save("bare", COUNTER, own_config=False)
    save_checkpoint({"state_dict": {"weight": torch.zeros(1)}, "meta": {}}, "other.pth")
    assert command("models.py", "register", "tiny.pth", "--name", "tiny").returncode == 0
    before = sorted(Path().rglob("*"))
    done = command(*arguments, *(("--out", "out") if arguments[0] == "predict.py" else ()))
    assert (done.returncode, done.stdout) == (2, ""), done.stderr
    assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1 and told in done.stderr
    assert sorted(path for path in Path().rglob("*") if "__pycache__" not in str(path)) == before


def test_a_failed_write_leaves_nothing(command, own, monkeypatch):
    save("tiny", COUNTER)

    def full(card):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("backbones.model_card.ModelCard.to_toml", full)
    done = command("models.py", "register", "tiny.pth", "--name", "tiny")
    assert done.returncode == 1 and "No space left" in done.stderr and files(own) == []


@pytest.mark.parametrize("image", [np.zeros((4, 4, 3)), np.zeros((3, 4, 4), np.uint8), torch.zeros(4), [[["a"]]]])
def test_arrays_of_another_kind_are_refused(command, own, image):
    save("tiny", COUNTER)
    with pytest.raises(UserInputError, match=r"expected uint8, \(height, width, 3\)"):
        transfer.load_model("tiny.pth").predict(image)


# ---- nothing is run

MARKED = "open('ran', 'w').close()"


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("'tasks.counting',", "'evil',", None),
        ("type='DensityMSELoss'", "type='evil.Thing'", "expected a registered name"),
        ("type='DensityMSELoss'", "type='Thing'", "unknown"),
        ("type='DensityMSELoss'", "type='DensityMSELoss', _scope_='evil'", "expected one of mmengine, mmseg"),
        ("task = 'counting'", "task = 'counting'\ndefault_scope = 'evil'", "expected one of mmengine, mmseg"),
        ("type='DensityMSELoss'", "type='DensityMSELoss', class_weight='http://x.org/w.pkl'", "can run code"),
        ("task = 'counting'", "task = 'evil'", "task='evil'"),
        ("model = dict(", "x = open('ran', 'w')\nmodel = dict(", "key 'config.text'"),
    ],
)
def test_a_card_from_elsewhere_runs_nothing(command, own, monkeypatch, tmp_path, old, new, told):
    save("tiny", COUNTER)
    command("models.py", "register", "tiny.pth", "--name", "tiny")
    (tmp_path / "evil").mkdir()
    for name in ("__init__", "registry"):
        (tmp_path / f"evil/{name}.py").write_text(MARKED)
    monkeypatch.syspath_prepend(str(tmp_path))
    card = own / "tiny.toml"
    assert old in card.read_text()
    card.write_text(card.read_text().replace(old, new))
    done = command("predict.py", "--model", "tiny", "a.png", "--out", "out")
    assert not Path("ran").exists()
    assert done.returncode == (2 if told else 0) and (told or "") in done.stderr, done.stderr
    assert done.stderr.count("\n") == (1 if told else 0)


def test_a_class_of_ones_own_is_named_with_the_import_that_it_needs(command, own):
    text = COUNTER.replace('"tasks.counting"', '"tasks.counting", "own_head"').replace("DilatedHead", "OwnHead")
    Path("own_head.py").write_text(
        "from mmengine.registry import MODELS\nfrom tasks.counting.heads import DilatedHead\n"
        "@MODELS.register_module(force=True)\nclass OwnHead(DilatedHead):\n    pass\n"
    )
    sys.path.insert(0, "")
    try:
        save("tiny", text)
        assert command("predict.py", "tiny.pth", "a.png", "--out", "out").returncode == 0  # it is imported already
        MODELS.module_dict.pop("OwnHead")
        sys.modules.pop("own_head")
        done = command("predict.py", "tiny.pth", "a.png", "--out", "out")
        assert done.returncode == 2 and "its config imports own_head" in done.stderr
    finally:
        sys.path.remove("")


# ---- a segmentor


def test_a_segmentor_by_name(command, own):
    pytest.importorskip("mmseg", reason="mmsegmentation is not installed (extras lite and full)")
    network = save("seg", SEGMENTOR, {"dataset_meta": CLASSES})
    assert command("models.py", "register", "seg.pth", "--name", "seg", "--default").returncode == 0
    assert command("models.py", "verify", "seg").returncode == 0
    done = command("predict.py", "a.png", "--out", "out")
    assert done.returncode == 0, done.stderr
    model = transfer.load_model("seg", task="segmentation")
    pixels = np.asarray(Image.open("a.png"))
    found, again = model.predict("a.png"), model.predict(pixels)
    assert found.mask.shape == (40, 57) and found.mask.dtype == np.uint8 and (found.mask == again.mask).all()
    assert (found.mask == np.asarray(Image.open("out/a_mask.png"))).all()
    assert found.classes == ("sky", "sea", "land") and found.palette == ((1, 2, 3), (4, 5, 6), (7, 8, 9))
    counts = {name: (found.mask == i).mean() for i, name in enumerate(found.classes) if (found.mask == i).any()}
    assert found.shares == pytest.approx(counts) and list(found.shares.values()) == sorted(counts.values())[::-1]
    assert only()["shares"] == pytest.approx(found.shares, abs=1e-6)
    state = model.network.state_dict()
    assert all(state[key].equal(tensor) for key, tensor in network.state_dict().items())


def test_defaults_of_two_tasks_need_a_word(command, own):
    pytest.importorskip("mmseg", reason="mmsegmentation is not installed (extras lite and full)")
    for name, text in (("seg", SEGMENTOR), ("tiny", COUNTER)):
        save(name, text)
        assert command("models.py", "register", f"{name}.pth", "--name", name, "--default").returncode == 0
    done = command("predict.py", "a.png", "--out", "out")
    assert done.returncode == 2 and "seg (segmentation), tiny (counting); name a task" in done.stderr
    assert command("predict.py", "a.png", "--out", "out", "--task", "counting").returncode == 0 and "count" in only()
    done = command("models.py", "register", "tiny.pth", "--name", "second", "--default")
    assert done.returncode == 2 and "'tiny' is the default for 'counting' already" in done.stderr
    assert {"seg", "tiny"} <= {*transfer.list_models()} and "seg" not in transfer.list_models(task="counting")


# ---- the configs that training stores


@pytest.mark.parametrize("name", ["shha_small_ean_se", "voc_small_ean_se"])
def test_a_config_comes_back_as_training_stored_it(name, tmp_path):
    if name.startswith("voc"):
        pytest.importorskip("mmseg", reason="mmsegmentation is not installed (extras lite and full)")
    config = prepare(load_config(name), work_dir=tmp_path / "w")
    read = config_from_text(config.pretty_text, "a checkpoint")
    assert read.to_dict() == config.to_dict()
    check_known(read)
    assert str(tmp_path) not in config_text(read)

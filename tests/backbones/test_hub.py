"""Folders of a model hub: what is written is read back bit by bit, by us and by timm; what is doubtful is refused."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from card_files import shake, small_card
from safetensors.torch import load_file

from backbones.card import BackboneCard, Figures
from backbones.errors import UserInputError
from backbones.files import sha256_file
from backbones.hub import CARD, CONFIG, README, WEIGHTS, load_backbone, read_folder
from backbones.hub_pack import pack_folder
from backbones.model_card import Measured, ModelCard, StoredConfig, TrainingData, UsedBackbone
from backbones.registry import build, get_card, list_backbones, register_backbone, remove_backbone
from backbones.weights import save_safetensors
from backbones.weights_file import Weights

pytest.importorskip("timm", reason="timm is not installed (extra timm)")
yaml = pytest.importorskip("yaml")

X = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def own(tmp_path, monkeypatch):
    """The user's own cards."""
    monkeypatch.setenv("TRANSFER_CARDS", str(tmp_path / "cards"))
    return tmp_path / "cards"


@pytest.fixture
def card(own):
    """One of the user's own, with weights."""
    figures = Figures("a test | of mine", "cifar100 test", {"top1": 12.5})
    card = small_card("resnet20_hub.mine", summary="of a test", measured=(figures,))
    state = shake(build(card, num_classes=5)).state_dict()
    return register_backbone(card, weights=state, licence="MIT", weights_source="a test")


@pytest.fixture
def folder(card, tmp_path):
    return pack_folder(card, tmp_path / "hub")


def front(folder):
    _, text, _ = (folder / README).read_text().split("---\n", 2)
    return yaml.safe_load(text)


# ---- there and back


def test_a_backbone_comes_back_bit_by_bit(card, folder, own):
    before = {path.name: path.read_bytes() for path in own.iterdir()}
    wanted = build(card, init="full", num_classes=5).eval()(X)
    remove_backbone(card.name)
    assert torch.equal(load_backbone(folder, num_classes=5).eval()(X), wanted)
    assert load_file(folder / WEIGHTS).keys() == build(card, num_classes=5).state_dict().keys()
    register_backbone(read_folder(folder, BackboneCard))
    assert {path.name: path.read_bytes() for path in own.iterdir()} == before


def test_the_same_card_gives_the_same_bytes(card, folder, tmp_path):
    again = pack_folder(card, tmp_path / "again")
    assert all((again / path.name).read_bytes() == path.read_bytes() for path in folder.iterdir())


def test_timm_loads_it_registered_or_of_a_tag_that_is_not(card, folder, own):
    import timm

    from backbones import timm_plugin

    timm_plugin.register_backbones()
    wanted = build(card, init="full", num_classes=5).eval()(X)
    for _ in range(2):
        model = timm.create_model(f"local-dir:{folder}", pretrained=True).eval()
        assert torch.equal(model(X), wanted) and str(model.scheme) == "10.01.11"
        config = timm.data.resolve_model_data_config(model)
        assert (tuple(config["mean"]), tuple(config["std"])) == (card.mean, card.std)
        if card.name in list_backbones():
            remove_backbone(card.name)


def test_its_model_card_says_what_it_is(folder, card):
    said = front(folder)
    assert said["license"] == "mit" and said["library_name"] == "timm"
    assert said["datasets"] == ["cifar100"] and said["metrics"] == ["accuracy"] and "se" in said["tags"]
    text = (folder / README).read_text()
    assert "layer1     64 channels  ■ □  1/2" in text and f"{card.parameters.count:,}" in text
    assert "| cifar100 test | top1 12.5 | a test \\| of mine |" in text


@pytest.mark.parametrize(
    ("licence", "said"),
    [
        ("Apache-2.0", {"license": "apache-2.0"}),
        ("unstated", {"license": "unknown"}),
        ('Mine: "ask", #1', {"license": "other", "license_name": 'Mine: "ask", #1'}),
    ],
)
def test_licences_are_yaml(own, tmp_path, licence, said):
    state = build(small_card("resnet20.l"), num_classes=None).state_dict()
    card = register_backbone(small_card("resnet20_hub.licensed"), weights=state, licence=licence)
    found = front(pack_folder(card, tmp_path / "hub"))
    assert {key: value for key, value in found.items() if key.startswith("license")} == said


def test_the_commands_of_a_model_card_work(folder):
    blocks = (folder / README).read_text().split("```python\n")[1:]
    assert len(blocks) == 2
    for block in blocks:
        names = {}
        exec(block.split("```")[0].replace("FOLDER", str(folder)), names)
        assert len(names["model"].eval()(X)) >= 2


def test_a_task_models_card(tmp_path):
    save_safetensors({"w": torch.ones(2)}, tmp_path / "m.safetensors")
    card = ModelCard(
        name="m",
        task="segmentation",
        backbone=UsedBackbone("resnet20_hub.mine", "10.01.11"),
        data=TrainingData("Pascal VOC, 1,464 images", "photographs", "research only"),
        measured=(Measured("tools/test.py m", "VOC val", {"miou": 13.6}),),
        weights=Weights(sha256_file(tmp_path / "m.safetensors"), file="m.safetensors", licence="MIT"),
        config=StoredConfig("model = dict(type='x')"),
        path=tmp_path / "m.toml",
    )
    folder = pack_folder(card, tmp_path / "hub")
    said = front(folder)
    assert said["pipeline_tag"] == "image-segmentation" and said["library_name"] == "ean-transfer"
    assert said["datasets"] == ["pascal-voc"] and said["metrics"] == ["mean_iou"]
    text = (folder / README).read_text()
    assert "  layer2  □ ■  1/2" in text and "| VOC val | miou 13.6 | `tools/test.py m` |" in text
    found = read_folder(folder, ModelCard)
    assert found.weights.sha256 == card.weights.sha256 and found.config == card.config


# ---- what is refused


def one_line(told, call, *args):
    with pytest.raises(UserInputError, match=told) as error:
        call(*args)
    assert "\n" not in str(error.value)


def edited(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


@pytest.mark.parametrize("name", [CONFIG, CARD, WEIGHTS])
def test_what_is_missing_is_named(folder, name):
    (folder / name).unlink()
    one_line(f"holds no {name}; expected a folder that", read_folder, folder, BackboneCard)


def test_no_folder_and_no_hubs_folder(tmp_path):
    one_line("no such folder", read_folder, tmp_path / "none", BackboneCard)
    one_line("holds no config.json", read_folder, tmp_path, BackboneCard)


@pytest.mark.parametrize("name", [CONFIG, CARD, WEIGHTS])
def test_links_out_of_the_folder_are_refused(folder, tmp_path, name):
    shutil.move(folder / name, tmp_path / name)
    (folder / name).symlink_to(tmp_path / name)
    one_line(f"{name}.*a link that leaves", read_folder, folder, BackboneCard)


@pytest.mark.parametrize(
    ("name", "old", "new", "told"),
    [
        (CONFIG, "{", "[", "not valid JSON"),
        (CONFIG, '"ean_transfer"', '"other"', "key 'ean_transfer' is None"),
        (CONFIG, '"kind": "backbone"', '"kind": "model"', "holds a model, expected a backbone"),
        (CONFIG, "10.01.11", "11.11.11", "config.json beside it"),
        (CARD, "10.01.11", "11.11.11", "config.json beside it"),
        (CARD, "model.safetensors", "../x.safetensors", "which leaves the card's folder"),
        (CARD, "model.safetensors", "README.md", "names other weights than model.safetensors"),
        (CARD, "arch =", "arsch =", "arsch"),
    ],
)
def test_files_that_do_not_belong_together(folder, name, old, new, told):
    edited(folder / name, old, new)
    one_line(told, read_folder, folder, BackboneCard)


def replace_weights(folder, change):
    """Other weights, of which the card knows."""
    before = sha256_file(folder / WEIGHTS)
    size = (folder / WEIGHTS).stat().st_size
    state = load_file(folder / WEIGHTS)
    change(state)
    save_safetensors(state, folder / WEIGHTS)
    edited(folder / CARD, before, sha256_file(folder / WEIGHTS))
    edited(folder / CARD, str(size), str((folder / WEIGHTS).stat().st_size))


def test_damaged_weights(folder):
    data = bytearray((folder / WEIGHTS).read_bytes())
    data[-1] ^= 1
    (folder / WEIGHTS).write_bytes(data)
    one_line("sha256 is", read_folder, folder, BackboneCard)


def test_weights_that_are_not_finite(folder):
    replace_weights(folder, lambda state: state["conv1.weight"].fill_(float("inf")))
    one_line("'conv1.weight' holds numbers that are not finite", read_folder, folder, BackboneCard)


def test_weights_of_another_network(folder):
    replace_weights(folder, lambda state: state.pop("layer1.0.conv1.weight"))
    one_line("'layer1.0.conv1.weight' is missing", load_backbone, folder)


def test_pickled_weights_are_not_opened(folder):
    torch.save({"conv1.weight": torch.ones(1)}, folder / "pytorch_model.bin")
    (folder / WEIGHTS).unlink()
    one_line("holds no model.safetensors", read_folder, folder, BackboneCard)


def test_where_a_folder_cannot_go(card, folder, tmp_path, monkeypatch):
    one_line("is there already", pack_folder, card, folder)
    one_line("has no weights", pack_folder, get_card("resnet38_share_ean_se.standin"), tmp_path / "x")
    monkeypatch.setattr("backbones.hub_pack._readme", lambda card: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        pack_folder(card, tmp_path / "x")
    assert not (tmp_path / "x").exists() and not list(Path(tmp_path).glob(".x*"))


def test_without_timm_it_says_so(card, tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "backbones.timm_plugin", None)
    one_line("needs timm", pack_folder, card, tmp_path / "x")


def test_config_is_timms(folder):
    config = json.loads((folder / CONFIG).read_text())
    assert config["architecture"] == "resnet20_hub" and config["num_classes"] == 5
    assert config["pretrained_cfg"]["tag"] == "mine" and "file" not in config["pretrained_cfg"]

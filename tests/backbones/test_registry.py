"""The registry: names, overrides, the user's own cards, whole or not at all; packs."""

import io
import os
import tarfile
import zipfile
from dataclasses import replace

import pytest
import torch
from card_files import shake, small_card

import backbones
from backbones.archive import pack, unpack
from backbones.card import BackboneCard, ParameterCount, Provenance, Weights
from backbones.errors import UserInputError
from backbones.registry import (
    build,
    create_backbone,
    get_card,
    list_backbones,
    register_backbone,
    remove_backbone,
    shipped_folder,
    user_folder,
)
from backbones.resnet import AttentionResNet
from backbones.weights import save_safetensors, sha256_file


@pytest.fixture
def own(tmp_path, monkeypatch):
    """The user's own cards, in an empty folder."""
    folder = tmp_path / "cards"
    monkeypatch.setenv("TRANSFER_CARDS", str(folder))
    return folder


def weights_of(card, path, seed=0, **options):
    torch.manual_seed(seed)
    model = shake(build(card, **options), seed)
    save_safetensors(model.state_dict(), path)
    return model


def pretrained():
    return set(list_backbones(pretrained=True))


def files(folder):
    return sorted(path.name for path in folder.glob("*")) if folder.exists() else []


# ---- names


def test_registered_from_the_start(own):
    shipped = sorted(path.stem for path in shipped_folder().glob("*.toml"))
    assert list_backbones() == shipped and shipped
    assert list_backbones("*.standin") == [name for name in shipped if name.endswith(".standin")] != []
    assert list_backbones("nothing*") == []


def test_public_names_are_all_there():
    assert set(backbones.__all__) <= set(dir(backbones))
    for name in backbones.__all__:
        assert getattr(backbones, name).__class__ is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        backbones.nothing  # noqa: B018


def test_unknown_name_has_close_matches(own):
    with pytest.raises(ValueError, match=r"Did you mean .*'resnet50_share_ean_sge\.imagenet'"):
        create_backbone("resnet50_share_ean_sg.imagenet")


def test_user_folder_is_the_platforms_without_the_variable(monkeypatch, tmp_path):
    monkeypatch.delenv("TRANSFER_CARDS", raising=False)
    monkeypatch.setattr("platformdirs.user_data_dir", lambda *args, **kwargs: str(tmp_path))
    assert user_folder() == tmp_path / "cards"


# ---- building


def test_features_by_default_and_a_classifier_on_demand():
    x = torch.zeros(2, 3, 16, 16)
    name = "resnet38_share_ean_se.standin"
    features = create_backbone(name, out_indices=(0, 1, 2), stem_stride=2).eval()(x)
    assert [tuple(f.shape) for f in features] == [(2, 64, 8, 8), (2, 128, 4, 4), (2, 256, 2, 2)]
    assert create_backbone(name, num_classes=7).eval()(x).shape == (2, 7)


def test_overrides_replace_what_the_card_says():
    name = "resnet38_share_ean_se.standin"
    assert str(create_backbone(name, scheme="1111.0000.0001").scheme) == "1111.0000.0001"
    assert create_backbone(name, supernet=True).supernet
    plain = create_backbone(name, attention=None)
    assert plain.scheme.connected == 0 and not hasattr(plain, "attention")
    other = create_backbone(name, attention="sge", attention_args={"groups": 4})
    assert str(other.scheme) == "1010.1010.1010" and other.attention["layer1"].weight.shape == (4,)
    assert create_backbone(name, attention="dia").attention["layer1"].channels == 64  # not with se's arguments


@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        ({"output_strid": 8}, "Did you mean 'output_stride'"),
        ({"arch": "resnet50"}, "'arch' is unknown"),
        ({"pretrained": "trunks"}, "pretrained='trunks'"),
        ({"out_indices": (3,)}, "0 to 2"),
        ({"scheme": "101"}, "3 bits"),
    ],
)
def test_wrong_overrides(overrides, told):
    with pytest.raises(UserInputError, match=told):
        create_backbone("resnet38_share_ean_se.standin", **overrides)


# ---- registering


def test_register_without_weights(own):
    card = register_backbone(small_card())
    assert card.path == own / "resnet20_share_se.mine.toml"
    assert get_card(card.name) == card and card.name in list_backbones("resnet20*")
    model = create_backbone(card.name)
    assert card.parameters == ParameterCount(sum(p.numel() for p in model.parameters()))
    assert card.name not in list_backbones(pretrained=True)
    assert card.name in list_backbones(pretrained=False)
    assert remove_backbone(card.name) == [card.path]
    assert card.name not in list_backbones() and files(own) == []


def test_registered_weights_come_back(own, tmp_path):
    theirs, before = weights_of(small_card(), tmp_path / "trained.safetensors", num_classes=100), pretrained()
    card = register_backbone(small_card(), weights=tmp_path / "trained.safetensors", licence="MIT")
    stored = own / "resnet20_share_se.mine.safetensors"
    assert (card.weights.file, card.weights.licence) == (stored.name, "MIT")
    assert (card.weights.sha256, card.weights.bytes) == (sha256_file(stored), stored.stat().st_size)
    assert pretrained() - before == {card.name}
    ours = create_backbone(card.name, pretrained=True, num_classes=100)
    for key, tensor in theirs.state_dict().items():
        assert torch.equal(ours.state_dict()[key], tensor)
    features = create_backbone(card.name, pretrained="full", out_indices=(1,))
    assert torch.equal(features.conv1.weight, theirs.conv1.weight)
    assert {path.name for path in remove_backbone(card.name)} == {stored.name, f"{card.name}.toml"}
    assert files(own) == []


def test_a_supernets_checkpoint_is_stored_as_the_stand_alone_network(own):
    torch.manual_seed(0)
    supernet = shake(AttentionResNet("resnet20", attention="se", sharing="block", supernet=True, num_classes=10))
    state = {"state_dict": {f"module.{key}": value for key, value in supernet.state_dict().items()}}
    card = register_backbone(small_card(sharing="block"), weights=state)
    ours = create_backbone(card.name, pretrained=True, num_classes=10).eval()
    x = torch.randn(2, 3, 16, 16)
    with torch.inference_mode():
        torch.testing.assert_close(ours(x), supernet.extract(card.scheme)(x))


def test_damaged_weights_are_found_out(own, tmp_path):
    weights_of(small_card(), tmp_path / "w.safetensors")
    card = register_backbone(small_card(), weights=tmp_path / "w.safetensors")
    with card.weights_path().open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        file.write(b"\xff")
    with pytest.raises(UserInputError, match="damaged or another one"):
        create_backbone(card.name, pretrained=True)


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda folder: {"card": small_card("resnet50.imagenet")}, "registered already"),
        (lambda folder: {"card": small_card(attention_args={"reduktion": 4})}, "Did you mean 'reduction'"),
        (lambda folder: {"card": small_card(attention_args={"reduction": "many"})}, "attention_args"),
        (lambda folder: {"card": small_card(parameters=ParameterCount(1))}, "'parameters.count' is 1, but"),
        (lambda folder: {"weights": folder / "no.pth"}, "no such file"),
        (lambda folder: {"weights": folder / "other.safetensors"}, "not weights of resnet20"),
    ],
)
def test_what_cannot_be_registered_leaves_nothing(own, tmp_path, make, told):
    save_safetensors(AttentionResNet("resnet29").state_dict(), tmp_path / "other.safetensors")
    with pytest.raises(UserInputError, match=told):
        register_backbone(**{"card": small_card(), **make(tmp_path)})
    assert files(own) == []


def test_a_failed_write_leaves_nothing(own, tmp_path, monkeypatch):
    weights_of(small_card(), tmp_path / "w.safetensors")
    real = os.replace

    def full_disk(source, target):
        if str(target).endswith(".toml"):
            raise OSError(28, "No space left on device")
        real(source, target)

    monkeypatch.setattr(os, "replace", full_disk)
    with pytest.raises(OSError, match="No space left"):
        register_backbone(small_card(), weights=tmp_path / "w.safetensors")
    assert files(own) == []


def test_names_are_never_taken_twice(own):
    first = register_backbone(small_card())
    before = first.path.read_bytes()
    with pytest.raises(UserInputError, match="registered already"):
        register_backbone(small_card(provenance=Provenance("hand", "somebody else")))
    assert first.path.read_bytes() == before
    (own / "resnet50.imagenet.toml").write_text("x = 1")
    with pytest.raises(UserInputError, match="registered twice"):
        get_card("resnet50.imagenet")


def test_a_card_is_called_as_its_file(own):
    card = register_backbone(small_card())
    card.path.rename(own / "resnet20_other.mine.toml")
    with pytest.raises(UserInputError, match=r"resnet20_other\.mine\.toml: key 'name'"):
        get_card("resnet20_other.mine")


def test_into_another_folder(own, tmp_path):
    card = register_backbone(small_card(), directory=tmp_path / "elsewhere")
    assert BackboneCard.read(tmp_path / "elsewhere" / f"{card.name}.toml") == card
    assert card.name not in list_backbones()


def test_shipped_cards_cannot_be_removed(own):
    with pytest.raises(UserInputError, match="comes with the package"):
        remove_backbone("resnet50.imagenet")
    assert (shipped_folder() / "resnet50.imagenet.toml").is_file()
    with pytest.raises(UserInputError, match="not registered"):
        remove_backbone("../resnet50.imagenet")


# ---- packs


@pytest.mark.parametrize("suffix", [".zip", ".tar"])
def test_a_pack_is_taken_back(own, tmp_path, suffix):
    weights_of(small_card(), tmp_path / "w.safetensors")
    card = register_backbone(small_card(), weights=tmp_path / "w.safetensors", licence="MIT", weights_source="me")
    first, second = (pack(card, tmp_path / f"{name}{suffix}") for name in "ab")
    assert first.read_bytes() == second.read_bytes()
    remove_backbone(card.name)
    (tmp_path / "in").mkdir()
    again = register_backbone(unpack(first, tmp_path / "in", BackboneCard.parse))
    assert again == card and again.weights.licence == "MIT"
    create_backbone(card.name, pretrained=True)


def archive(path, members):
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w") as out:
            for name, content in members:
                out.writestr(name, content)
    else:
        with tarfile.open(path, "w") as out:
            for name, content in members:
                info = tarfile.TarInfo(name)
                info.size = len(content)
                out.addfile(info, io.BytesIO(content))
    return path


def card_text(**weights):
    values = {"sha256": "0" * 64, "file": "w.safetensors", **weights}
    return small_card(weights=Weights(**values)).to_toml().encode()


@pytest.mark.parametrize("suffix", [".zip", ".tar"])
@pytest.mark.parametrize(
    ("members", "told"),
    [
        ([("../evil.toml", b"")], "leaves the card's folder"),
        ([("/tmp/evil.toml", b"")], "leaves the card's folder"),
        ([("a.toml", card_text()), ("sub/w.safetensors", b"")], "leaves the card's folder"),
        ([("a.toml", b""), ("b.toml", b"")], "holds 2 cards"),
        ([], "holds 0 cards"),
        ([("a.toml", card_text())], "which are not in it"),
        ([("a.toml", card_text(bytes=7)), ("w.safetensors", b"too many bytes")], "but the card says 7"),
        ([("a.toml", b" " * 2_000_000)], "1 MiB at most"),
        ([("a.toml", b"colour = 1")], "'colour' is unknown"),
    ],
)
def test_foreign_packs_cannot_write_elsewhere(tmp_path, members, told, suffix):
    source = archive(tmp_path / f"pack{suffix}", members)
    (tmp_path / "in").mkdir()
    with pytest.raises(UserInputError, match=told):
        unpack(source, tmp_path / "in", BackboneCard.parse)
    assert {path.name for path in tmp_path.iterdir()} == {source.name, "in"}


def test_links_in_packs_are_refused(tmp_path):
    path = tmp_path / "pack.tar"
    with tarfile.open(path, "w") as out:
        link = tarfile.TarInfo("w.safetensors")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        out.addfile(link)
    with pytest.raises(UserInputError, match="is a link"):
        unpack(path, tmp_path, BackboneCard.parse)


@pytest.mark.parametrize("name", ["x.zip", "x.tar"])
def test_no_archive_at_all(tmp_path, name):
    with pytest.raises(UserInputError, match="no such file"):
        unpack(tmp_path / name, tmp_path, BackboneCard.parse)
    (tmp_path / name).write_bytes(b"hello")
    with pytest.raises(UserInputError, match="not a readable pack"):
        unpack(tmp_path / name, tmp_path, BackboneCard.parse)


def test_where_a_pack_cannot_go(own, tmp_path):
    card = register_backbone(small_card())
    with pytest.raises(UserInputError, match=r"ends in \.zip or \.tar"):
        pack(card, tmp_path / "x.rar")
    (tmp_path / "x.zip").write_bytes(b"mine")
    with pytest.raises(UserInputError, match="is there already"):
        pack(card, tmp_path / "x.zip")
    lost = replace(card, weights=Weights(sha256="0" * 64, file="w.safetensors"))
    with pytest.raises(UserInputError, match="no such file"):
        pack(lost, tmp_path / "y.zip")
    assert not (tmp_path / "y.zip").exists()

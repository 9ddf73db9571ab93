"""A weights file that is damaged, or holds what are no weights, is refused by whoever reads it."""

import hashlib
import pickle
import random
import struct
import zipfile
from dataclasses import replace

import pytest
import torch
from mmengine.model import BaseModule

import transfer.engine.runner_setup  # noqa: F401  (its reader is mmengine's)
from backbones.errors import UserInputError
from backbones.integrity import hash_beside, write_with_hash
from backbones.registry import get_card, register_backbone
from backbones.resnet import AttentionResNet
from backbones.weights import load_weights, read_checkpoint, save_safetensors
from transfer.engine.checkpoint import AtomicBackend, check_same_model
from transfer.engine.compat import load_foreign_checkpoint

READERS = [pytest.param(read_checkpoint, id="weights"), pytest.param(load_foreign_checkpoint, id="checkpoint")]


@pytest.fixture
def saved(tmp_path):
    """A foreign checkpoint, without a sha256 beside it."""
    path = tmp_path / "foreign.pth"
    torch.manual_seed(0)
    torch.save({"meta": {}, "state_dict": {"a": torch.randn(40), "b": torch.randn(3, 5)}}, path)
    return path


def tensors(read, path):
    found = read(path)
    return found.get("state_dict", found)


def flip(path, position, bit):
    data = bytearray(path.read_bytes())
    data[position] ^= 1 << bit
    path.write_bytes(data)


@pytest.mark.parametrize("read", READERS)
def test_no_flipped_bit_changes_a_number(saved, read):
    whole, data = tensors(read, saved), saved.read_bytes()
    start = data.index(struct.pack("<4f", *whole["a"][:4].tolist()))
    drawn = random.Random(0)
    places = [start + 3, *range(start, start + 160, 16), *(drawn.randrange(len(data)) for _ in range(150))]
    refused = 0
    for position in places:
        saved.write_bytes(data)
        flip(saved, position, drawn.randrange(8))
        try:
            found = tensors(read, saved)
        except UserInputError as error:
            assert str(saved) in str(error) and "\n" not in str(error)
            refused += 1
        else:
            assert found.keys() == whole.keys()
            assert all(torch.equal(found[key], whole[key]) for key in whole)
    assert refused > 20


@pytest.mark.parametrize("read", READERS)
def test_a_flipped_bit_in_a_weight_is_named(saved, read):
    data = saved.read_bytes()
    flip(saved, data.index(struct.pack("<f", tensors(read, saved)["a"][0].item())) + 3, 6)
    with pytest.raises(UserInputError, match=r"foreign\.pth: .*'foreign/data/0' is not what its CRC says.*copy it"):
        read(saved)


@pytest.mark.parametrize("read", READERS)
def test_members_that_would_grow_are_not_read(saved, read):
    with zipfile.ZipFile(saved) as old, zipfile.ZipFile(saved.with_name("grown.pth"), "w") as new:
        for member in old.infolist():
            content = old.read(member) if "data/0" not in member.filename else bytes(10 << 20)
            new.writestr(member.filename, content, zipfile.ZIP_DEFLATED)
    with pytest.raises(UserInputError, match=r"grown\.pth.*is compressed"):
        read(saved.with_name("grown.pth"))


def test_the_hash_beside_an_own_file_finds_what_the_crc_does_not(saved):
    data = saved.read_bytes()
    own = saved.with_name("own.pth")
    write_with_hash(own, data)
    assert load_foreign_checkpoint(own)["state_dict"].keys() == {"a", "b"}
    # Another whole checkpoint under the same name.
    torch.save({"state_dict": {"a": torch.zeros(40), "b": torch.zeros(3, 5)}}, own)
    for read in (read_checkpoint, load_foreign_checkpoint):
        with pytest.raises(UserInputError, match=r"own\.pth: its sha256 is not the one in own\.pth\.sha256"):
            read(own)
    hash_beside(own).write_text("nothing")
    with pytest.raises(UserInputError, match=r"own\.pth\.sha256: holds no sha256"):
        load_foreign_checkpoint(own)


def test_what_is_said_of_a_file_without_a_hash(saved, capsys):
    own = saved.with_name("own.pth")
    write_with_hash(own, saved.read_bytes())
    model = torch.nn.ParameterDict(load_foreign_checkpoint(own)["state_dict"])
    check_same_model(model, load_foreign_checkpoint(own), own)
    with pytest.raises(UserInputError):  # says one line only
        check_same_model(torch.nn.Linear(1, 1), load_foreign_checkpoint(saved), saved)
    assert capsys.readouterr() == ("", "")
    for _ in range(3):
        check_same_model(model, load_foreign_checkpoint(saved), saved)
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1 and "foreign.pth: no sha256 beside it" in err


def test_a_written_checkpoint_and_its_hash_come_and_go_together(tmp_path):
    backend, path = AtomicBackend(), tmp_path / "iter_1.pth"
    for content in (b"first", b"second"):
        backend.put(content, path)
        assert hash_beside(path).read_text().split() == [hashlib.sha256(content).hexdigest(), path.name]
    backend.remove(path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("moment", ["file", "hash"])
def test_a_kill_between_the_two_leaves_no_wrong_hash(tmp_path, monkeypatch, moment):
    from backbones import integrity

    path = tmp_path / "iter_1.pth"
    write_with_hash(path, b"first")
    real = integrity.write_atomically

    def killed(target, data):
        if (target.suffix == ".sha256") == (moment == "hash"):
            raise KeyboardInterrupt
        real(target, data)

    monkeypatch.setattr(integrity, "write_atomically", killed)
    with pytest.raises(KeyboardInterrupt):
        write_with_hash(path, b"second")
    assert path.read_bytes() == (b"first" if moment == "file" else b"second")
    assert not hash_beside(path).exists()


# ---- what are no weights

WRONG = {
    "nan": (lambda t: t * float("nan"), "holds numbers that are not finite"),
    "infinite": (lambda t: torch.full_like(t, float("inf")), "holds numbers that are not finite"),
    "overflowing": (lambda t: t.double() + 1e300, "holds numbers that are not finite"),
    "integer": (lambda t: t.int(), "is of int32, expected float32"),
    "complex": (lambda t: t.to(torch.complex64), "is of complex64, expected float32"),
    "bool": (lambda t: t.bool(), "is of bool, expected float32"),
    "sparse": (lambda t: t.to_sparse(), "is no plain tensor"),
    "meta": (lambda t: t.to("meta"), "is no plain tensor"),
}


@pytest.mark.parametrize("kind", WRONG)
def test_wrong_numbers_are_no_weights(kind):
    make, words = WRONG[kind]
    model = AttentionResNet("resnet20", num_classes=3)
    state = model.state_dict()
    wrong = {**state, "conv1.weight": make(state["conv1.weight"])}
    with pytest.raises(UserInputError, match=rf"x\.pth: .*'conv1\.weight' {words}"):
        check_same_model(model, {"state_dict": wrong}, "x.pth")
    before = model.conv1.weight.clone()
    for init in ("trunk", "full"):
        with pytest.raises(UserInputError, match=rf"'conv1\.weight' {words}"):
            load_weights(model, wrong, init=init)
    assert torch.equal(model.conv1.weight, before)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_precisions_are_weights(dtype):
    model = AttentionResNet("resnet20", num_classes=3)
    state = {key: t.to(dtype) if t.is_floating_point() else t for key, t in model.state_dict().items()}
    assert load_weights(model, state, init="full").clean
    check_same_model(model, {"state_dict": state}, "x.pth")


@pytest.mark.parametrize("ending", [".pth", ".safetensors"])
@pytest.mark.parametrize("kind", ["nan", "integer"])
def test_wrong_numbers_are_not_registered(tmp_path, kind, ending):
    make, words = WRONG[kind]
    state = AttentionResNet("resnet38", num_classes=3).state_dict()
    state["layer2.0.conv1.weight"] = make(state["layer2.0.conv1.weight"])
    path = tmp_path / f"weights{ending}"
    save_safetensors(state, path) if ending == ".safetensors" else torch.save(state, path)
    card = replace(get_card("resnet38.cifar100"), name="resnet38.wrong", parameters=None, default=False)
    with pytest.raises(UserInputError, match=rf"'layer2\.0\.conv1\.weight' {words}"):
        register_backbone(card, weights=path, directory=tmp_path / "cards")
    assert not list((tmp_path / "cards").glob("*"))


ODD_PARTS = [
    {"state_dict": [1]}, {"state_dict": {1: torch.ones(1)}}, {"state_dict": {}, "meta": 3}, {"optimizer": "x"},
    {"message_hub": []}, {"message_hub": {"log_scalars": 5}}, {"ema_state_dict": None},
]  # fmt: skip


@pytest.mark.parametrize("content", ODD_PARTS, ids=lambda content: str(list(content)))
def test_parts_of_another_type_are_named(tmp_path, content):
    torch.save(content, tmp_path / "odd.pth")
    with pytest.raises(UserInputError, match=r"odd\.pth: its '(state_dict|meta|optimizer|message_hub|ema_)"):
        load_foreign_checkpoint(tmp_path / "odd.pth")


@pytest.mark.parametrize("value", [3, "x", None, [1.0]])
def test_a_value_that_is_no_tensor_is_no_weight(value):
    model = torch.nn.Linear(3, 2)
    with pytest.raises(UserInputError, match=r"bias: a \w+ instead of \(2,\)"):
        check_same_model(model, {"state_dict": {**model.state_dict(), "bias": value}}, "x.pth")


def test_files_that_a_config_has_mmengine_load_are_read_in_the_same_way(saved):
    class Net(BaseModule):
        def __init__(self, path):
            super().__init__({"type": "Pretrained", "checkpoint": str(path)})
            self.a = torch.nn.Parameter(torch.zeros(40))

    net = Net(saved)
    net.init_weights()
    assert torch.equal(net.a, tensors(read_checkpoint, saved)["a"])
    marker, wrong = saved.with_name("ran"), saved.with_name("wrong.pth")

    class Payload:
        def __reduce__(self):
            return type(marker).touch, (marker,)

    wrong.write_bytes(pickle.dumps({"state_dict": Payload()}, protocol=2))
    with pytest.raises(UserInputError, match=r"wrong\.pth: not a checkpoint that can be read safely"):
        Net(wrong).init_weights()
    assert not marker.exists()
    flip(saved, saved.read_bytes().index(struct.pack("<f", net.a[0].item())) + 3, 6)
    with pytest.raises(UserInputError, match=r"foreign\.pth: .*CRC"):
        Net(saved).init_weights()

"""tools/backbones.py as people type it."""

import hashlib
import json

import pytest
from card_files import shake, small_card, tool

from backbones.card import Provenance
from backbones.registry import build, get_card, list_backbones, register_backbone
from backbones.weights import save_safetensors
from transfer.cli import run_command


@pytest.fixture
def own(tmp_path, monkeypatch):
    monkeypatch.setenv("TRANSFER_CARDS", str(tmp_path / "cards"))
    monkeypatch.setenv("TRANSFER_WEIGHTS", str(tmp_path / "weights"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    return tmp_path / "cards"


@pytest.fixture
def command(own, capsys):
    """Runs the tool inside this process; returns status, stdout, stderr."""
    main = tool("backbones").main

    def run(*argv):
        capsys.readouterr()
        status = run_command(main, [str(arg) for arg in argv])
        out = capsys.readouterr()
        return status, out.out, out.err

    return run


# ---- list and show


def test_list_shows_every_backbone_on_one_line(command):
    status, out, _ = command("list")
    assert status == 0
    for name in list_backbones():
        assert sum(line.split()[0] == name for line in out.splitlines()) == 1
    assert "resnet164" not in command("list", "resnet50*")[1]
    trained = [row["name"] for row in json.loads(command("list", "--pretrained", "--json")[1])]
    assert trained == [name for name in list_backbones() if get_card(name).weights]


def test_list_as_json(command):
    rows = {row["name"]: row for row in json.loads(command("list", "--json")[1])}
    assert rows["resnet50_share_ean_sge.imagenet"] == {
        "name": "resnet50_share_ean_sge.imagenet",
        "arch": "resnet50",
        "attention": "sge",
        "sharing": "stage",
        "connected": 9,
        "blocks": 16,
        "parameters": 25584104,
        "macs": 4087136256,
        "published_top1": 77.62,
        "provenance": "paper",
        "weights": False,
    }
    assert rows["resnet50_share_ean_se.standin"]["published_top1"] is None


def test_a_listing_in_a_pipe_is_plain_and_does_not_wrap(command, own, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    register_backbone(small_card(provenance=Provenance("hand", "[a] " + 60 * "long note ")))
    out = command("list")[1]
    head, *lines = out.splitlines()
    assert head.split()[0] == "name" and len(lines) == len(list_backbones())
    assert max(map(len, lines)) > 80 and not set("│┃━") & set(out)
    place = head.index("weights")
    assert {line[place:].strip() for line in lines} == {"yes", "-"}
    assert "[a] " + 60 * "long note " in command("show", "resnet20_share_se.mine")[1].replace("\n", "")


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["foo*"], "no backbone fits 'foo*'."),
        (["resnet51*"], "no backbone fits 'resnet51*'. Did you mean 'resnet50*'"),
        (["resnet50.imagent"], "Did you mean 'resnet50.imagenet'"),
        (["resnet50*", "--pretrained"], "backbones that fit 'resnet50*' has weights of its own"),
    ],
)
def test_a_list_without_a_row_says_so(command, argv, said):
    status, out, err = command("list", *argv)
    assert (status, out) == (0, "") and said in err and err.count("\n") == 1
    assert json.loads(command("list", *argv, "--json")[1]) == []


def test_a_broken_card_does_not_hide_the_others(command, own):
    own.mkdir()
    (own / "resnet20.broken.toml").write_text("name = 3")
    status, out, err = command("list")
    assert status == 2 and "resnet50.imagenet" in out
    assert err.count("\n") == 1 and "resnet20.broken.toml" in err


def test_show_draws_the_scheme(command):
    status, out, _ = command("show", "resnet50_share_ean_sge.imagenet")
    assert status == 0
    drawing = [line.split("channels")[1].split() for line in out.splitlines() if line.startswith("  layer")]
    assert [(line[:-1], line[-1]) for line in drawing] == [
        (["■", "□", "□"], "1/3"),
        (["■", "□", "■", "■"], "3/4"),
        (["□", "■", "□", "□", "■", "■"], "3/6"),
        (["□", "■", "■"], "2/3"),
    ]
    assert "77.62" in out and "25,584,104" in out and "run_codes_train_from_scratch" in out
    card = json.loads(command("show", "resnet50_share_ean_se.standin", "--json")[1])
    assert card["provenance"]["kind"] == "stand-in" and "published" not in card


# ---- verify, register, remove, pack


def test_register_verify_remove(command, own, tmp_path):
    model = shake(build(small_card(), num_classes=10))
    save_safetensors(model.state_dict(), tmp_path / "trained.safetensors")
    options = ["--arch", "resnet20", "--attention", "se", "--scheme", "10.01.11", "--name", "resnet20_se.mine"]
    status, out, _ = command("register", *options, "--weights", tmp_path / "trained.safetensors", "--licence", "MIT")
    assert status == 0 and str(own) in out
    (row,) = json.loads(command("verify", "resnet20_se.mine", "--json")[1])
    assert row["ok"] and row["weights"] == "verified" and row["parameters"] == row["expected"]

    assert command("pack", "resnet20_se.mine", tmp_path / "pack.zip")[0] == 0
    assert command("remove", "resnet20_se.mine")[0] == 0
    assert list(own.iterdir()) == []
    assert command("register", tmp_path / "pack.zip")[0] == 0
    assert command("verify", "resnet20_se.mine")[0] == 0

    weights = own / "resnet20_se.mine.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\xff")
    status, out, err = command("verify", "resnet20_se.mine")
    assert status == 2 and "sha256" in err and err.count("\n") == 1


def test_verify_finds_a_wrong_count(command, own):
    command("register", "--arch", "resnet20", "--name", "resnet20.mine")
    card = own / "resnet20.mine.toml"
    card.write_text(card.read_text().replace("count = ", "count = 1"))
    status, _, err = command("verify", "resnet20.mine")
    assert status == 2 and "but the card says" in err


def test_register_a_card_file_into_a_folder(command, own, tmp_path):
    source = tmp_path / "any name.toml"
    source.write_text(small_card(attention_args={"reduction": 4}).to_toml())
    assert command("register", source, "--into", tmp_path / "shared")[0] == 0
    assert [path.name for path in (tmp_path / "shared").iterdir()] == ["resnet20_share_se.mine.toml"]
    assert not own.exists()


@pytest.mark.parametrize(
    ("argv", "told"),
    [
        (["show", "resnet5.imagenet"], "Did you mean 'resnet50.imagenet'"),
        (["verify"], "the name of one backbone, or --all"),
        (["verify", "resnet38.cifar10"], "is not registered"),
        (["remove", "resnet50.imagenet"], "comes with the package"),
        (["register"], "at least --name and --arch"),
        (["register", "x.toml"], "x.toml: no such file"),
        (["register", "x.toml", "--arch", "resnet18"], "--arch cannot be given beside it"),
        (["register", "x.rar"], "expected a card (.toml) or a pack"),
        (["register", "work_dirs/none", "--name", "resnet20.x"], "or the folder of a search"),
        (["register", "--name", "resnet20.x", "--arch", "resnet20", "--run", "plain"], "expected its work directory"),
        (["register", "--name", "a.b", "--arch", "resnett50"], "Did you mean 'resnet50'"),
        (["register", "--name", "a.b", "--arch", "resnet20", "--scheme", "1"], "need 6 bits"),
        (["register", "--name", "ab", "--arch", "resnet20"], "arch.tag"),
        (["register", "--name", "a.b", "--arch", "resnet20", "--attention", "see"], "Did you mean 'se'"),
        (["register", "--name", "a.b", "--arch", "resnet20", "--sharing", "x"], "'stage' or 'block'"),
        (["register", "--name", "a.b", "--arch", "resnet20", "--attention-args", "x"], "expected KEY=VALUE"),
        (["register", "--name", "a.b", "--arch", "resnet20", "--provenance", "pape"], "Did you mean 'paper'"),
        (["fetch"], "expected an architecture"),
        (["fetch", "resnet38"], "no trunk weights for 'resnet38'"),
        (["fetch", "resnet38.cifar100"], "names no url"),
        (["fetch", "--url", "https://example.org/w.pth"], "nothing to check the download against"),
        (["pack", "resnet38.cifar100", "x.rar"], "ends in .zip or .tar"),
    ],
)
def test_wrong_input_is_one_line_and_status_2(command, own, argv, told):
    status, out, err = command(*argv)
    assert (status, out) == (2, "")
    assert err.startswith("error: ") and err.count("\n") == 1 and told in err
    assert not own.exists()


def test_fetch_puts_a_verified_file_where_trunk_weights_are_looked_for(command, tmp_path):
    content = b"weights"
    digest = hashlib.sha256(content).hexdigest()
    name = f"resnet18-{digest[:8]}.pth"
    (tmp_path / name).write_bytes(content)
    status, out, _ = command("fetch", "--url", (tmp_path / name).as_uri(), "--sha256", digest)
    assert status == 0 and str(tmp_path / "weights" / name) in out
    from backbones.weights import find_trunk_weights

    assert find_trunk_weights("resnet18") == tmp_path / "weights" / name


def test_a_failed_fetch_is_status_1(command, tmp_path):
    status, _, err = command("fetch", "--url", (tmp_path / "no.pth").as_uri(), "--sha256", "0" * 64)
    assert status == 1 and "could not be downloaded" in err

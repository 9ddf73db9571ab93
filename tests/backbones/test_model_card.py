"""The card of a task model, the plain values of its config, and which card a name or a task means."""

import tomllib
from dataclasses import replace

import pytest
from card_files import small_card

from backbones.card_store import CardStore
from backbones.errors import UserInputError
from backbones.literals import read_assignments
from backbones.model_card import Measured, ModelCard, StoredConfig, TrainingData, UsedBackbone
from backbones.registry import create_backbone, get_card, list_backbones, register_backbone
from backbones.weights_file import Weights

TEXT = 'model = dict(\n    type="CrowdCounter", head=dict(channels=(5, )))\ntask = "counting"\n'


def card(**fields):
    values = {
        "name": "tiny",
        "task": "counting",
        "weights": Weights("0" * 64, file="tiny.safetensors"),
        "config": StoredConfig(TEXT),
    }
    return ModelCard(**{**values, **fields})


def full_card():
    return card(
        summary="counts what is there",
        noun="penguins",
        default=True,
        backbone=UsedBackbone("resnet20_share_se.mine", "10.01.11"),
        data=TrainingData("a zoo", "ice, from above", "free"),
        measured=(Measured("tools/test.py", "zoo test, 9 images", {"mae": 2.5, "mse": 3.0}, {"mae": (2.0, 3.25)}),),
    )


# ---- the file


@pytest.mark.parametrize("written", [card(), full_card()])
def test_what_is_written_is_read_and_written_again(written, tmp_path):
    path = tmp_path / "tiny.toml"
    path.write_text(written.to_toml())
    read = ModelCard.read(path)
    assert read == written and read.path == path
    assert read.to_toml() == path.read_text()
    assert '"""\nmodel = dict(\n' in path.read_text()  # a config can be looked at


@pytest.mark.parametrize("text", ["\n\na = 1\n\n\n\nb = 2", 'a = """x"""\n', "a = '\\\\'\r\n", "a = 1"])
def test_text_in_toml_is_exact(text):
    stored = f"model = dict()\n{text}"
    assert tomllib.loads(card(config=StoredConfig(stored)).to_toml())["config"]["text"] == stored


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (("tiny", "Tiny"), "key 'name' is 'Tiny', expected lower case"),
        (('task = "counting"', 'tusk = "counting"'), "Did you mean 'task'"),
        (("mae = 2.5", "mae = 7.5"), "key 'measured[0].intervals.mae' is 2.0 to 3.25"),
        (("mae = 2.5", 'mae = "low"'), "key 'measured[0].metrics.mae' is 'low', expected a finite number"),
        (("type=", "type=print("), "key 'config.text'"),
        (("model = dict(", "mudel = dict("), "holds no 'model'"),
        (('sha256 = "0', 'sha256 = "x'), "64 digits"),
        (("[data]", "path = 3\n[data]"), "'backbone.path' is unknown"),
    ],
)
def test_what_is_wrong_is_named_with_its_file(change, told, tmp_path):
    text = full_card().to_toml()
    assert change[0] in text
    path = tmp_path / "tiny.toml"
    path.write_text(text.replace(*change, 1))
    with pytest.raises(UserInputError) as error:
        ModelCard.read(path)
    assert told in str(error.value) and str(path) in str(error.value)


def test_a_path_is_no_key_of_the_file(tmp_path):
    with pytest.raises(UserInputError, match="'path' is unknown"):
        ModelCard.parse(f'path = "x"\n{card().to_toml()}', tmp_path / "tiny.toml")


def test_weights_are_hashed_before_they_are_used(tmp_path):
    (tmp_path / "tiny.safetensors").write_bytes(b"other")
    with pytest.raises(UserInputError, match="damaged or another one"):
        replace(card(), path=tmp_path / "tiny.toml").weights_path()
    with pytest.raises(UserInputError, match=r"fetch --url https://x\.org/w\.safetensors --sha256 000"):
        card(weights=Weights("0" * 64, url="https://x.org/w.safetensors")).weights_path()


# ---- plain values


def test_plain_values_are_python_s_own():
    text = "a = [1, -2.5, (3, ), ()]\nb = dict(c=None, d={'e.f': True, 2: 'x' 'y'}, g=dict({'h i': 1}))\ni = -inf"
    expected = {}
    exec(text.replace("inf", "float('inf')"), {}, expected)
    assert read_assignments(text, "x") == expected


@pytest.mark.parametrize(
    "text",
    [
        "import os",
        "a = __import__('os').getcwd()",
        "a = open('x')",
        "a = dict(**b)",
        "a = dict([(1, 2)])",
        "a = [x for x in (1, 2)]",
        "a = b",
        "a = -'x'",
        "a = -True",
        "a, b = 1, 2",
        "a.b = 1",
        "a = f'{1}'",
        "a = b'1'",
        "a = 1 +",
        "a = " + "-" * 50_000 + "1",
        "a = [" * 5_000,
    ],
)
def test_nothing_else_is_read_and_nothing_is_run(text):
    with pytest.raises(UserInputError, match="card x"):
        read_assignments(text, "card x")


# ---- which card is meant


@pytest.fixture
def own(tmp_path, monkeypatch):
    monkeypatch.setenv("TRANSFER_CARDS", str(tmp_path / "cards"))
    return tmp_path / "cards"


def stems():
    return sorted({name.partition(".")[0] for name in list_backbones()})


@pytest.mark.parametrize("stem", stems())
def test_every_shipped_name_without_its_tag_means_one_card(stem):
    found = get_card(stem)
    assert found.name.startswith(f"{stem}.") and found.default
    others = [name for name in list_backbones(f"{stem}.*") if name != found.name]
    assert not any(get_card(name).default for name in others)


def test_a_name_without_its_tag_is_built(own):
    register_backbone(small_card("resnet20_short.a", "10.00.00"))
    with pytest.raises(UserInputError, match=r"'resnet20_short' has no default, expected one of resnet20_short\.a,"):
        create_backbone("resnet20_short")
    register_backbone(small_card("resnet20_short.b", "01.00.00", default=True))
    assert str(create_backbone("resnet20_short").scheme) == "01.00.00"
    assert str(create_backbone("resnet20_short.a").scheme) == "10.00.00"
    with pytest.raises(UserInputError, match=r"'resnet20_short\.b' is the default for 'resnet20_short' already"):
        register_backbone(small_card("resnet20_short.c", default=True))
    assert "resnet20_short.c" not in list_backbones()
    third = own / "resnet20_short.c.toml"
    third.write_text(small_card("resnet20_short.c", default=True).to_toml())
    with pytest.raises(UserInputError, match=rf"all say default = true.*{third}"):
        create_backbone("resnet20_short")


def test_a_listing_names_broken_cards_and_defaults_too_many(tmp_path):
    store = CardStore("model", ModelCard.read, lambda card: card.task, tmp_path / "none", lambda: tmp_path)
    for name in "abc":
        (tmp_path / f"{name}.toml").write_text(card(name=name, default=name != "c").to_toml())
    (tmp_path / "d.toml").write_text("name = 3")
    cards, problems = store.readable()
    assert [one.name for one in cards] == ["a", "b", "c"]
    assert len(problems) == 2 and "d.toml" in problems[0] and "models 'a', 'b': all say default = true" in problems[1]
    assert store.default(cards[1:], "counting").name == "b" and store.default(cards, "segmentation") is None


# ---- one word for where a network starts, and timm's for its maps


def test_init_is_the_word_of_configs():
    same = [create_backbone("resnet38.c100_6ep", **how) for how in ({"init": "full"}, {"pretrained": True})]
    first, second = (net.state_dict() for net in same)
    assert all(first[key].equal(second[key]) for key in first)
    fresh = create_backbone("resnet38.c100_6ep", init="scratch").state_dict()
    assert not fresh["layer1.0.conv1.weight"].equal(first["layer1.0.conv1.weight"])
    with pytest.raises(UserInputError, match="no trunk weights"):
        create_backbone("resnet38.c100_6ep", init="trunk")


@pytest.mark.parametrize(
    ("options", "told"),
    [({"init": "ful"}, "Did you mean 'full'"), ({"init": "full", "pretrained": True}, "exclude each other")],
)
def test_wrong_init(options, told):
    with pytest.raises(UserInputError, match=told):
        create_backbone("resnet38.c100_6ep", **options)


def test_feature_info_answers_as_timm_s():
    timm = pytest.importorskip("timm")
    theirs = timm.create_model("resnet18", features_only=True, out_indices=(1, 2, 4)).feature_info
    from backbones.resnet import AttentionResNet

    ours = AttentionResNet("resnet18", out_indices=(0, 1, 3)).feature_info
    assert ours.channels() == theirs.channels() and ours.reduction() == theirs.reduction()
    assert ours.channels(1) == ours[1]["num_chs"] == ours[1].channels
    assert ours.reduction(-1) == ours[-1]["reduction"] == ours[-1].stride
    assert [info["module"] for info in ours] == theirs.module_name()
    assert isinstance(ours, tuple) and tuple(ours[0]) == (0, 64, 4)
    with pytest.raises(KeyError):
        ours[0]["num_channels"]

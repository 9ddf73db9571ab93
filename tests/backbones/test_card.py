"""Cards: TOML in and out, every field checked, paths that stay in the card's folder."""

import os
import tomllib
from dataclasses import replace

import pytest
from card_files import small_card
from hypothesis import given, settings
from hypothesis import strategies as st

from backbones.attention import list_attentions
from backbones.card import BackboneCard, Figures, ParameterCount, Provenance, Weights, known_attentions
from backbones.errors import UserInputError
from backbones.registry import shipped_folder
from backbones.scheme import ConnectionScheme

SHIPPED = sorted(shipped_folder().glob("*.toml"))
SHA = "0" * 64
TEXT = """
name = "resnet20_share_se.mine"
[network]
arch = "resnet20"
attention = "se"
sharing = "stage"
scheme = "10.01.11"
[network.attention_args]
reduction = 16
[input]
size = 32
mean = [0.5, 0.5, 0.5]
std = [0.25, 0.25, 0.25]
[provenance]
kind = "hand"
source = "me"
[weights]
file = "w.safetensors"
sha256 = "{sha}"
[[measured]]
source = "results/x.json"
data = "cifar100"
top1 = 66
""".replace("{sha}", SHA)


def read(tmp_path, text=TEXT):
    path = tmp_path / "resnet20_share_se.mine.toml"
    path.write_text(text)
    return BackboneCard.read(path)


def test_reads_what_the_file_says(tmp_path):
    card = read(tmp_path)
    assert card.scheme == ConnectionScheme.parse("10.01.11")
    assert (card.mean, card.std, card.input.size) == ((0.5,) * 3, (0.25,) * 3, 32)
    assert card.network_options["attention_args"] == {"reduction": 16}
    assert card.measured == (Figures("results/x.json", "cifar100", {"top1": 66}),)
    assert card.published == ()
    assert hash(card) == hash(replace(card))


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_shipped_cards_are_written_as_they_are_read(path):
    assert BackboneCard.read(path).to_toml() == path.read_text(encoding="utf-8")


lines = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=30)
figures = st.dictionaries(st.sampled_from(["top1", "mae", "miou"]), st.floats(0, 100), min_size=1)
entries = st.builds(Figures, lines.filter(str.strip), lines, figures, lines)


@settings(max_examples=60, deadline=None)
@given(
    bits=st.lists(st.integers(0, 1), min_size=6, max_size=6),
    note=lines,
    published=st.lists(entries, max_size=2).map(tuple),
    classes=st.none() | st.integers(1, 1000),
    sharing=st.sampled_from(["stage", "block"]),
)
def test_any_card_round_trips(tmp_path_factory, bits, note, published, classes, sharing):
    card = small_card(
        scheme=".".join("".join(map(str, bits[i : i + 2])) for i in (0, 2, 4)),
        sharing=sharing,
        provenance=Provenance("search", "run 7", note),
        published=published,
        parameters=ParameterCount(123, classes),
        weights=Weights(sha256=SHA, file="w.safetensors", bytes=5, licence="MIT"),
    )
    text = card.to_toml()
    again = BackboneCard.parse(text, tmp_path_factory.getbasetemp() / "card.toml")
    assert again == card
    assert again.to_toml() == text
    assert tomllib.loads(text)["network"]["arch"] == "resnet20"


def test_attentions_are_known_without_torch():
    assert known_attentions() == list_attentions()


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('arch = "resnet20"', 'arch = "resnet21"', ["'network.arch'", "Did you mean", "'resnet20'"]),
        ('attention = "se"', 'attention = "sg"', ["'network.attention'", "Did you mean", "'sge'"]),
        ('sharing = "stage"', 'sharing = "stages"', ["'network.sharing'", "Did you mean 'stage'"]),
        ('sharing = "stage"', "", ["'network.sharing' is missing"]),
        ('scheme = "10.01.11"', 'scheme = "10.011.11"', ["'network.scheme'", "stage 2 has 3 bits, expected 2"]),
        ('scheme = "10.01.11"', 'scheme = "10x"', ["'network.scheme'", "expected 0 and 1"]),
        ('scheme = "10.01.11"', "", ["'network.scheme' is missing"]),
        ('scheme = "10.01.11"', "scheme = 100111", ["'network.scheme' is 100111, expected text"]),
        ('scheme = "10.01.11"', 'schema = "10.01.11"', ["'network.schema' is unknown", "Did you mean 'scheme'"]),
        ("reduction = 16", "reduction = [16]", ["'network.attention_args.reduction'"]),
        ('kind = "hand"', 'kind = "papers"', ["'provenance.kind'", "Did you mean 'paper'"]),
        ('source = "me"', 'source = " "', ["'provenance.source' is empty"]),
        ('kind = "hand"', "", ["'provenance.kind' is missing"]),
        ("[provenance]\nkind", "[provenence]\nkind", ["'provenence' is unknown", "Did you mean 'provenance'"]),
        ('[provenance]\nkind = "hand"\nsource = "me"\n', "", ["'provenance' is missing", "kind, source"]),
        ("size = 32", 'size = "32"', ["'input.size'", "a whole number"]),
        ("size = 32", "size = 32\nsiz = 3", ["'input.siz' is unknown", "Did you mean 'size'"]),
        ("std = [0.25, 0.25, 0.25]", "std = [0.25, 0, 0.25]", ["section 'input'", "std above 0"]),
        ("std = [0.25, 0.25, 0.25]", "std = [0.25, nan, 0.25]", ["'input.std[1]' is nan, expected a finite number"]),
        ("mean = [0.5, 0.5, 0.5]", "mean = [0.5]", ["'input.mean' is [0.5]", "a list of 3", "number"]),
        ("mean = [0.5, 0.5, 0.5]", f"mean = [0.5, 0.5, {10**400}]", ["'input.mean[2]' is", "a finite number"]),
        ("size = 32", f"size = {'9' * 5000}", ["not valid TOML"]),
        ("reduction = 16", f"reduction = {'[' * 5000}{']' * 5000}", ["not valid TOML"]),
        ("top1 = 66", "top_1 = 66", ["'measured[0].top_1' is unknown", "Did you mean 'top1'"]),
        ("top1 = 66", "top1 = inf", ["'measured[0].top1' is inf"]),
        ("top1 = 66", "", ["holds no figure"]),
        ('source = "results/x.json"', 'source = " "', ["an entry of 'measured' has an empty 'source'"]),
        ('file = "w.safetensors"', 'file = "../w.safetensors"', ["'weights.file'", "leaves the card's folder"]),
        ('file = "w.safetensors"', 'file = "/etc/passwd"', ["leaves the card's folder"]),
        ('file = "w.safetensors"', "file = 'a\\w.safetensors'", ["leaves the card's folder"]),
        ('file = "w.safetensors"', "file = 'C:w.safetensors'", ["leaves the card's folder"]),
        ('file = "w.safetensors"', 'file = ""', ["leaves the card's folder"]),
        ('file = "w.safetensors"', "", ["either the key 'file' or the key 'url'"]),
        ('file = "w.safetensors"', 'url = "ftp://x/w.pth"', ["'weights.url'", "https://"]),
        (SHA, "abc", ["'weights.sha256'", "64 digits"]),
        ('name = "resnet20_share_se.mine"', 'name = "../evil.x"', ["'name'", "arch.tag"]),
        ('name = "resnet20_share_se.mine"', 'name = "notag"', ["'name'", "arch.tag"]),
        ('name = "resnet20_share_se.mine"', 'name = "a.b"\ncolour = 1', ["'colour' is unknown"]),
        ('name = "resnet20_share_se.mine"', "name = ", ["not valid TOML"]),
    ],
)
def test_wrong_cards_are_refused_by_file_and_key(tmp_path, old, new, told):
    assert old in TEXT
    with pytest.raises(UserInputError) as error:
        read(tmp_path, TEXT.replace(old, new))
    message = str(error.value)
    assert message.startswith(str(tmp_path / "resnet20_share_se.mine.toml"))
    assert "\n" not in message
    for part in told:
        assert part in message


def test_a_scheme_without_attention_is_refused():
    with pytest.raises(UserInputError, match=r"network\.attention"):
        small_card(attention=None)


def test_a_stand_in_has_no_published_figures():
    published = (Figures("a paper", "cifar100", {"top1": 70}),)
    with pytest.raises(UserInputError, match=r"section 'published' is of another network than this stand-in"):
        small_card(provenance=Provenance("stand-in", "the scheme of another"), published=published)
    assert small_card(provenance=Provenance("paper", "a paper"), published=published).published == published


def test_weights_path_checks_the_hash(tmp_path):
    card = read(tmp_path)
    with pytest.raises(UserInputError, match=r"w\.safetensors: no such file"):
        card.weights_path()
    (tmp_path / "w.safetensors").write_bytes(b"other")
    with pytest.raises(UserInputError, match=f"says {SHA}"):
        card.weights_path()
    empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"  # of no bytes at all
    (tmp_path / "w.safetensors").write_bytes(b"")
    assert read(tmp_path, TEXT.replace(SHA, empty)).weights_path() == tmp_path / "w.safetensors"


@pytest.mark.skipif(not hasattr(os, "symlink"), reason="needs symbolic links")
def test_a_link_out_of_the_folder_is_refused(tmp_path):
    secret, folder = tmp_path / "secret", tmp_path / "cards"
    secret.write_bytes(b"")
    folder.mkdir()
    card = read(folder)
    (folder / "w.safetensors").symlink_to(secret)
    with pytest.raises(UserInputError, match="a link that leaves"):
        card.weights_path()


def test_weights_by_url_are_looked_for_where_fetch_puts_them(tmp_path, monkeypatch):
    monkeypatch.setenv("TRANSFER_WEIGHTS", str(tmp_path / "weights"))
    card = small_card(weights=Weights(sha256=SHA, url="https://example.org/a/w-00000000.pth"))
    with pytest.raises(UserInputError, match=r"fetch resnet20_share_se\.mine"):
        card.weights_path()


def test_no_weights_says_what_to_do():
    with pytest.raises(UserInputError, match="init=trunk or init=scratch"):
        small_card().weights_path()


@pytest.mark.parametrize("content", [None, b"\xff\xfe"])
def test_unreadable_cards(tmp_path, content):
    path = tmp_path / "a.b.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserInputError, match=r"a\.b\.toml"):
        BackboneCard.read(path)

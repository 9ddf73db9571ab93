"""Typed records: read key by key, refused with the key's place, the value and what was expected, written as read."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

import pytest
import torch

from backbones.errors import UserInputError
from backbones.schema import Check, Natural, as_json, load_json, read, write, write_json
from backbones.scheme import ConnectionScheme


@dataclass(frozen=True)
class Part:
    scheme: ConnectionScheme
    share: Annotated[float, Check("a number from 0 to 1", lambda value: 0 <= value <= 1)] = 0.5

    def __post_init__(self):
        if self.share == 0.125:
            raise UserInputError("key 'share' is odd")


@dataclass(frozen=True, kw_only=True)
class Whole:
    name: str
    count: Natural
    flag: bool
    score: float
    kept: int | float = 0
    seed: int | None
    kind: Literal["red", "green"] = "red"
    pair: tuple[float, float] = (0.0, 1.0)
    parts: tuple[Part, ...] = ()
    best: Part | None = None
    accuracies: Mapping[str, float] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)


LEAST = {"name": "x", "count": 3, "flag": True, "score": 1, "seed": None}
MORE = {
    "kept": 2,
    "kind": "green",
    "pair": [0.5, 2.0],
    "parts": [{"scheme": "10.11", "share": 0.25}, {"scheme": "00.01", "share": 0.5}],
    "best": {"scheme": "11.11", "share": 1.0},
    "accuracies": {"top1": 61.5},
    "options": {"a": {"b": [1, None]}},
}


def refused(table, **options):
    with pytest.raises(UserInputError) as caught:
        read(Whole, table, "x.json", **options)
    line = str(caught.value)
    assert "\n" not in line and line.startswith("x.json: ")
    return line.removeprefix("x.json: ")


def test_what_is_read_is_written_as_it_was():
    whole = read(Whole, {**LEAST, **MORE}, "x.json")
    assert whole.parts[0] == Part(ConnectionScheme.parse("10.11"), 0.25)
    assert type(whole.score) is float and type(whole.kept) is int
    assert write(whole) == {**LEAST, **MORE}
    assert list(write(whole)) == list(Whole.__dataclass_fields__)
    assert read(Whole, json.loads(json.dumps(write(whole))), "x.json") == whole


def test_defaults_may_be_left_out_on_both_ways():
    least = read(Whole, LEAST, "x.json")
    assert write(least, short=True) == LEAST
    assert read(Whole, write(least), "x.json") == least


@pytest.mark.parametrize("key", LEAST)
def test_a_missing_key_is_named(key):
    table = {name: value for name, value in LEAST.items() if name != key}
    assert refused(table).startswith(f"key '{key}' is missing, expected ")


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"name": 3}, "key 'name' is 3, expected text"),
        ({"name": None}, "key 'name' is None, expected text"),
        ({"count": True}, "key 'count' is True, expected a whole number of at least 0"),
        ({"count": -1}, "key 'count' is -1, expected a whole number of at least 0"),
        ({"count": 2.0}, "key 'count' is 2.0, expected a whole number of at least 0"),
        ({"flag": 1}, "key 'flag' is 1, expected true or false"),
        ({"score": "1"}, "key 'score' is '1', expected a finite number"),
        ({"score": False}, "key 'score' is False, expected a finite number"),
        ({"score": float("nan")}, "key 'score' is nan, expected a finite number"),
        ({"score": 10**400}, "expected a finite number"),
        ({"kept": float("inf")}, "key 'kept' is inf, expected a finite number"),
        ({"seed": "x"}, "key 'seed' is 'x', expected a whole number"),
        ({"kind": "grene"}, "key 'kind' is 'grene', expected one of 'red', 'green'. Did you mean 'green'?"),
        ({"kind": 1}, "key 'kind' is 1, expected one of 'red', 'green'"),
        ({"pair": [1.0]}, "key 'pair' is [1.0], expected a list of 2 (a finite number each)"),
        ({"pair": [1.0, "2"]}, "key 'pair[1]' is '2', expected a finite number"),
        ({"parts": {}}, "key 'parts' is {}, expected a list"),
        ({"parts": [MORE["best"], 3]}, "key 'parts[1]' is 3, expected an object (scheme, share)"),
        ({"parts": [MORE["best"], {}]}, "key 'parts[1].scheme' is missing, expected text"),
        ({"best": {"scheme": "12"}}, "key 'best.scheme': connection scheme '12': expected 0 and 1"),
        ({"best": {"scheme": "10", "share": 2}}, "key 'best.share' is 2, expected a number from 0 to 1"),
        ({"best": {"scheme": "10", "share": 0.125}}, "key 'best.share' is odd"),
        ({"accuracies": {"top1": "high"}}, "key 'accuracies.top1' is 'high', expected a finite number"),
        ({"options": [1]}, "key 'options' is [1], expected an object"),
    ],
)
def test_a_wrong_value_is_named_with_its_place(changes, line):
    assert line in refused({**LEAST, **changes})


def test_a_whole_that_is_none():
    assert refused([1]).startswith("the content is [1], expected an object (name, count")


def test_long_values_are_cut():
    assert len(refused({**LEAST, "score": "x" * 10**6})) < 200


def test_schemes_have_the_depths_that_are_asked_for():
    table = {**LEAST, "best": {"scheme": "1011"}}
    assert read(Whole, table, "x.json", depths=(2, 2)).best.scheme == ConnectionScheme.parse("10.11")
    assert "key 'best.scheme': connection scheme of 4 bits" in refused(table, depths=(2, 3))


def test_keys_that_nothing_knows():
    table = {**LEAST, "best": {"scheme": "10", "shar": 1}}
    assert read(Whole, table, "x.json").best == Part(ConnectionScheme.parse("10"))
    line = refused(table, strict=True, mend="mend it")
    assert line == "key 'best.shar' is unknown, expected one of scheme, share. Did you mean 'share'?; mend it"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (b"{", "not valid JSON"),
        (b"\xff", "not valid JSON"),
        (b"[" * 10**5, "not valid JSON"),
        (b'{"n": ' + b"9" * 5000 + b"}", "not valid JSON"),
        (b"[1]", "is not a JSON object"),
        (b'{"format": 2}', "key 'format' is 2, expected 1"),
        (None, "no such file: never written"),
    ],
)
def test_what_is_no_json_object_is_refused(tmp_path, text, line):
    path = tmp_path / "x.json"
    if text is not None:
        path.write_bytes(text)
    with pytest.raises(UserInputError, match=line) as caught:
        load_json(path, missing="never written", mend="delete it", form=1)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_json_is_plain_and_finite(tmp_path):
    value = {"a": torch.tensor([1.0, float("nan")]), 3: (float("inf"), {"b": None})}
    assert as_json(value) == {"a": [1.0, None], "3": [None, {"b": None}]}
    write_json(tmp_path / "x.json", value)
    assert load_json(tmp_path / "x.json", missing="", mend="") == as_json(value)

"""Logs know their lines, and nothing of ours is written through a link."""

import json
import random

import pytest

from backbones.errors import UserInputError
from backbones.files import open_to_append
from backbones.integrity import checked_lines, log_line
from transfer.engine.progress import CurveHook, read_curve_lines, training_seconds
from transfer.engine.workdir import WorkDir
from transfer.search import LoggedProblem, PlantedLandscape, get_method
from transfer.search.log import read_log

VALUES = [{"iter": i, "loss": 0.1 * i, "seconds": 1.5} for i in range(1, 5)]


@pytest.fixture
def work_dir(tmp_path):
    (tmp_path / "curve.jsonl").write_text("".join(map(log_line, VALUES)))
    return tmp_path


def searched(folder):
    import torch

    with LoggedProblem(PlantedLandscape(), folder) as logged:
        get_method("random")().search(logged, 5, torch.Generator().manual_seed(0))
    return folder / "evaluations.jsonl"


def test_a_line_is_json_and_says_what_was_written():
    line = log_line({"a": 'quotes " and }', "b": [1, None]})
    assert line.endswith('"}\n') and json.loads(line).items() >= {"a": 'quotes " and }', "b": [1, None]}.items()
    assert list(checked_lines(line.encode(), "x")) == [line.strip().encode()]


def test_an_altered_value_does_not_decide_a_search(tmp_path):
    log = searched(tmp_path)
    lines = log.read_text().splitlines(keepends=True)
    values = json.loads(lines[2])
    lines[2] = lines[2].replace(f'"accuracy": {values["accuracy"]}', '"accuracy": 99.9')
    log.write_text("".join(lines))
    assert json.loads(lines[2])["accuracy"] == 99.9
    for read in (read_log, lambda folder: LoggedProblem(PlantedLandscape(), folder)):
        with pytest.raises(UserInputError, match=r"evaluations\.jsonl, line 3: is not what its CRC says"):
            read(tmp_path)


def test_no_flipped_bit_in_a_log_changes_a_value(tmp_path):
    log = searched(tmp_path)
    whole, data = read_log(log), log.read_bytes()
    drawn = random.Random(1)
    for position in drawn.sample(range(data.rindex(b"{")), 200):
        flipped = bytearray(data)
        flipped[position] ^= 1 << drawn.randrange(8)
        log.write_bytes(flipped)
        try:
            found = read_log(log)
        except UserInputError as error:
            assert "evaluations.jsonl, line" in str(error)
        else:
            assert found == whole


def test_logs_of_earlier_versions_are_read_and_gone_on_with(tmp_path):
    log = searched(tmp_path)
    whole = read_log(log)
    old = [{key: value for key, value in json.loads(line).items() if key != "crc32"} for line in log.open()]
    log.write_text("".join(json.dumps(line) + "\n" for line in old[:3]))
    assert read_log(log) == whole[:3]
    searched(tmp_path)
    assert read_log(log) == whole and sum("crc32" in line for line in log.open()) == len(whole) - 3
    log.write_text("".join([*log.open()][3:]) + json.dumps(old[0]) + "\n")
    with pytest.raises(UserInputError, match="line 3"):  # a line without, behind lines that have it
        read_log(log)


@pytest.mark.parametrize("content", [b"no newline at its end", b"\x89PNG\r\n\x1a", b'{"scheme": 1}\nnotes'])
def test_another_file_in_the_place_of_a_log_is_not_cut(tmp_path, content):
    (tmp_path / "evaluations.jsonl").write_bytes(content)
    with pytest.raises(UserInputError, match=r"evaluations\.jsonl"):
        LoggedProblem(PlantedLandscape(), tmp_path)
    assert (tmp_path / "evaluations.jsonl").read_bytes() == content


# ---- curve.jsonl


def test_a_changed_line_of_a_curve_is_named(work_dir):
    assert training_seconds(work_dir) == 6.0
    curve = work_dir / "curve.jsonl"
    curve.write_text(curve.read_text().replace('"iter": 3, "loss": 0.3', '"iter": 3, "loss": 0.1'))
    for read in (read_curve_lines, lambda path: training_seconds(path.parent)):
        with pytest.raises(UserInputError, match=r"curve\.jsonl, line 3: is not what its CRC says"):
            read(curve)


class Runner:
    def __init__(self, work_dir, iteration):
        self.work_dir, self.iter = work_dir, iteration


@pytest.mark.parametrize("tail", [b'{"iter": 2, "lo', b"\xff\xfe\x00", b"garbage\n", b'["iter"]\n', b'{"iter": "2"}\n'])
def test_a_resumed_curve_keeps_its_whole_lines(work_dir, tail):
    curve = work_dir / "curve.jsonl"
    curve.write_bytes(curve.read_bytes() + tail)
    CurveHook().before_train(Runner(work_dir, 3))
    assert curve.read_text() == "".join(map(log_line, VALUES[:3]))


def test_a_curve_is_not_written_through_a_link(tmp_path):
    precious, curve = tmp_path / "precious", tmp_path / "curve.jsonl"
    precious.write_text("years of work")
    curve.symlink_to(precious)
    with pytest.raises(UserInputError, match=r"curve\.jsonl: is a link"):
        open_to_append(curve)
    hook = CurveHook()
    hook._path, hook._since = curve, 0.0
    with pytest.raises(UserInputError, match=r"curve\.jsonl: is a link"):
        hook._append({"iter": 1})
    assert precious.read_text() == "years of work"


@pytest.mark.parametrize("name", [".lock", "last_checkpoint", "curve.jsonl", "evaluations.jsonl", "config.py"])
@pytest.mark.parametrize("there", [True, False])
def test_a_work_dir_with_links_is_not_begun(tmp_path, name, there):
    precious, folder = tmp_path / "precious", tmp_path / "w"
    folder.mkdir()
    if there:
        precious.write_text("years of work")
    (folder / name).symlink_to(precious)
    with pytest.raises(UserInputError, match=rf"{name}: is a link"), WorkDir(folder).locked():
        pass
    assert precious.exists() == there and (not there or precious.read_text() == "years of work")
    assert [path.name for path in folder.iterdir()] == [name]


def test_links_that_are_only_read_stay(tmp_path):
    for name in ("supernet", "iter_4.pth", "latency.json"):
        (tmp_path / f"there_{name}").mkdir() if name == "supernet" else (tmp_path / f"there_{name}").touch()
    (tmp_path / "w").mkdir()
    for name in ("supernet", "iter_4.pth", "latency.json"):
        (tmp_path / "w" / name).symlink_to(tmp_path / f"there_{name}")
    with WorkDir(tmp_path / "w").locked():
        pass

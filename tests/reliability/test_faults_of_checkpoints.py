"""A damaged newest checkpoint costs the iterations since the one before, and no more."""

import pytest
import torch

from backbones.errors import UserInputError
from backbones.integrity import hash_beside, write_with_hash
from transfer.engine.checkpoint import newest_checkpoint
from transfer.engine.training import newest_whole


@pytest.fixture
def work_dir(tmp_path):
    for iteration in (3, 6, 9):
        path = tmp_path / f"iter_{iteration}.pth"
        torch.save({"state_dict": {"w": torch.full((100,), float(iteration))}, "meta": {"iter": iteration}}, path)
        write_with_hash(path, path.read_bytes())
    (tmp_path / "last_checkpoint").write_text(str(tmp_path / "iter_9.pth"))
    return tmp_path


def half(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def empty(path):
    path.write_bytes(b"")


def flipped(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 64
    path.write_bytes(data)


@pytest.mark.parametrize("hashed", [True, False])
@pytest.mark.parametrize("damage", [half, empty, flipped])
def test_a_damaged_newest_checkpoint_is_passed_over_with_a_line(work_dir, damage, hashed, capsys):
    damage(work_dir / "iter_9.pth")
    if not hashed:
        hash_beside(work_dir / "iter_9.pth").unlink()
    path, saved = newest_whole(work_dir)
    assert path.name == "iter_6.pth" and saved["meta"]["iter"] == 6
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1 and "iter_9.pth" in lines[0] and "going on from iter_6.pth" in lines[0]


def test_two_damaged_ones_are_passed_over(work_dir, capsys):
    empty(work_dir / "iter_9.pth")
    half(work_dir / "iter_6.pth")
    assert newest_whole(work_dir)[0].name == "iter_3.pth"
    assert len(capsys.readouterr().err.splitlines()) == 2


def test_nothing_whole_is_wrong_input_about_the_newest(work_dir):
    for path in work_dir.glob("*.pth"):
        half(path)
    with pytest.raises(UserInputError, match=r"iter_9\.pth"):
        newest_whole(work_dir)


def test_a_whole_one_is_taken_without_a_line(work_dir, capsys):
    assert newest_whole(work_dir)[0].name == "iter_9.pth"
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("garbage", [b"\xff\xfe\x80", b"iter\x00_9.pth", b"", b"nothing.pth", b"a" * 5000])
def test_a_last_checkpoint_that_says_nothing_is_passed_over(work_dir, garbage):
    (work_dir / "last_checkpoint").write_bytes(garbage)
    assert newest_checkpoint(work_dir).name == "iter_9.pth"

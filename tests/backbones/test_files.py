"""Writing all or nothing, and locks."""

import errno
import multiprocessing
import os
import stat

import pytest

from backbones.errors import RunError, UserInputError
from backbones.files import atomic_path, disk_full, locked_file, remove_temporary, whole_folder, write_atomically


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def full(*args):
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_file_is_the_old_one_or_the_new_one(tmp_path, monkeypatch):
    path = tmp_path / "deep" / "x.bin"
    write_atomically(path, b"old")
    for patched in ("fsync", "replace"):
        with monkeypatch.context() as patch:
            patch.setattr(os, patched, full)
            with pytest.raises(OSError, match="No space"):
                write_atomically(path, b"new")
        assert path.read_bytes() == b"old" and names(path.parent) == ["x.bin"]
    with pytest.raises(KeyboardInterrupt), atomic_path(path) as temporary:
        temporary.write_bytes(b"half")
        raise KeyboardInterrupt
    assert path.read_bytes() == b"old" and names(path.parent) == ["x.bin"]


def test_a_file_has_the_usual_permissions(tmp_path):
    (tmp_path / "usual").touch()
    write_atomically(tmp_path / "ours", b"")
    usual, ours = (stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("usual", "ours"))
    assert ours == usual


def killed_while_writing(path):
    with atomic_path(path) as temporary:
        temporary.write_bytes(b"half")
        os._exit(9)


def test_what_a_killed_writer_left_can_be_removed(tmp_path):
    write_atomically(tmp_path / "x.bin", b"old")
    (tmp_path / ".hidden").touch()
    process = multiprocessing.get_context("fork").Process(target=killed_while_writing, args=(tmp_path / "x.bin",))
    process.start()
    process.join(60)
    assert len(names(tmp_path)) == 3
    remove_temporary(tmp_path)
    assert names(tmp_path) == [".hidden", "x.bin"] and (tmp_path / "x.bin").read_bytes() == b"old"


def test_a_folder_appears_whole(tmp_path):
    target = tmp_path / "a" / "b"
    with pytest.raises(ValueError, match="x"), whole_folder(target) as folder:
        (folder / "1").touch()
        raise ValueError("x")
    assert names(tmp_path) == []
    with whole_folder(target) as folder:
        (folder / "1").write_text("first")
        assert not target.exists()
    assert names(target) == ["1"]
    with pytest.raises(ValueError, match="x"), whole_folder(target) as folder:
        (folder / "1").write_text("never")
        raise ValueError("x")
    assert (target / "1").read_text() == "first"
    with whole_folder(target) as folder:
        (folder / "2").touch()
    assert names(target) == ["2"]
    assert names(tmp_path) == ["a"] and names(tmp_path / "a") == ["b"]


def test_the_old_folder_comes_back_when_the_new_one_cannot_take_its_place(tmp_path, monkeypatch):
    target = tmp_path / "page"
    target.mkdir()
    (target / "old").touch()
    rename = type(target).rename

    def refuse(path, to):
        return full() if path.name.endswith(".new") else rename(path, to)

    with monkeypatch.context() as patch:
        patch.setattr(type(target), "rename", refuse)
        with pytest.raises(OSError, match="No space"), whole_folder(target) as folder:
            (folder / "new").touch()
    assert names(tmp_path) == ["page"] and names(target) == ["old"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(UserInputError, match="choose another folder"), whole_folder(tmp_path / "x"):
        pass


def test_one_at_a_time(tmp_path):
    path = tmp_path / ".lock"
    with locked_file(path, "taken"), pytest.raises(RunError, match="taken"), locked_file(path, "taken"):
        pass
    with locked_file(path, "taken"):
        pass
    assert names(tmp_path) == []


def hold(path, held, done):
    with locked_file(path, ""):
        held.set()
        done.wait(60)
        os._exit(9)


def test_a_killed_holder_holds_nothing(tmp_path):
    context = multiprocessing.get_context("fork")
    held, done = context.Event(), context.Event()
    process = context.Process(target=hold, args=(tmp_path / ".lock", held, done))
    process.start()
    assert held.wait(60)
    with pytest.raises(RunError, match="taken"), locked_file(tmp_path / ".lock", "taken"):
        pass
    done.set()
    process.join(60)
    with locked_file(tmp_path / ".lock", "taken"):
        pass


def test_a_lock_is_not_opened_through_a_link_and_cuts_nothing(tmp_path):
    precious, lock = tmp_path / "precious", tmp_path / ".lock"
    precious.write_text("years of work")
    lock.symlink_to(precious)
    with pytest.raises(UserInputError, match=r"\.lock: is a link"), locked_file(lock, "taken"):
        pass
    lock.unlink()
    lock.hardlink_to(precious)
    with locked_file(lock, "taken"):
        assert precious.read_text() == "years of work"
    assert precious.read_text() == "years of work"


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_a_full_disk_by_any_of_its_names(number):
    assert disk_full(OSError(number, ""))


@pytest.mark.parametrize("error", [OSError(errno.EACCES, ""), ValueError(errno.ENOSPC)])
def test_other_errors_are_no_full_disk(error):
    assert not disk_full(error)


def test_what_is_being_written_is_not_swept_away(tmp_path):
    with atomic_path(tmp_path / "x.bin") as temporary:
        temporary.write_bytes(b"new")
        remove_temporary(tmp_path)
    assert (tmp_path / "x.bin").read_bytes() == b"new"


def killed_in_a_folder(target, moved):
    with whole_folder(target) as folder:
        (folder / "half").touch()
        if moved:
            target.rename(target.with_name(f".{target.name}.0123abcd.old"))
        os._exit(9)


@pytest.mark.parametrize("moved", [False, True])
def test_the_next_writer_of_a_folder_clears_up_after_a_killed_one(tmp_path, moved):
    target = tmp_path / "page"
    target.mkdir()
    (target / "old").touch()
    process = multiprocessing.get_context("fork").Process(target=killed_in_a_folder, args=(target, moved))
    process.start()
    process.join(60)
    assert len(names(tmp_path)) == 2
    with pytest.raises(ValueError, match="x"), whole_folder(target):
        raise ValueError("x")
    assert names(tmp_path) == ["page"] and names(target) == ["old"]

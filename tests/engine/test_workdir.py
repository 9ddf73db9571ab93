"""Work directories: nothing useless is left, nothing useful is taken, failures around a run are one line."""

import errno

import pytest

from backbones.errors import RunError, UserInputError
from transfer.engine.workdir import WorkDir


def kept(folder):
    return [path.name for path in folder.glob("good*")]


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("there", [False, True])
def test_wrong_input_takes_what_the_run_wrote_with_it(tmp_path, there):
    folder = WorkDir(tmp_path / "a" / "b", kept)
    if there:
        folder.path.mkdir(parents=True)
        (folder.path / "mine").touch()
    with pytest.raises(UserInputError, match="no"), folder.locked():
        (folder.path / "logs").mkdir()
        (folder.path / "logs" / "1").touch()
        raise UserInputError("no")
    assert names(folder.path) == ["mine"] if there else not (tmp_path / "a").exists()


def test_wrong_input_leaves_all_where_something_is_worth_keeping(tmp_path):
    folder = WorkDir(tmp_path / "a", kept)
    with pytest.raises(UserInputError), folder.locked():
        (folder.path / "good.pth").touch()
        (folder.path / "log").touch()
        raise UserInputError("no")
    assert names(folder.path) == ["good.pth", "log"]


def test_other_errors_leave_all(tmp_path):
    folder = WorkDir(tmp_path / "a", kept)
    with pytest.raises(RuntimeError), folder.locked():
        (folder.path / "log").touch()
        raise RuntimeError("a defect")
    assert names(folder.path) == ["log"]


def test_what_a_killed_run_left_half_written_goes(tmp_path):
    folder = WorkDir(tmp_path, kept)
    (tmp_path / ".iter_4.pth.0123abcd.tmp").touch()
    with folder.locked():
        assert ".iter_4.pth.0123abcd.tmp" not in names(tmp_path)


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (OSError(errno.EFBIG, "File too large"), r"the disk is full \(File too large\); .*{}.*; make room and {}"),
        (MemoryError(), "out of memory; .*{}.*; lower .*batch_size or the crop and {}"),
        (EOFError(), "a data worker was lost.*; .*{}.*; lower .*workers and {}"),
        (ConnectionResetError(104, "reset"), "a data worker was lost.*; .*{}.*; lower .*workers and {}"),
        (PermissionError(13, "Permission denied", "x/y.png"), r"x/y\.png cannot be .*; .*{}.*; allow it and {}"),
        (OSError(errno.EROFS, "Read-only file system", "x"), "x cannot be .*Read-only.*; .*{}.*; allow it and {}"),
        (
            RuntimeError("DataLoader worker (pid 3) is killed"),
            "a data worker was lost .*; .*{}.*; lower .*workers and {}",
        ),
        (RuntimeError("CUDA out of memory."), "out of memory; .*{}.*; lower .*batch_size or the crop and {}"),
        (
            RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"),
            "out of memory; .*{}.*; lower .* and {}",
        ),
    ],
)
@pytest.mark.parametrize("something", [False, True])
def test_what_fails_around_a_run_is_explained(tmp_path, error, line, something):
    words = ("nothing to keep", "start again")
    if something:
        (tmp_path / "good.pth").touch()
        words = ("safe there: good.pth", "continue with: python .*--resume")
    with pytest.raises(RunError, match=line.format(*words)), WorkDir(tmp_path, kept).explained():
        raise error


@pytest.mark.parametrize("error", [ValueError("x"), RunError("said already: out of memory"), UserInputError("no")])
def test_all_else_is_left_as_it_is(tmp_path, error):
    with pytest.raises(type(error)) as caught, WorkDir(tmp_path).explained():
        raise error
    assert caught.value is error

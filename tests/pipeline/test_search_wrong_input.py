"""tools/search.py on wrong input and in bad surroundings: one line, the status, and the log as it was."""

import errno
import fcntl
import json
import resource
import runpy

import pytest
import torch
from search_configs import ROOT, SHORT

from backbones.errors import UserInputError
from transfer.cli import run_command
from transfer.pipeline.artefacts import read_search
from transfer.pipeline.stages import search as stage
from transfer.pipeline.stages.standalone import TrainCandidates
from transfer.search.log import LoggedProblem, read_log

pytestmark = pytest.mark.slow

pytest.importorskip("sklearn", reason="the digits come with scikit-learn")

FULL_SHARE = f"{ROOT}/configs/supernet/digits_resnet38_full_share_se.py"


@pytest.fixture
def search(written, supernet, tmp_path, capsys):
    """Runs the command on a config with some keys changed; returns status and the error's line."""
    main = runpy.run_path(str(ROOT / "tools" / "search.py"))["main"]

    def run(*argv, **changes):
        changes = {"supernet__checkpoint": str(supernet), "standalone": None, **changes}
        capsys.readouterr()
        status = run_command(main, [str(written(**changes)), "--work-dir", str(tmp_path / "work"), *argv])
        lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
        assert len(lines) == (status != 0)
        return status, lines[0] if lines else ""

    return run


@pytest.fixture
def log(search, tmp_path):
    """The log of a search that was stopped before its end, which every test must leave as it is."""
    assert search()[0] == 0
    (tmp_path / "work" / "search.json").unlink()
    path = tmp_path / "work" / "evaluations.jsonl"
    before = path.read_bytes()
    yield path
    assert path.read_bytes() == before
    assert search("--resume")[0] == 0, "it goes on once all is well again"
    assert path.read_bytes() == before


# ---- status 2


def test_a_supernet_of_another_architecture(search, log):
    other = {**SHORT, "model.backbone.name": "resnet164_full_share_se.cifar100"}
    status, line = search("--resume", supernet__options=other)
    assert status == 2 and "iter_2.pth: a checkpoint of backbone 'resnet38_full_share_se.cifar100'" in line
    assert "keys missing" in line


def test_a_supernet_that_shares_its_modules_otherwise(search, log):
    status, line = search("--resume", supernet__config=FULL_SHARE.replace("full_share", "full_sa"))
    assert status == 2 and "that does not fit the config's model" in line


def test_the_log_of_another_supernet(search, log, supernet, tmp_path):
    content = torch.load(supernet, weights_only=True)
    content["state_dict"]["backbone.fc.bias"] += 1
    torch.save(content, tmp_path / "iter_2.pth")
    status, line = search("--resume", supernet__checkpoint=str(tmp_path / "iter_2.pth"))
    assert status == 2 and "line 1: the log belongs to another search problem, supernet_sha256 is" in line


@pytest.mark.parametrize("beta", [0, -0.5, 1.5, float("inf"), True, "half"])
@pytest.mark.parametrize("trained", [True, False])
def test_a_beta_outside_0_to_1(search, supernet, tmp_path, beta, trained):
    option = "1e999" if beta == float("inf") else beta
    custom = tmp_path / "supernet.py"
    custom.write_text(f"_base_ = {FULL_SHARE!r}\ncustom_hooks = [dict(type='SupernetHook', beta={option!r})]\n")
    if option == "1e999":
        custom.write_text(custom.read_text().replace("'1e999'", "1e999"))
    status, line = search(supernet__config=str(custom), supernet__checkpoint=str(supernet) if trained else None)
    assert status == 2 and f"SupernetHook.beta={beta!r}: expected a probability above 0, up to 1" in line
    assert not (tmp_path / "work").exists()


def test_a_beta_by_option_leaves_the_log_alone(search, log):
    status, line = search("--resume", supernet__options={**SHORT, "custom_hooks.0.beta": 1.5})
    assert status == 2 and "SupernetHook.beta=1.5" in line


@pytest.mark.parametrize(
    ("section", "line"),
    [
        ({"method": "random"}, "key 'search.budget' is missing, expected a whole number of at least 1"),
        ({"budget": 0}, "key 'search.budget' is 0, expected a whole number of at least 1"),
        ({"budget": -4}, "key 'search.budget' is -4, expected a whole number of at least 1"),
        ({"budget": None}, "key 'search.budget' is None, expected a whole number of at least 1"),
        ({"budget": "many"}, "key 'search.budget' is 'many', expected a whole number of at least 1"),
        ({"budget": 2.5}, "key 'search.budget' is 2.5, expected a whole number of at least 1"),
    ],
)
def test_no_budget(search, log, section, line):
    status, said = search("--resume", search=section)
    assert status == 2 and line in said


def test_no_budget_by_option(search, log):
    assert search("--resume", "--cfg-options", "search.budget=0")[0] == 2


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"search": 3}, "key 'search' is 3, expected an object"),
        ({"search__objective": 2}, "key 'search.objective' is 2, expected an object"),
        ({"search__args": {"beta": "half"}}, "search.args={'beta': 'half'} do not fit method 'random'"),
        ({"search__args": {"beta": 1.5}}, "beta=1.5, expected a probability"),
        ({"search__method": "darts", "search__args": {"gamma": -1}}, "gamma=-1: expected 0 or more"),
        ({"search__seed": -1}, "key 'search.seed' is -1, expected a whole number of at least 0"),
        ({"standalone": {"config": "nothing.py"}}, "nothing.py' does not exist"),
        ({"standalone": {"config": f"{ROOT}/configs/standalone/digits_resnet38.py", "options": {"x.y": 1}}}, "x.y"),
        (
            {"standalone": {"config": f"{ROOT}/configs/standalone/digits_resnet38.py", "timing": {"rounds": 0}}},
            "timing.rounds=0",
        ),
    ],
)
def test_other_wrong_sections(search, log, changes, line):
    status, said = search("--resume", **changes)
    assert status == 2 and line in said


def test_an_error_after_the_search_keeps_what_it_found(search, tmp_path, monkeypatch):
    def refuse(*args):
        raise UserInputError("no such data")

    with monkeypatch.context() as patch:
        patch.setattr(TrainCandidates, "make", refuse)
        standalone = {"config": f"{ROOT}/configs/standalone/digits_resnet38.py", "options": SHORT}
        assert search(standalone=standalone) == (2, "error: no such data")
    assert len(read_log(tmp_path / "work")) == len(read_search(tmp_path / "work").order) == 6


# ---- status 1


def test_a_directory_in_use(search, log):
    with open(log.parent / ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        status, line = search("--resume")
    assert status == 1 and "is using this work directory" in line


def test_a_log_in_use(search, log, monkeypatch):
    class Problem:
        depths = (4, 4, 4)
        settings = {key: value for key, value in _origin(log).items() if key != "depths"}  # noqa: RUF012

    with LoggedProblem(Problem(), log):
        status, line = search("--resume")
    assert status == 1 and "another search is using this folder" in line


def _origin(log):
    line = read_log(log)[0]
    return {**line.settings, "supernet_sha256": line.supernet_sha256}


def test_a_full_disk_when_the_result_is_written(search, log, monkeypatch):
    def full(path, data):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(stage, "write_json", full)
        status, line = search("--resume")
    assert status == 1 and "the disk is full (No space left on device); safe there: evaluations.jsonl" in line


@pytest.fixture
def full_disk(monkeypatch):
    """Sets the size that no file may grow beyond, from the first line of a log on."""
    append, limits = LoggedProblem._append, resource.getrlimit(resource.RLIMIT_FSIZE)

    def limit(room):
        def limited(self, found):
            resource.setrlimit(resource.RLIMIT_FSIZE, (room, limits[1]))
            append(self, found)

        monkeypatch.setattr(LoggedProblem, "_append", limited)

    def end():
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        monkeypatch.setattr(LoggedProblem, "_append", append)

    limit.end = end
    yield limit
    end()


def test_a_disk_that_fills_up_while_schemes_are_logged(search, full_disk, tmp_path):
    one_by_one = {"search__method": "ean", "search__args": {"variant": "paper"}}
    assert search(**one_by_one)[0] == 0
    whole = (tmp_path / "work" / "evaluations.jsonl").read_bytes()
    (tmp_path / "work").rename(tmp_path / "unbroken")
    lines = whole.splitlines(keepends=True)
    full_disk(len(b"".join(lines[:3])) + 40)  # room for three lines, and a part of the fourth
    status, line = search(**one_by_one)
    full_disk.end()
    assert status == 1
    assert "evaluations.jsonl: cannot be written" in line and "3 evaluations are safe; make room and resume" in line
    assert (tmp_path / "work" / "evaluations.jsonl").read_bytes() == b"".join(lines[:3])
    assert search("--resume", **one_by_one)[0] == 0
    assert (tmp_path / "work" / "evaluations.jsonl").read_bytes() == whole
    results = [json.loads((tmp_path / name / "search.json").read_text()) for name in ("work", "unbroken")]
    assert results[0]["best"] == results[1]["best"] and results[0]["log_sha256"] == results[1]["log_sha256"]

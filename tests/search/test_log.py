"""The log: nothing twice, killed and resumed as unbroken, refused where it does not belong, intact whatever happens."""

import errno
import json
import multiprocessing
import os
import re
from dataclasses import astuple

import pytest
import torch

from backbones.errors import RunError, UserInputError
from backbones.scheme import ConnectionScheme
from transfer.search.known_problems import PlantedLandscape, TableProblem
from transfer.search.log import LoggedProblem, LogLine, read_log
from transfer.search.methods import get_method
from transfer.search.problem import Evaluation

DEPTHS = (3, 3)


class Counting:
    """A landscape that counts how often each scheme is evaluated, and is killed after some evaluations."""

    depths = DEPTHS

    def __init__(self, sha="abc", kill_after=None):
        self.inner, self.counts = PlantedLandscape(DEPTHS, seed=3), {}
        self.settings = {"supernet_sha256": sha, "bn": "running"}
        self.kill_after = kill_after

    def evaluate(self, schemes):
        for scheme in schemes:
            self.counts[scheme] = self.counts.get(scheme, 0) + 1
        if self.kill_after is not None and sum(self.counts.values()) > self.kill_after:
            raise KeyboardInterrupt
        return self.inner.evaluate(schemes)


def search(problem, method="evolution", budget=40):
    return get_method(method)().search(problem, budget, torch.Generator().manual_seed(5))


def test_a_line_holds_all_that_an_evaluation_depends_on(tmp_path):
    scheme = ConnectionScheme.parse("101.001")
    with LoggedProblem(Counting(), tmp_path) as logged:
        (evaluation,) = logged.evaluate([scheme])
    (line,) = read_log(tmp_path)
    assert line == LogLine(scheme, *astuple(evaluation), "abc", {"bn": "running", "depths": [3, 3]})
    assert line.evaluation == evaluation
    written = json.loads((tmp_path / "evaluations.jsonl").read_text())
    assert re.fullmatch("[0-9a-f]{8}", written.pop("crc32"))
    assert written == {
        "scheme": "101.001",
        "accuracy": evaluation.accuracy,
        "loss": evaluation.loss,
        "n": evaluation.n,
        "supernet_sha256": "abc",
        "settings": {"bn": "running", "depths": [3, 3]},
    }


def test_nothing_is_evaluated_twice(tmp_path):
    problem = Counting()
    with LoggedProblem(problem, tmp_path) as logged:
        first = search(logged)
        again = search(logged, "ga", budget=60)
    assert set(problem.counts.values()) == {1}
    assert len(first.log) == 40
    assert len(again.log) <= 60
    assert len(read_log(tmp_path)) == len(problem.counts)


@pytest.mark.parametrize("method", ["evolution", "ean", "surrogate", "random", "local_search", "ga"])
@pytest.mark.parametrize("kill_after", [0, 1, 9, 25, 39])
def test_a_killed_search_resumes_to_the_same_end(tmp_path, method, kill_after):
    whole = search(Counting(), method)
    kill_after = min(kill_after, len(whole.log) - 1)  # a method may converge before its budget is spent
    with LoggedProblem(Counting(kill_after=kill_after), tmp_path) as logged, pytest.raises(KeyboardInterrupt):
        search(logged, method)
    kept = len(read_log(tmp_path))
    problem = Counting()
    with LoggedProblem(problem, tmp_path) as logged:
        resumed = search(logged, method)
    assert resumed.log == whole.log
    assert resumed.candidates == whole.candidates
    assert resumed.trace == whole.trace
    assert sum(problem.counts.values()) == len(whole.log) - kept


@pytest.mark.parametrize("cut", [1, 20, 60])
def test_a_line_that_a_kill_cut_is_dropped(tmp_path, cut):
    whole = search(Counting(), budget=12)
    with LoggedProblem(Counting(), tmp_path) as logged:
        search(logged, budget=8)
    path = tmp_path / "evaluations.jsonl"
    path.write_bytes(path.read_bytes()[:-cut])
    assert len(read_log(path)) == 7
    with LoggedProblem(Counting(), tmp_path) as logged:
        assert search(logged, budget=12).log == whole.log
    assert [line.scheme for line in read_log(path)] == [record.scheme for record in whole.log]


def _die_after(folder, evaluations):
    class Dying(Counting):
        def evaluate(self, schemes):
            if sum(self.counts.values()) + len(schemes) > evaluations:
                os._exit(9)
            return super().evaluate(schemes)

    search(LoggedProblem(Dying(), folder))


def test_a_process_that_dies_leaves_everything_it_evaluated(tmp_path):
    process = multiprocessing.get_context("fork").Process(target=_die_after, args=(tmp_path, 30))
    process.start()
    process.join(60)
    assert process.exitcode == 9
    assert len(read_log(tmp_path)) == 30


@pytest.mark.parametrize(("other", "named"), [({"sha": "def"}, "supernet_sha256"), ({}, "bn")])
def test_the_log_of_another_problem_is_refused_and_left_alone(tmp_path, other, named):
    with LoggedProblem(Counting(), tmp_path) as logged:
        search(logged, budget=5)
    before = (tmp_path / "evaluations.jsonl").read_bytes()
    problem = Counting(**other)
    if named == "bn":
        problem.settings["bn"] = "recalibrated"
    with pytest.raises(UserInputError, match=f"another search problem, {named} is"):
        LoggedProblem(problem, tmp_path)
    assert (tmp_path / "evaluations.jsonl").read_bytes() == before


@pytest.mark.parametrize("line", ["not json", "[]", '{"scheme": "101.001"}', '{"scheme": 1, "accuracy": "x"}'])
def test_what_is_no_log_is_refused(tmp_path, line):
    (tmp_path / "evaluations.jsonl").write_text(line + "\n")
    with pytest.raises(UserInputError, match=r"line 1: no logged evaluation"):
        LoggedProblem(Counting(), tmp_path)
    assert (tmp_path / "evaluations.jsonl").read_text() == line + "\n"


def test_a_busy_folder_is_a_run_error(tmp_path):
    with LoggedProblem(Counting(), tmp_path) as logged:
        search(logged, budget=3)
        with pytest.raises(RunError, match="another search is using this folder"):
            LoggedProblem(Counting(), tmp_path)
    LoggedProblem(Counting(), tmp_path).close()
    assert len(read_log(tmp_path)) == 3


def test_a_full_disk_keeps_the_log_whole(tmp_path, monkeypatch):
    with LoggedProblem(Counting(), tmp_path) as logged:
        search(logged, budget=6)
        before = logged.path.read_bytes()

        def full(descriptor):
            raise OSError(errno.ENOSPC, "No space left on device")

        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", full)
            with pytest.raises(RunError, match=r"No space left.*6 evaluations are safe"):
                search(logged, budget=10)
        assert logged.path.read_bytes() == before
        assert len(search(logged, budget=10).log) == 10


def test_a_diverged_supernet_is_a_run_error(tmp_path):
    scheme = ConnectionScheme.parse("101.001")
    table = TableProblem({scheme: Evaluation(1.0, float("nan"), 10)})
    with LoggedProblem(table, tmp_path) as logged, pytest.raises(RunError, match=r"101\.001.*diverged"):
        logged.evaluate([scheme])
    assert read_log(tmp_path) == []


def test_the_problem_s_own_attributes_are_reachable(tmp_path):
    problem = Counting()
    problem.supernet = object()
    with LoggedProblem(problem, tmp_path) as logged:
        assert logged.supernet is problem.supernet
        assert logged.depths == DEPTHS
        assert not hasattr(logged, "loaders")


def test_lines_are_json_without_a_wrapper(tmp_path):
    with LoggedProblem(Counting(), tmp_path / "deep" / "log.jsonl") as logged:
        search(logged, budget=4)
    lines = (tmp_path / "deep" / "log.jsonl").read_text().splitlines()
    assert [json.loads(line)["n"] for line in lines] == [10_000] * 4


def test_a_log_is_not_written_through_a_link(tmp_path):
    precious = tmp_path / "precious"
    precious.write_text("no newline at its end")
    (tmp_path / "evaluations.jsonl").symlink_to(precious)
    with pytest.raises(UserInputError, match=r"evaluations\.jsonl: is a link"):
        LoggedProblem(Counting(), tmp_path)
    assert precious.read_text() == "no newline at its end"

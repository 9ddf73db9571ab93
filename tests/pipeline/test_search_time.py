"""Searches that maximise measured time, fronts, and the increments of what was trained."""

import json
from dataclasses import replace

import numpy as np
import pytest
from search_configs import SHORT

from backbones.errors import RunError, UserInputError
from transfer.analysis.finished import SearchOutcome
from transfer.analysis.report.standalone import ticket_of
from transfer.measure import stopwatch
from transfer.measure.latency import LatencyTable
from transfer.pipeline.artefacts import read_search
from transfer.pipeline.config import read_search_config
from transfer.pipeline.run import run_search
from transfer.search.log import LoggedProblem, read_log
from transfer.search.objective import pareto_front

pytestmark = pytest.mark.slow

TIME = {"kind": "time", "lambda1": 20.0, "lambda2": 1.0, "timing": {"batch": 2, "rounds": 2, "clock": "cpu"}}
COSTS = [0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0, 4.5, 5.0, 5.5, 6.0]


@pytest.fixture(autouse=True)
def times(monkeypatch):
    """Seconds that no load on the machine changes, but no two measurements have in common."""
    generator = np.random.default_rng(0)

    def draw(steps, timing, device):
        steps[-1]()
        return 1 + 0.01 * np.arange(len(steps)) + 0.001 * generator.random((timing.rounds, len(steps)))

    monkeypatch.setattr(stopwatch, "_times", draw)


@pytest.fixture
def timed(written, supernet):
    """A config of a search by measured time."""

    def write(objective=TIME, **changes):
        defaults = {"supernet__checkpoint": str(supernet), "search__objective": objective, "standalone": None}
        return read_search_config(written(**{**defaults, **changes}))

    return write


@pytest.fixture
def table(timed, tmp_path):
    """A file with a table of this supernet whose increments are known."""
    assert run_search(timed(search__budget=1), tmp_path / "first") == 0
    values = json.loads((tmp_path / "first" / "latency.json").read_text())
    for row, cost in zip(values["blocks"], COSTS, strict=True):
        row.update(increment_percent=cost, ci95=[cost - 0.1, cost + 0.1])
    path = tmp_path / "table.json"
    path.write_text(json.dumps(values))
    return path


pytest.importorskip("sklearn", reason="the digits come with scikit-learn")


def test_a_search_by_measured_time(timed, tmp_path, capsys):
    folder = tmp_path / "work"
    assert run_search(timed(), folder) == 0
    assert "latency: all 12 blocks connected take" in capsys.readouterr().out
    table, found = LatencyTable.read(folder / "latency.json"), read_search(folder)
    assert table.network["arch"] == "resnet38" and table.network["size"][0] == 1
    assert len(table.blocks) == 12 and max(s.connected for s in table.schemes) == 12
    assert found.objective == {
        "type": "TimeReward",
        "per_block": list(table.per_block),
        "lambda1": 20.0,
        "lambda2": 1.0,
        "loss_weight": 0.0,
    }
    for entry in (found.best, *found.candidates):
        saving = 1 - np.dot(table.per_block, entry.scheme.bits) / sum(table.per_block)
        assert entry.value == pytest.approx(20 * saving + entry.accuracy)


def test_a_table_may_be_given_and_decides(timed, table, tmp_path, capsys):
    folder = tmp_path / "work"
    assert run_search(timed({**TIME, "latency": str(table)}, search__method="nsga2", search__budget=40), folder) == 0
    printed, found = capsys.readouterr().out, read_search(folder)
    assert found.objective["per_block"] == COSTS
    log = [(line.scheme, line.evaluation) for line in read_log(folder)]
    front = pareto_front(log, lambda scheme: float(np.dot(COSTS, scheme.bits)))
    assert [(p.scheme, p.accuracy) for p in found.front] == [(p.scheme, p.accuracy) for p in front]
    assert [p.cost for p in found.front] == pytest.approx([p.cost for p in front])
    volume = found.hypervolume
    assert (volume["of"], volume["cost"]) == ("time increment (%)", pytest.approx(sum(COSTS)))
    assert volume["accuracy"] == min(e.accuracy for _, e in log)
    assert f"front, accuracy against time increment (%): hypervolume {volume['value']:.4g}" in printed
    for point in front:
        assert f"{point.scheme}  accuracy {point.accuracy:.2f}  time increment (%) {point.cost:.4g}" in printed
    assert SearchOutcome.read(folder).latency == LatencyTable.read(table)


def test_other_searches_have_a_front_over_the_ratio(written, supernet, tmp_path):
    assert (
        run_search(read_search_config(written(supernet__checkpoint=str(supernet), standalone=None)), tmp_path / "w")
        == 0
    )
    found = read_search(tmp_path / "w")
    assert found.objective == {"type": "Reward", "lambda1": 2.0, "lambda2": 1.0, "loss_weight": 0.0}
    assert found.front and found.hypervolume["of"] == "connection ratio" and found.hypervolume["cost"] == 1
    for point in found.front:
        assert point.cost == pytest.approx(point.scheme.ratio)


def test_a_killed_search_measures_once_and_ends_the_same(timed, table, tmp_path, monkeypatch):
    plan = timed(search__method="ean")
    append = LoggedProblem._append

    def stop_after_three(self, found):
        append(self, found)
        if len(self) + len(found) >= 3:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(LoggedProblem, "_append", stop_after_three)
        with pytest.raises(KeyboardInterrupt):
            run_search(plan, tmp_path / "stopped")
    measured = (tmp_path / "stopped" / "latency.json").read_bytes()
    kept = timed({**TIME, "latency": str(tmp_path / "stopped" / "latency.json")}, search__method="ean")
    assert run_search(kept, tmp_path / "whole") == 0
    log = (tmp_path / "stopped" / "evaluations.jsonl").read_bytes()
    with pytest.raises(UserInputError, match="begun with another table"):
        run_search(timed({**TIME, "latency": str(table)}, search__method="ean"), tmp_path / "stopped", resume=True)
    (tmp_path / "stopped" / "latency.json").rename(tmp_path / "aside.json")
    with pytest.raises(UserInputError, match="another search problem, latency_sha256 is"):
        run_search(plan, tmp_path / "stopped", resume=True)
    (tmp_path / "aside.json").replace(tmp_path / "stopped" / "latency.json")
    assert (tmp_path / "stopped" / "evaluations.jsonl").read_bytes() == log
    assert run_search(plan, tmp_path / "stopped", resume=True) == 0
    assert (tmp_path / "stopped" / "latency.json").read_bytes() == measured
    stopped, whole = (read_search(tmp_path / name) for name in ("stopped", "whole"))
    assert replace(stopped, seconds=None, fresh=None) == replace(whole, seconds=None, fresh=None)


def test_a_finished_search_by_another_objective_is_refused(timed, table, tmp_path):
    folder, objective = tmp_path / "work", {**TIME, "latency": str(table)}
    assert run_search(timed(objective), folder) == 0
    assert run_search(timed(objective), folder, resume=True) == 0
    for other in ({**objective, "lambda1": 3}, {"lambda1": 2.0}):
        with pytest.raises(UserInputError, match="objective is"):
            run_search(timed(other), folder, resume=True)
    (folder / "latency.json").unlink()
    with pytest.raises(UserInputError, match=r"latency.json: no such file.*bring it back"):
        run_search(timed(objective), folder, resume=True)


def test_a_table_of_noise_is_measured_again(timed, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(
            stopwatch,
            "_times",
            lambda steps, timing, device: 2.0 - np.ones((timing.rounds, 1)) * np.arange(len(steps)) % 2,
        )
        with pytest.raises(RunError, match=r"add up to -.*timing\.rounds"):
            run_search(timed(), tmp_path / "work")
    assert not (tmp_path / "work" / "latency.json").exists()
    assert run_search(timed(), tmp_path / "work", resume=True) == 0


def test_a_table_of_another_network_is_refused_and_nothing_left(timed, table, tmp_path):
    values = json.loads(table.read_text())
    values["network"]["sharing"] = "block"
    table.write_text(json.dumps(values))
    with pytest.raises(UserInputError, match="sharing is 'block' there and 'stage' in this search"):
        run_search(timed({**TIME, "latency": str(table)}), tmp_path / "work")
    assert not (tmp_path / "work").exists()


@pytest.mark.parametrize(
    ("objective", "line"),
    [
        ({"kind": "tim"}, r"search.objective.kind' is 'tim', expected one of 'sparsity', 'time'.*Did you mean 'time'"),
        ({"kind": 3}, r"search.objective.kind' is 3"),
        ({"latency": "x.json"}, r"key 'search.objective.latency' is for kind='time' only"),
        ({"kind": "time", "lambda1": "2"}, r"search.objective.lambda1' is '2', expected a finite number"),
        ({"kind": "time", "lambda2": True}, r"search.objective.lambda2' is True"),
        ({"kind": "time", "timing": {"round": 3}}, r"search.objective.timing.round' is unknown.*'rounds'"),
        ({"kind": "time", "timing": {"rounds": 0}}, r"timing.rounds=0"),
        ({"kind": "time", "timing": 3}, r"search.objective.timing' is 3, expected an object"),
        ({"kind": "time", "latency": "none.json"}, r"none.json: no such file"),
    ],
)
def test_objectives_that_there_are_not(timed, tmp_path, objective, line):
    with pytest.raises(UserInputError, match=line):
        run_search(timed(objective), tmp_path / "work")
    assert not (tmp_path / "work").exists()


# ---- trained networks


@pytest.fixture
def trained(written, supernet, tmp_path):
    """A whole search; the folder and what ran it."""
    plan = read_search_config(written(supernet__checkpoint=str(supernet), standalone__candidates=1))
    assert run_search(plan, tmp_path / "work") == 0
    return tmp_path / "work", plan


def test_the_certificate_gets_its_time_from_the_search_s_own_measurement(trained):
    folder, _ = trained
    content = json.loads((folder / "increment.json").read_text())
    rows = {(row["name"], row["against"]): row for row in content["rows"]}
    assert set(rows) == {("plain", None), ("full_sa", "plain"), ("candidate 1", "plain"), ("candidate 1", "full_sa")}
    best = str(read_search(folder).candidates[0].scheme)
    assert {row["scheme"] for row in rows.values() if row["name"] == "candidate 1"} == {best}
    assert {(row["size"], row["batch"], row["rounds"]) for row in rows.values()} == {(32, 2, 2)}
    assert content["machine"]["threads"] >= 1

    row = rows["candidate 1", "full_sa"]
    condition = ticket_of(SearchOutcome.read(folder)).conditions[0]
    assert condition.name == "time" and condition.numbers == pytest.approx(
        {
            "ratio": 1 + row["increment_percent"] / 100,
            "low": 1 + row["ci95"][0] / 100,
            "high": 1 + row["ci95"][1] / 100,
        }
    )
    assert "time" not in ticket_of(SearchOutcome.read(folder)).missing


def test_rows_of_others_are_kept_and_missing_ones_measured(trained):
    folder, plan = trained
    path = folder / "increment.json"
    content = json.loads(path.read_text())
    other = {"name": "resnet38.mine", "against": "resnet38.cifar100", "mode": "deployed", "increment_percent": 1.0}
    path.write_text(json.dumps({**content, "rows": [*content["rows"][1:], other]}))
    assert run_search(plan, folder, resume=True) == 0
    rows = json.loads(path.read_text())["rows"]
    assert rows[-1] == other and len(rows) == len(content["rows"]) + 1
    path.write_text("{}")
    with pytest.raises(UserInputError, match=r"increment.json: key 'rows' is missing"):
        run_search(plan, folder, resume=True)


def test_trainings_go_on_only_as_they_were_begun(trained, written, supernet):
    folder, plan = trained
    other = {**SHORT, "optim_wrapper.optimizer.lr": 0.2}
    changed = read_search_config(
        written(supernet__checkpoint=str(supernet), standalone__candidates=1, standalone__options=other)
    )
    before = (folder / "standalone.json").read_bytes()
    with pytest.raises(UserInputError, match=r"standalone.json: standalone.options is .*choose another --work-dir"):
        run_search(changed, folder, resume=True)
    with pytest.raises(UserInputError, match=r"--amp is False there and True now"):
        run_search(plan, folder, resume=True, amp=True)
    record = json.loads(before)
    record["runs"] = []  # stopped within the first training
    (folder / "standalone.json").write_text(json.dumps(record))
    with pytest.raises(UserInputError, match=r"standalone.options is"):
        run_search(changed, folder, resume=True)
    (folder / "standalone.json").write_bytes(before)
    assert run_search(plan, folder, resume=True) == 0
    assert json.loads((folder / "standalone.json").read_text()) == json.loads(before)


def test_a_record_of_an_earlier_version_goes_on(trained):
    folder, plan = trained
    record = json.loads((folder / "standalone.json").read_text())
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*.pth")}
    del record["training"]
    for run in record["runs"]:
        del run["options"], run["amp"]
    (folder / "standalone.json").write_text(json.dumps(record))
    found = json.loads((folder / "search.json").read_text())
    del found["hypervolume"]
    (folder / "search.json").write_text(json.dumps({**found, "front": []}))
    assert run_search(plan, folder, resume=True) == 0
    assert before == {path: path.stat().st_mtime_ns for path in before}
    outcome = SearchOutcome.read(folder)
    assert [run.options for run in outcome.runs] == [None, None] and outcome.search.front == ()

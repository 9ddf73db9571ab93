"""A whole search on a handful of digits: supernet, search, stand-alone trainings."""

import json
import re

import pytest
import torch
from search_configs import ROOT, SHORT

import transfer.engine  # noqa: F401
from backbones.errors import UserInputError
from backbones.scheme import ConnectionScheme
from backbones.weights import sha256_file
from transfer.cli import run_command
from transfer.pipeline import run as pipeline
from transfer.pipeline.config import read_plan
from transfer.pipeline.engines import get_engine
from transfer.pipeline.run import read_result, run_search
from transfer.search.log import read_log

pytest.importorskip("sklearn", reason="the digits come with scikit-learn")


def test_a_search_from_end_to_end_and_again(written, tmp_path, capsys):
    plan, folder = read_plan(written()), tmp_path / "work"
    assert run_search(plan, folder) == 0

    found = read_result(folder)
    assert found["supernet"]["sha256"] == sha256_file(folder / "supernet" / "iter_2.pth")
    assert found["supernet"]["beta"] == 0.5 and found["supernet"]["seconds"] > 0
    assert found["log_sha256"] == sha256_file(folder / "evaluations.jsonl")
    log = {line["scheme"]: line for line in read_log(folder)}
    assert set(log) == set(found["order"]) and len(log) == 6
    values = {s: line["accuracy"] + 2 * ConnectionScheme.parse(s).sparsity for s, line in log.items()}
    assert found["best"]["scheme"] == max(found["order"], key=values.get)

    record = json.loads((folder / "standalone.json").read_text())
    names = [run["name"] for run in record["runs"]]
    assert names == ["candidate 1", "candidate 2", "full_sa"]
    for run in record["runs"]:
        checkpoint = folder / run["checkpoint"]
        assert run["sha256"] == sha256_file(checkpoint)
        modules = {k.split(".")[3] for k in torch.load(checkpoint)["state_dict"] if "attention.layer" in k}
        blockwise = run["name"] == "full_sa"  # a module a block: numbered below the stage
        assert modules and all(name.isdigit() == blockwise for name in modules)
        assert run["val"]["top1"] * 20 % 100 == run["test"]["top1"] * 20 % 100 == 0  # of 20 images each
    candidates = {run["scheme"]: run["val"]["top1"] for run in record["runs"][:2]}
    assert candidates[record["best"]] == max(candidates.values())

    assert all(run["options"] == SHORT and run["amp"] is False for run in record["runs"])

    before = {p: p.stat().st_mtime_ns for p in [*folder.rglob("*.pth"), folder / "increment.json"]}
    capsys.readouterr()
    assert run_search(plan, folder, resume=True) == 0
    assert before == {p: p.stat().st_mtime_ns for p in before}, "nothing is trained or timed twice"
    with pytest.raises(UserInputError, match=r"holds a search already.*--resume"):
        run_search(plan, folder)


def test_a_stopped_search_goes_on_to_the_same_result(written, tmp_path, supernet, monkeypatch):
    plan = read_plan(written(supernet__checkpoint=str(supernet), search__method="ean", standalone=None))
    assert run_search(plan, tmp_path / "unbroken") == 0
    append = pipeline.LoggedProblem._append

    def stop_after_three(self, found):
        append(self, found)
        if len(self) + len(found) >= 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(pipeline.LoggedProblem, "_append", stop_after_three)
    with pytest.raises(KeyboardInterrupt):
        run_search(plan, tmp_path / "stopped")
    monkeypatch.undo()
    assert run_search(plan, tmp_path / "stopped", resume=True) == 0
    unbroken, stopped = (read_result(tmp_path / name) for name in ("unbroken", "stopped"))
    assert stopped["fresh"] < unbroken["fresh"] == 6
    for result in (unbroken, stopped):
        del result["seconds"], result["fresh"]
    assert stopped == unbroken


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"search": "left out"}, r"no section 'search'"),
        ({"search__budget": 0}, r"search.budget=0, expected at least one"),
        ({"search__metod": "ean"}, r"search has no key 'metod'.*Did you mean 'method'"),
        ({"search__method": "eam"}, r"search method 'eam' is unknown.*Did you mean 'ean'"),
        ({"search__args": {"variant": "x"}, "search__method": "ean"}, r"variant='x'"),
        ({"search__args": {"popsize": 3}, "search__method": "ga"}, r"search.args has no key 'popsize'"),
        ({"search__objective": {"lambda3": 1}}, r"search.objective has no key 'lambda3'"),
        ({"supernet__bn": "recalibratd"}, r"bn='recalibratd'.*Did you mean 'recalibrated'"),
        ({"supernet__checkpoint": "nothing.pth"}, r"nothing.pth, no such file"),
        ({"supernet__options": {"train_cfg.max_iter": 2}}, r"train_cfg has no key 'max_iter'"),
        ({"standalone__beside": ["full"]}, r"standalone.beside='full'.*Did you mean 'full_sa'"),
        ({"sandalone": {}}, r"unknown section 'sandalone'.*Did you mean 'standalone'"),
    ],
)
def test_wrong_configs_take_one_line_and_leave_nothing(written, tmp_path, supernet, changes, line, capsys):
    changes = {"supernet__checkpoint": str(supernet), **changes}

    def main(_):
        return run_search(read_plan(written(**changes)), tmp_path / "work")

    assert run_command(main) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("error:") and re.search(line, error), error
    assert not (tmp_path / "work").exists()


def test_a_supernet_of_another_network_is_refused(written, tmp_path, supernet):
    other = f"{ROOT}/configs/supernet/digits_resnet38_full_sa_se.py"
    plan = read_plan(written(supernet__checkpoint=str(supernet), supernet__config=other))
    with pytest.raises(UserInputError, match=r"iter_2\.pth"):
        run_search(plan, tmp_path / "work")
    assert not (tmp_path / "work").exists()


def test_a_folder_with_another_search_is_refused_and_kept(written, tmp_path, supernet):
    first = read_plan(written(supernet__checkpoint=str(supernet), standalone=None))
    assert run_search(first, tmp_path / "work") == 0
    log = (tmp_path / "work" / "evaluations.jsonl").read_bytes()
    other = read_plan(written(supernet__checkpoint=str(supernet), standalone=None, search__seed=4))
    with pytest.raises(UserInputError, match=r"seed is 3 there and 4"):
        run_search(other, tmp_path / "work", resume=True)
    (tmp_path / "work" / "search.json").unlink()
    fewer = {**SHORT, "val_dataloader.dataset.images": 10}
    other = read_plan(written(supernet__checkpoint=str(supernet), standalone=None, supernet__options=fewer))
    with pytest.raises(UserInputError, match="the log belongs to another search problem"):
        run_search(other, tmp_path / "work", resume=True)
    assert (tmp_path / "work" / "evaluations.jsonl").read_bytes() == log


def test_configs_in_the_repository_can_be_read():
    files = sorted((ROOT / "configs" / "search").glob("*.py"))
    assert files
    for file in files:
        plan = read_plan(file)
        plan.search.check()
        pipeline.supernet_config(plan)
        assert plan.standalone is None or plan.file(plan.standalone.config).is_file()


def test_a_ray_cluster_of_two_workers_gives_the_same_results(written, tmp_path, supernet, monkeypatch):
    pytest.importorskip("ray")
    monkeypatch.setenv("RAY_ADDRESS", "")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    plan = read_plan(written(supernet__checkpoint=str(supernet), supernet__bn="recalibrated"))
    engine = get_engine("ray", 2)
    try:
        assert run_search(plan, tmp_path / "ray", engine=engine) == 0
    finally:
        engine.ray.shutdown()
    assert run_search(plan, tmp_path / "serial") == 0
    logs = [{line["scheme"]: line for line in read_log(tmp_path / name)} for name in ("ray", "serial")]
    assert logs[0].keys() == logs[1].keys() and len(logs[0]) == 6
    for scheme, line in logs[0].items():
        assert line["accuracy"] == logs[1][scheme]["accuracy"]
        assert line["loss"] == pytest.approx(logs[1][scheme]["loss"], abs=1e-6)
    runs = [json.loads((tmp_path / name / "standalone.json").read_text())["runs"] for name in ("ray", "serial")]
    for run in (*runs[0], *runs[1]):
        del run["seconds"], run["sha256"]
    assert runs[0] == runs[1]


@pytest.mark.parametrize(("name", "workers", "line"), [("rey", 1, "Did you mean 'ray'"), ("ray", 0, "at least 1")])
def test_engines_that_there_are_not(name, workers, line):
    with pytest.raises(UserInputError, match=line):
        get_engine(name, workers)

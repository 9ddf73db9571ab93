"""A whole search on a handful of digits: supernet, search, stand-alone trainings."""

import json
import re
from dataclasses import replace

import pytest
import torch
from search_configs import ROOT, SHORT

import transfer.engine  # noqa: F401
from backbones.errors import UserInputError
from backbones.weights import sha256_file
from transfer.cli import run_command
from transfer.pipeline.artefacts import read_search, read_standalone
from transfer.pipeline.config import read_search_config
from transfer.pipeline.engines import get_engine
from transfer.pipeline.run import run_search
from transfer.search.log import LoggedProblem, read_log

pytestmark = pytest.mark.slow

pytest.importorskip("sklearn", reason="the digits come with scikit-learn")


def test_a_search_from_end_to_end_and_again(written, tmp_path, capsys):
    plan, folder = read_search_config(written()), tmp_path / "work"
    assert run_search(plan, folder) == 0

    found = read_search(folder)
    assert json.loads((folder / "search.json").read_text()) == json.loads(json.dumps(found.values))
    assert found.supernet.sha256 == sha256_file(folder / "supernet" / "iter_2.pth")
    assert found.supernet.beta == 0.5 and found.supernet.seconds > 0
    assert found.log_sha256 == sha256_file(folder / "evaluations.jsonl")
    log = {line.scheme: line for line in read_log(folder)}
    assert set(log) == set(found.order) and len(log) == 6
    values = {scheme: line.accuracy + 2 * scheme.sparsity for scheme, line in log.items()}
    assert found.best.scheme == max(found.order, key=values.get)

    record = json.loads((folder / "standalone.json").read_text())
    names = [run["name"] for run in record["runs"]]
    assert names == ["candidate 1", "candidate 2", "full_sa"]
    for run in record["runs"]:
        checkpoint = folder / run["checkpoint"]
        assert run["sha256"] == sha256_file(checkpoint)
        modules = {k.split(".")[3] for k in torch.load(checkpoint)["state_dict"] if "attention.layer" in k}
        blockwise = run["name"] == "full_sa"  # one module per block: numbered below the stage
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
    plan = read_search_config(written(supernet__checkpoint=str(supernet), search__method="ean", standalone=None))
    assert run_search(plan, tmp_path / "unbroken") == 0
    append = LoggedProblem._append

    def stop_after_three(self, found):
        append(self, found)
        if len(self) + len(found) >= 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(LoggedProblem, "_append", stop_after_three)
    with pytest.raises(KeyboardInterrupt):
        run_search(plan, tmp_path / "stopped")
    monkeypatch.undo()
    assert run_search(plan, tmp_path / "stopped", resume=True) == 0
    unbroken, stopped = (read_search(tmp_path / name) for name in ("unbroken", "stopped"))
    assert stopped.fresh < unbroken.fresh == 6
    assert replace(stopped, seconds=None, fresh=None) == replace(unbroken, seconds=None, fresh=None)


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"search": "left out"}, r"key 'search' is missing, expected an object .budget, method"),
        ({"search__budget": 0}, r"key 'search.budget' is 0, expected a whole number of at least 1"),
        ({"search__metod": "ean"}, r"key 'search.metod' is unknown.*Did you mean 'method'"),
        ({"search__method": "eam"}, r"search method 'eam' is unknown.*Did you mean 'ean'"),
        ({"search__args": {"variant": "x"}, "search__method": "ean"}, r"variant='x'"),
        ({"search__args": {"popsize": 3}, "search__method": "ga"}, r"search.args has no key 'popsize'"),
        (
            {"search__objective": {"lambda3": 1}},
            r"key 'search.objective.lambda3' is unknown, expected one of kind, lambda1",
        ),
        ({"supernet__bn": "recalibratd"}, r"'supernet.bn' is 'recalibratd'.*Did you mean 'recalibrated'"),
        ({"supernet__checkpoint": "nothing.pth"}, r"nothing.pth, no such file"),
        ({"supernet__options": {"train_cfg.max_iter": 2}}, r"train_cfg has no key 'max_iter'"),
        ({"standalone__beside": ["full"]}, r"'standalone.beside.0.' is 'full'.*Did you mean 'full_sa'"),
        ({"sandalone": {}}, r"key 'sandalone' is unknown.*Did you mean 'standalone'"),
    ],
)
def test_wrong_configs_take_one_line_and_leave_nothing(written, tmp_path, supernet, changes, line, capsys):
    changes = {"supernet__checkpoint": str(supernet), **changes}

    def main(_):
        return run_search(read_search_config(written(**changes)), tmp_path / "work")

    assert run_command(main) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("error:") and re.search(line, error), error
    assert not (tmp_path / "work").exists()


def test_a_supernet_of_another_network_is_refused(written, tmp_path, supernet):
    other = f"{ROOT}/configs/supernet/digits_resnet38_full_sa_se.py"
    plan = read_search_config(written(supernet__checkpoint=str(supernet), supernet__config=other))
    with pytest.raises(UserInputError, match=r"iter_2\.pth"):
        run_search(plan, tmp_path / "work")
    assert not (tmp_path / "work").exists()


def test_a_folder_with_another_search_is_refused_and_kept(written, tmp_path, supernet):
    first = read_search_config(written(supernet__checkpoint=str(supernet), standalone=None))
    assert run_search(first, tmp_path / "work") == 0
    log = (tmp_path / "work" / "evaluations.jsonl").read_bytes()
    other = read_search_config(written(supernet__checkpoint=str(supernet), standalone=None, search__seed=4))
    with pytest.raises(UserInputError, match=r"seed is 3 there and 4"):
        run_search(other, tmp_path / "work", resume=True)
    (tmp_path / "work" / "search.json").unlink()
    fewer = {**SHORT, "val_dataloader.dataset.images": 10}
    other = read_search_config(written(supernet__checkpoint=str(supernet), standalone=None, supernet__options=fewer))
    with pytest.raises(UserInputError, match="the log belongs to another search problem"):
        run_search(other, tmp_path / "work", resume=True)
    assert (tmp_path / "work" / "evaluations.jsonl").read_bytes() == log


def test_a_ray_cluster_of_two_workers_gives_the_same_results(written, tmp_path, supernet, monkeypatch):
    pytest.importorskip("ray")
    monkeypatch.setenv("RAY_ADDRESS", "")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    plan = read_search_config(written(supernet__checkpoint=str(supernet), supernet__bn="recalibrated"))
    engine = get_engine("ray", 2)
    try:
        assert run_search(plan, tmp_path / "ray", engine=engine) == 0
    finally:
        engine.ray.shutdown()
    assert run_search(plan, tmp_path / "serial") == 0
    logs = [{line.scheme: line for line in read_log(tmp_path / name)} for name in ("ray", "serial")]
    assert logs[0].keys() == logs[1].keys() and len(logs[0]) == 6
    for scheme, line in logs[0].items():
        assert line.accuracy == logs[1][scheme].accuracy
        assert line.loss == pytest.approx(logs[1][scheme].loss, abs=1e-6)
    ray, serial = (read_standalone(tmp_path / name).runs for name in ("ray", "serial"))
    assert [replace(run, seconds=None, sha256="") for run in ray] == [
        replace(run, seconds=None, sha256="") for run in serial
    ]


@pytest.mark.parametrize(("name", "workers", "line"), [("rey", 1, "Did you mean 'ray'"), ("ray", 0, "at least 1")])
def test_engines_that_there_are_not(name, workers, line):
    with pytest.raises(UserInputError, match=line):
        get_engine(name, workers)

"""What a task offers, over every task: a new one is tested without touching a test."""

import inspect
from pathlib import Path

import pytest

from backbones.errors import UserInputError
from transfer import task
from transfer.engine.config_check import load_config
from transfer.engine.config_files import list_configs
from transfer.task import get_task, list_tasks

pytestmark = pytest.mark.slow

TASKS = list_tasks()
PARTS = {
    "check": {"check": (["config"], {})},
    "predict": {
        "predict": (["config", "checkpoint", "inputs"], {"out": "results", "deploy": False}),
        "summary": (["record"], {}),
    },
    "predictor": {
        "load": (["config", "checkpoint"], {"deploy": False}),
        "predict_image": (["predictor", "image_HW3"], {}),
    },
    "explain": {
        "load": (["config", "checkpoint"], {}),
        "view": (["explainer", "image_HW3"], {"target": None, "region": None}),
    },
    "export": {"graph": (["predictor"], {}), "network": (["model"], {})},
    "app": {
        "headline": (["result"], {}),
        "remarks": (["result", {}], {}),
        "draw": (["photo", "result", {}], {}),
        "table": (["result", {}], {}),
        "row": (["result", {}], {}),
    },
    "scenes": {"write_scenes": (["out", 4, 0, 0.5], {"progress": print})},
}
"""The calls that commands make: functions of each part, with positional and keyword arguments."""

OFFERED = [(name, part) for part in PARTS for name in list_tasks(part)]


def config_of(name):
    """The first of our configs that is of the task."""
    names = (found for found in list_configs() if "/" not in found)
    return next(config for config in map(load_config, names) if config.task == name)


def test_there_are_tasks_and_every_part_is_offered_by_one():
    assert len(TASKS) == len(set(TASKS)) > 1 and sorted(TASKS) == TASKS
    assert {part for _, part in OFFERED} == set(PARTS)


@pytest.mark.parametrize(("name", "part"), OFFERED)
def test_a_part_takes_the_calls_that_commands_make(name, part):
    module = get_task(name).part(part)
    assert module.__name__ == f"tasks.{name}.{part}"
    for function, (args, kwargs) in PARTS[part].items():
        inspect.signature(getattr(module, function)).bind(*args, **kwargs)


@pytest.mark.parametrize("name", list_tasks("check"))
def test_data_that_is_not_there_is_a_problem_of_one_line(name, tmp_path):
    config = config_of(name)
    for loader in ("train", "val", "test"):
        if config.get(f"{loader}_dataloader"):
            config[f"{loader}_dataloader"].dataset.data_root = str(tmp_path / "nowhere")
    report = get_task(name).part("check").check(config)
    assert not report.sound and any("nowhere" in line for line in report.problems)
    assert all("\n" not in line for line in report.problems)


@pytest.mark.parametrize("name", list_tasks("scenes"))
def test_scenes_are_written_where_they_were_asked_for(name, tmp_path):
    done = []
    counts = get_task(name).part("scenes").write_scenes(tmp_path / "out", 4, 0, 0.5, progress=done.append)
    assert counts == (2, 2) and done[-1] == 4
    assert [path.name for path in tmp_path.iterdir()] == ["out"] and any((tmp_path / "out").iterdir())


@pytest.mark.parametrize(("name", "part"), [(name, part) for name in TASKS for part in PARTS])
def test_a_part_that_a_task_lacks_is_refused_with_those_that_have_it(name, part):
    if get_task(name).offers(part):
        assert name in list_tasks(part)
        return
    with pytest.raises(UserInputError, match=f"task '{name}' offers no '{part}', which {list_tasks(part)[0]}"):
        get_task(name).part(part)


def test_a_new_task_is_found_by_its_folder(tmp_path, monkeypatch):
    (tmp_path / "tasks" / "depth").mkdir(parents=True)
    for file in ("tasks/__init__.py", "tasks/depth/__init__.py", "tasks/depth/check.py"):
        (tmp_path / file).touch()
    monkeypatch.setattr(task, "_places", lambda: [tmp_path / "tasks", Path(__file__).parents[2] / "tasks"])
    assert list_tasks() == sorted([*TASKS, "depth"])
    assert "depth" in list_tasks("check") and "depth" not in list_tasks("scenes")
    assert get_task({"task": "depth"}).name == "depth"


@pytest.mark.parametrize(
    ("of", "told"),
    [
        ({}, "has no 'task', expected one of"),
        ({"task": "countin"}, "task='countin', expected one of .* Did you mean 'counting'"),
        ("segmentations", "Did you mean 'segmentation'"),
    ],
)
def test_no_such_task(of, told):
    with pytest.raises(UserInputError, match=f"^config x.py: .*{told}"):
        get_task(of, where="config x.py")

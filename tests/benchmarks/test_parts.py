"""The clock of parts, and the parts of real loops."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from scipy.io import savemat

from tasks.counting.layouts.shanghaitech import image_info
from transfer.benchmarks.part_timer import PartTimer, TimedLoader
from transfer.benchmarks.profile_loops import profile_evaluation, profile_training
from transfer.engine.config_check import load_config
from transfer.engine.runner_setup import choose_device
from transfer.measure import timing

pytestmark = pytest.mark.slow

CONFIG = "configs/shha_small_full_share_se.py"


@pytest.fixture
def seconds(monkeypatch):
    """A clock that is set by hand."""
    now = [0.0]
    monkeypatch.setitem(timing.CLOCKS, "wall", lambda: now[0])
    return now


def test_a_part_inside_another_is_taken_out_of_it(seconds):
    timer = PartTimer()
    seconds[0] += 1
    with timer.part("outer"):
        seconds[0] += 2
        with timer.part("inner"):
            seconds[0] += 4
        with pytest.raises(ZeroDivisionError), timer.part("inner"):
            seconds[0] += 8
            raise ZeroDivisionError
        seconds[0] += 16
    seconds[0] += 32
    assert timer.lap() == {"rest": 33, "outer": 18, "inner": 12}
    seconds[0] += 64
    assert timer.lap() == {"rest": 64}


def test_methods_are_wrapped_on_one_object_only(seconds):
    class Worker:
        def work(self, much, *, more=0):
            seconds[0] += much + more
            return much

    timer, one, other = PartTimer(), Worker(), Worker()
    timer.wrap(one, "work", "work")
    assert one.work(3, more=2) == 3 and other.work(7) == 7
    assert timer.lap() == {"rest": 7, "work": 5}


def test_a_loader_is_timed_batch_by_batch(seconds):
    class Loader:
        batch_size = 5

        def __iter__(self):
            for batch in "abc":
                seconds[0] += 10
                yield batch

        def __len__(self):
            return 3

    timer = PartTimer()
    loader = TimedLoader(Loader(), timer, "reading")
    for _ in loader:
        seconds[0] += 1
    assert timer.lap() == {"rest": 3, "reading": 30} and len(loader) == 3 and loader.batch_size == 5
    limited = TimedLoader(Loader(), timer, "reading", limit=2)
    assert list(limited) == ["a", "b"] and len(limited) == 2 and timer.lap()["reading"] == 20
    assert len(list(TimedLoader(Loader(), timer, "reading", limit=9))) == 3


@pytest.fixture
def counting(tmp_path, monkeypatch):
    """The small counting config on 12 training and 3 test pictures of 60 x 40 pixels."""
    rng = np.random.default_rng(0)
    for split, count in (("train_data", 12), ("test_data", 3)):
        for kind in ("images", "ground-truth"):
            (tmp_path / "part_A" / split / kind).mkdir(parents=True)
        for n in range(1, count + 1):
            folder = tmp_path / "part_A" / split
            cv2.imwrite(str(folder / "images" / f"IMG_{n}.jpg"), rng.integers(0, 255, (40, 60, 3), dtype=np.uint8))
            heads = rng.random((5, 2)) * (58, 38) + 1
            savemat(folder / "ground-truth" / f"GT_IMG_{n}.mat", {"image_info": image_info(heads)})
    monkeypatch.setattr("mmengine.device.utils.DEVICE", "cpu")
    choose_device("cpu")
    root = tmp_path / "part_A"
    return load_config(
        CONFIG,
        [
            *(f"{loader}_dataloader.dataset.data_root={root}" for loader in ("train", "val", "test")),
            "train_dataloader.batch_size=2",
            "train_dataloader.dataset.pipeline.0.size=64",
        ],
    )


def test_parts_of_a_training_step(counting, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rows = profile_training(counting, steps=2)
    names = [row["name"] for row in rows]
    wanted = {"targets: DensityTarget", "data: CrowdRandomCrop", "data: PackCrowd", "forward: trunk", "forward: head"}
    assert wanted | {"loss", "backward", "optimiser", "data: normalising"} <= set(names) and names[-1] == "all"
    assert all(row["ms_per_step"] > 0 and row["batch"] == 2 and row["steps"] == 2 for row in rows)
    *parts, whole = rows
    assert sum(row["ms_per_step"] for row in parts) == pytest.approx(whole["ms_per_step"])
    assert sum(row["share_percent"] for row in parts) == pytest.approx(100) and whole["share_percent"] == 100
    assert [path.name for path in tmp_path.iterdir()] == ["part_A"]  # nothing was written


@pytest.mark.parametrize(("limit", "images"), [(None, 3), (2, 2)])
def test_parts_of_an_evaluation(counting, limit, images):
    rows = profile_evaluation(counting, limit=limit)
    by = {row["name"]: row for row in rows}
    assert {"data: reading, collating", "data: PackCrowd", "network", "metric", "all"} <= set(by)
    assert by["all"]["images"] == images and by["all"]["ms_per_image"] > by["network"]["ms_per_image"] > 0
    assert sum(row["share_percent"] for row in rows) == pytest.approx(200)

"""The benchmark of the trie: its counts by brute force, its evaluations beside those of single networks."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from backbones.errors import UserInputError
from transfer.benchmarks.scaling import Series, draw_scaling, measure_scaling, search_series, slope
from transfer.benchmarks.search_speed import draw_schemes, measure_trie, measure_trie_memory
from transfer.measure import timing
from transfer.measure.timed_models import Settings

pytestmark = pytest.mark.slow

NAME = "resnet38_full_share_se.cifar100"
SETTINGS = Settings(batch=2, rounds=2)


def test_blocks_are_those_of_the_distinct_prefixes():
    row = measure_trie(NAME, schemes=20, size=8, sample=3, settings=SETTINGS)
    schemes = draw_schemes((4, 4, 4), 20, SETTINGS.seed)
    prefixes = {scheme.bits[:k] for scheme in schemes for k in range(12)}
    assert len(set(schemes)) == 20
    assert (row["blocks_run"], row["blocks_alone"]) == (len(prefixes), 240)
    assert row["blocks_saving"] == pytest.approx(240 / len(prefixes)) and row["schemes"] == 20
    assert row["sample"] == 3 and "extrapolated from 3" in row["against"] and row["difference"] < 1e-4
    assert row["alone_seconds"] > 0 and row["speedup_ci95"][0] <= row["speedup"] <= row["speedup_ci95"][1]


def test_what_is_extrapolated_is_in_proportion(monkeypatch):
    monkeypatch.setattr("transfer.measure.timing.interleaved", lambda steps, rounds, *args, **_: _run(steps, rounds))
    row = measure_trie(NAME, schemes=8, size=8, sample=2, settings=SETTINGS)
    assert row["seconds"] == 2 and row["alone_seconds"] == 4 * 3 and row["speedup"] == 6


def _run(steps, rounds):
    for step in steps:
        step()
    return np.tile([2.0, 3.0], (rounds, 1))


def test_all_schemes_or_as_many_as_there_are():
    assert len(set(draw_schemes((4, 4, 4), 0))) == 4096
    assert len(set(draw_schemes((2, 1), 8))) == 8
    with pytest.raises(UserInputError, match="--schemes 9"):
        draw_schemes((2, 1), 9)
    with pytest.raises(UserInputError, match="2\\^54"):
        draw_schemes((18, 18, 18), 0)


def test_memory_is_a_batch_a_level_whatever_the_number_of_schemes():
    few, many = measure_trie_memory(NAME, schemes=[16, 64], size=16, settings=SETTINGS)
    # by hand, 4 bytes a value, 2 pictures: stem 16 x 16 x 16, then 4 maps a stage: 64, 128, 256 channels at 16, 8, 4
    values = 16 * 256 + 4 * (64 * 256 + 128 * 64 + 256 * 16)
    assert few["levels_mb"] == pytest.approx(2 * 4 * values / 1e6)
    assert few["schemes"] == 16 and many["schemes"] == 64
    assert many["peak_memory_mb"] < 1.2 * few["peak_memory_mb"] < 2 * few["levels_mb"]


# ---- scaling


def test_slopes_are_exponents():
    sizes = [1, 3, 10]
    assert slope(sizes, [5.0 * n**1.5 for n in sizes]) == pytest.approx(1.5)
    assert slope([4], [1.0]) is None


def test_series_give_sizes_seconds_and_slopes(monkeypatch, tmp_path):
    now = [0.0]

    def work(size):
        def run():
            now[0] += size**2

        return run

    monkeypatch.setitem(timing.CLOCKS, "wall", lambda: now[0])
    rows = measure_scaling([Series("squares", "things", work, [1, 2, 4]), Series("one", "others", work, [3])], SETTINGS)
    assert [(row["name"], row["n"], row["seconds"]) for row in rows] == [
        ("squares", 1, 1),
        ("squares", 2, 4),
        ("squares", 4, 16),
        ("one", 3, 9),
    ]
    assert rows[0]["slope"] == pytest.approx(2) and rows[0]["last_slope"] == pytest.approx(2)
    assert rows[3]["slope"] is None
    draw_scaling(rows, tmp_path / "s.png")
    with Image.open(tmp_path / "s.png") as image:
        pixels = np.asarray(image.convert("RGB")).astype(int)
    blue = (np.abs(pixels - (0x00, 0x72, 0xB2)).sum(2) < 30).any(axis=0).nonzero()[0]
    assert blue.min() < pixels.shape[1] / 2 < blue.max()  # in both panels


def test_evaluations_grow_with_schemes_and_images(monkeypatch):
    seen = []
    monkeypatch.setattr(
        "transfer.benchmarks.scaling.TrieEvaluator.evaluate",
        lambda self, schemes: seen.append((len(set(schemes)), [len(labels) for _, labels in self.batches])),
    )
    schemes, images = search_series([4, 8], [2, 5], SETTINGS)
    for series in (schemes, images):
        for size in series.sizes:
            series.work(size)()
    assert seen == [(4, [2]), (8, [2]), (4, [2]), (4, [2, 2, 1])]

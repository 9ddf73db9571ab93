"""Training steps side by side."""

from __future__ import annotations

import numpy as np
import pytest

from backbones.errors import UserInputError
from transfer.benchmarks import training_steps
from transfer.benchmarks.training_steps import NAME, PLAIN, measure_training_steps
from transfer.measure.timed_models import Settings

pytestmark = pytest.mark.slow


def test_ratios_are_of_every_memory_format_against_every_other(monkeypatch):
    """Clocked by hand: name, plain and timm's, each contiguous and channels_last."""
    monkeypatch.setattr(training_steps, "_step", lambda build, form, batch, settings: build)
    monkeypatch.setattr(
        "transfer.measure.timing.interleaved",
        lambda steps, rounds, *args, **_: np.tile([6.0, 3.0, 5.0, 2.0, 8.0, 4.0], (rounds, 1)),
    )
    monkeypatch.setattr(training_steps, "_memory", lambda *args: [])
    rows = measure_training_steps(settings=Settings(batch=3, rounds=2))
    own = {(r["memory_format"], r["against"], r["against_format"]): r["ratio"] for r in rows if r["name"] == NAME}
    timm = "timm seresnet50"
    assert own == {
        ("contiguous", PLAIN, "contiguous"): pytest.approx(6 / 5),
        ("contiguous", PLAIN, "channels_last"): pytest.approx(6 / 2),
        ("contiguous", timm, "contiguous"): pytest.approx(6 / 8),
        ("contiguous", timm, "channels_last"): pytest.approx(6 / 4),
        ("channels_last", PLAIN, "contiguous"): pytest.approx(3 / 5),
        ("channels_last", PLAIN, "channels_last"): pytest.approx(3 / 2),
        ("channels_last", timm, "contiguous"): pytest.approx(3 / 8),
        ("channels_last", timm, "channels_last"): pytest.approx(3 / 4),
    }
    found = {(r["name"], r["memory_format"]): r for r in rows}
    assert found[PLAIN, "channels_last"]["ms_per_image"] == pytest.approx(2000 / 3)
    assert len(rows) == 12


def test_checkpointing_takes_less_memory():
    rows = measure_training_steps(
        "resnet38_share_ean_se.standin",
        against="resnet38.cifar100",
        timm=None,
        size=32,
        settings=Settings(batch=4, rounds=1),
    )
    kept, recomputed = (row for row in rows if row["mode"] == "memory")
    assert (kept["checkpointing"], recomputed["checkpointing"]) == (False, True)
    assert recomputed["peak_memory_mb"] < 0.7 * kept["peak_memory_mb"]
    assert {row["memory_format"] for row in rows if row["mode"] == "train"} == {"contiguous", "channels_last"}


def test_a_size_of_nothing_is_refused():
    with pytest.raises(UserInputError, match="--size 0"):
        measure_training_steps(size=0, settings=Settings(batch=1))

import numpy as np
import pytest
import torch

from tasks.segmentation import benchmark

pytestmark = pytest.mark.usefixtures("mmseg_scope")


def test_both_segmentors_compute_the_same_loss():
    torch.manual_seed(0)
    ours, theirs = benchmark.build_pair(head_channels=8)
    inputs, samples = benchmark.random_batch(2, 33, "cpu")
    with torch.no_grad():
        first, second = (model(inputs, samples, mode="loss") for model in (ours, theirs))
    for key in ("decode.loss_ce", "aux.loss_ce"):
        assert first[key] == pytest.approx(second[key].item(), rel=1e-5)


def test_steps_run_in_turn_and_the_first_one_changes():
    order = []
    times = benchmark.interleaved([lambda: order.append("a"), lambda: order.append("b")], pairs=3, warm_up=1)
    assert "".join(order) == "abbaabba" and times.shape == (3, 2) and (times > 0).all()


def test_the_interval_holds_the_median_and_narrows():
    rng = np.random.default_rng(0)
    few, many = rng.normal(1.01, 0.05, 20), rng.normal(1.01, 0.05, 500)
    (low, high), (inner_low, inner_high) = map(benchmark.bootstrap_median, (few, many))
    assert low <= np.median(few) <= high and inner_high - inner_low < (high - low) / 2
    assert inner_low < 1.01 < inner_high and benchmark.bootstrap_median(few) == (low, high)

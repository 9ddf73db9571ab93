import pytest
import torch

from tasks.segmentation import benchmark

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("mmseg_scope")]


def test_both_segmentors_compute_the_same_loss():
    torch.manual_seed(0)
    ours, theirs = benchmark.build_pair(head_channels=8)
    inputs, samples = benchmark.random_batch(2, 33, "cpu")
    with torch.no_grad():
        first, second = (model(inputs, samples, mode="loss") for model in (ours, theirs))
    for key in ("decode.loss_ce", "aux.loss_ce"):
        assert first[key] == pytest.approx(second[key].item(), rel=1e-5)


def test_the_comparison_is_a_row_of_the_benchmarks_json():
    row = benchmark.compare_steps(batch=2, size=33, pairs=2, warm_up=0, head_channels=8)
    low, high = row["ratio_ci95"]
    assert low <= row["ratio"] <= high
    assert row["increment_percent"] == pytest.approx(100 * (row["ratio"] - 1))
    assert row["pairs"] == 2 and row["ms_per_image"] > 0

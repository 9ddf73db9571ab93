import numpy as np
import pytest
import torch

from backbones.errors import UserInputError
from tasks.counting.losses import (
    BayesianLoss,
    BlockCountLoss,
    CountingTarget,
    CropCountLoss,
    DensityMSELoss,
    block_sums,
)

LOSSES = (DensityMSELoss, BlockCountLoss, CropCountLoss, BayesianLoss)
STRIDE = 8


def batch(heights=(8, 5), widths=(8, 7), heads=(6, 0), seed=0):
    """Predictions (N, 1, 8, 8) and targets; the second image is smaller than the grid and holds nobody."""
    rng = np.random.default_rng(seed)
    valid, truth = np.zeros((2, 2, 1, 8, 8), np.float32)
    for i, (h, w) in enumerate(zip(heights, widths, strict=True)):
        valid[i, 0, :h, :w] = 1
        if heads[i]:
            truth[i, 0, :h, :w] = rng.random((h, w))
    points = [torch.from_numpy(rng.random((n, 2)).astype(np.float32) * 60) for n in heads]
    prediction = torch.from_numpy(rng.random((2, 1, 8, 8)).astype(np.float32))
    return prediction, CountingTarget(torch.from_numpy(truth), torch.from_numpy(valid), points, STRIDE, 100.0)


def difference(prediction, target):
    """Label units: 100 people per pixel, cells of 8 x 8 pixels."""
    return ((prediction - target.density) * target.valid).numpy().astype(np.float64)[:, 0] * 100 / 64


def test_density_mse_equals_numpy():
    prediction, target = batch()
    expected = (difference(prediction, target) ** 2).sum() / (64 + 35)
    assert DensityMSELoss(weight=3)(prediction, target).item() == pytest.approx(3 * expected, rel=1e-5)


def test_block_count_equals_numpy_with_ragged_blocks():
    prediction, target = batch()
    expected = 0.0
    for cells in (2, 3):
        blocks = [
            abs(image[y : y + cells, x : x + cells].sum())
            for image in difference(prediction, target)
            for y in range(0, 8, cells)
            for x in range(0, 8, cells)
        ]
        expected += sum(blocks) / (64 + 35)
    loss = BlockCountLoss(sizes=(16, 24))
    assert loss(prediction, target).item() == pytest.approx(expected, rel=1e-5)
    assert loss.name == "loss_blocks_16_24"


def test_block_count_is_a_mean_over_blocks_where_they_fit():
    truth = torch.zeros(1, 1, 4, 4)
    prediction = truth.clone()
    prediction[0, 0, 0, 0], prediction[0, 0, 3, 3] = 2.0, -6.0
    target = CountingTarget(truth, torch.ones_like(truth), [torch.empty(0, 2)], STRIDE)
    assert BlockCountLoss(sizes=(16,))(prediction, target).item() == pytest.approx(100 * (2 + 6) / 4 / 16**2)
    assert BlockCountLoss(sizes=(32,))(prediction, target).item() == pytest.approx(100 * 4 / 32**2)


def test_crop_count_equals_numpy():
    prediction, target = batch()
    expected = np.abs(difference(prediction, target).sum(axis=(1, 2))).sum() / (64 + 35)
    assert CropCountLoss()(prediction, target).item() == pytest.approx(expected, rel=1e-5)


def bayesian_reference(prediction, target, sigma, ratio):
    losses = []
    for image, valid, points in zip(prediction.numpy()[:, 0], target.valid.numpy()[:, 0], target.points, strict=True):
        mass = (image * valid).astype(np.float64)
        if not len(points):
            losses.append(abs(mass.sum()))
            continue
        expected = np.zeros(len(points) + 1)
        for y, x in np.ndindex(mass.shape):
            centre = np.array([(x + 0.5) * STRIDE, (y + 0.5) * STRIDE])
            squared = ((points.numpy() - centre) ** 2).sum(axis=1)
            distances = np.append(squared, (ratio * min(mass.shape) * STRIDE) ** 2 / (squared.min() + 1e-5))
            likelihood = np.exp(-(distances - distances.min()) / (2 * sigma**2))
            expected += mass[y, x] * likelihood / likelihood.sum()
        losses.append(np.abs(1 - expected[:-1]).sum() + abs(expected[-1]))
    return np.mean(losses)


@pytest.mark.parametrize(("sigma", "ratio"), [(8.0, 0.1), (4.0, 0.5)])
def test_bayesian_loss_equals_numpy(sigma, ratio):
    prediction, target = batch()
    loss = BayesianLoss(sigma=sigma, background_ratio=ratio)(prediction, target)
    assert loss.item() == pytest.approx(bayesian_reference(prediction, target, sigma, ratio), rel=1e-4)


def test_bayesian_loss_is_small_where_each_head_has_its_own_person():
    density = torch.zeros(1, 1, 8, 8)
    density[0, 0, 1, 1] = density[0, 0, 6, 5] = 1.0
    points = [torch.tensor([[12.0, 12.0], [44.0, 52.0]])]
    target = CountingTarget(density, torch.ones_like(density), points, STRIDE)
    loss = BayesianLoss(sigma=8.0, background_ratio=0.5)
    assert loss(density, target).item() < 0.01
    assert loss(density.flip(-1), target).item() > 1


@pytest.mark.parametrize("kind", LOSSES)
def test_a_batch_without_heads_has_a_finite_gradient_towards_zero(kind):
    truth = torch.zeros(2, 1, 8, 8)
    prediction = torch.full_like(truth, 0.1, requires_grad=True)
    target = CountingTarget(truth, torch.ones_like(truth), [torch.empty(0, 2)] * 2, STRIDE)
    loss = kind()(prediction, target)
    loss.backward()
    assert loss.item() > 0 and torch.isfinite(prediction.grad).all() and (prediction.grad > 0).all()
    assert kind()(torch.zeros_like(truth), target).item() == 0


@pytest.mark.parametrize("kind", LOSSES)
def test_padding_has_no_influence(kind):
    prediction, target = batch()
    other = prediction + 7 * (1 - target.valid)
    assert torch.equal(kind()(prediction, target), kind()(other, target))


@pytest.mark.parametrize("sizes", [(), (0,), (-8, 16)])
def test_block_sizes_that_are_none_are_refused(sizes):
    with pytest.raises(UserInputError, match="sizes"):
        BlockCountLoss(sizes=sizes)


@pytest.mark.parametrize("size", [4, 20])
def test_block_sizes_that_cut_cells_are_refused(size):
    with pytest.raises(UserInputError, match=f"{size} is not a multiple of the head's stride 8"):
        BlockCountLoss(sizes=(size,))(*batch())


def test_block_sums_keep_the_mass():
    x = torch.rand(2, 1, 7, 10)
    torch.testing.assert_close(block_sums(x, 4).sum((1, 2, 3)), x.sum((1, 2, 3)))
    assert block_sums(x, 4).shape == (2, 1, 2, 3)

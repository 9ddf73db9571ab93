import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter

from tasks.counting.dataset import CrowdDataset
from tasks.counting.targets import adaptive_sigma, density_map


def by_scipy(pixels_xy, shape_hw, sigmas):
    """What CSRNet's script does: filter a full-size image of one head, for each head."""
    total = np.zeros(shape_hw)
    for (x, y), sigma in zip(pixels_xy, sigmas, strict=True):
        one = np.zeros(shape_hw)
        one[y, x] = 1
        total += gaussian_filter(one, sigma, mode="constant", truncate=4.0)
    return total


@pytest.mark.parametrize("stride", [1, 4, 8])
def test_equals_scipy_away_from_the_border(stride):
    rng = np.random.default_rng(0)
    pixels, sigmas = rng.integers(30, 60, (25, 2)), rng.uniform(0.3, 7, 25)
    expected = by_scipy(pixels, (88, 96), sigmas).reshape(88 // stride, stride, 96 // stride, stride).sum((1, 3))
    np.testing.assert_allclose(density_map(pixels + 0.5, (88, 96), stride, sigmas), expected, atol=1e-6)


def test_border_is_the_clipped_window_renormalised():
    expected = by_scipy([(2, 1)], (40, 40), [3.0])
    np.testing.assert_allclose(
        density_map(np.array([[2.5, 1.5]]), (40, 40), 1, 3.0), expected / expected.sum(), atol=1e-6
    )


@settings(deadline=None, max_examples=60)
@given(
    shape=st.tuples(st.integers(1, 70), st.integers(1, 70)),
    stride=st.sampled_from([1, 2, 8, 16]),
    fractions=st.lists(st.tuples(st.floats(0, 0.999), st.floats(0, 0.999)), max_size=12),
    sigma=st.sampled_from([0.0, 0.01, 0.2, 1.0, 4.0, 50.0, 1e4]),
    copies=st.integers(1, 4),
)
def test_mass_is_the_number_of_heads(shape, stride, fractions, sigma, copies):
    points = np.repeat(np.array(fractions).reshape(-1, 2) * shape[::-1], copies, axis=0)
    density = density_map(points, shape, stride, sigma)
    assert density.shape == (-(-shape[0] // stride), -(-shape[1] // stride)) and density.dtype == np.float32
    assert (density >= 0).all() and abs(density.sum(dtype=np.float64) - len(points)) < 1e-3


def test_corners_and_heads_outside():
    inside = [(0, 0), (19.999, 0), (0, 9.999), (19.999, 9.999)]
    outside = [(-0.001, 5), (20, 5), (5, 10), (5, -3)]
    density = density_map(np.array(inside + outside), (10, 20), 8, 2.0)
    assert density.sum() == pytest.approx(4, abs=1e-5)


def test_padding_cells_get_no_mass_beyond_the_image():
    density = density_map(np.array([[8.5, 8.5]]), (9, 9), 8, 100.0)
    np.testing.assert_allclose(density, np.outer([8 / 9, 1 / 9], [8 / 9, 1 / 9]), atol=1e-3)


def test_chunks_change_nothing(monkeypatch):
    points = np.random.default_rng(1).random((50, 2)) * 60
    sigmas = np.random.default_rng(2).uniform(0.5, 6, 50)
    whole = density_map(points, (60, 60), 8, sigmas)
    monkeypatch.setattr("tasks.counting.targets.ENTRIES", 7 * 60)
    np.testing.assert_allclose(density_map(points, (60, 60), 8, sigmas), whole, rtol=1e-6)


@pytest.mark.parametrize(
    "bad", [{"sigma": -1.0}, {"sigma": np.nan}, {"stride": 0}, {"shape_hw": (0, 5)}, {"truncate": 0}]
)
def test_arguments_out_of_range(bad):
    with pytest.raises(ValueError, match="expected positive sizes"):
        density_map(**{"points_xy": np.ones((1, 2)), "shape_hw": (5, 5), "stride": 1, "sigma": 1.0, **bad})


def test_adaptive_sigma_equals_the_plain_distances():
    points = np.random.default_rng(0).random((40, 2)) * 100
    distances = np.sort(np.linalg.norm(points[:, None] - points[None], axis=-1), axis=1)
    np.testing.assert_allclose(adaptive_sigma(points), 0.3 * distances[:, 1:4].mean(axis=1))
    np.testing.assert_allclose(adaptive_sigma(points, max_sigma=2), np.minimum(adaptive_sigma(points), 2))


def test_adaptive_sigma_of_few_heads():
    assert adaptive_sigma(np.zeros((0, 2))).shape == (0,)
    np.testing.assert_allclose(adaptive_sigma(np.ones((1, 2)), (30, 50)), [10])  # CSRNet: mean(H, W) / 4
    np.testing.assert_allclose(adaptive_sigma(np.array([[0, 0], [3, 4]])), [1.5, 1.5])
    np.testing.assert_allclose(adaptive_sigma(np.array([[0, 0], [3, 4], [6, 8]])), [2.25, 1.5, 2.25])
    np.testing.assert_allclose(adaptive_sigma(np.ones((5, 2))), 0)


@pytest.mark.real_data
def test_mass_of_every_test_draw_sample_part_a(real_data):
    data = CrowdDataset(real_data / "ShanghaiTech" / "part_A", "test")
    for sample in map(data.sample, range(len(data))):
        density = density_map(sample.points, sample.shape, 8, sample.sigma)
        assert abs(density.sum(dtype=np.float64) - len(sample.points)) < 1e-3

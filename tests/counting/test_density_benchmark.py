"""The benchmark of density targets: what it counts and sums, not how long it takes."""

import numpy as np
import pytest

from backbones.errors import UserInputError
from tasks.counting import benchmark
from tasks.counting.benchmark import Crowd, measure_density, measure_density_memory, spread
from tasks.counting.benchmark_scaling import shape_of


@pytest.fixture
def images():
    rng = np.random.default_rng(0)
    return [Crowd(rng.random((n, 2)) * (40, 30), (30, 40), np.full(n, 2.0)) for n in (4, 6)]


def test_times_are_those_of_all_heads(images, monkeypatch):
    """Clocked by hand: a filter takes 3 seconds, a map 0.01."""
    now = [0.0]

    def filtered(one, sigma, **_):
        now[0] += 3
        assert one.sum() == 1 and sigma == 8
        return one

    def mapped(points, *args):
        now[0] += 0.01
        return np.full((1, 1), len(points) + 0.25, np.float32)

    monkeypatch.setitem(benchmark.CLOCKS, "wall", lambda: now[0])
    monkeypatch.setattr(benchmark, "gaussian_filter", filtered)
    monkeypatch.setattr(benchmark, "density_map", mapped)
    row = measure_density("x", images, stride=8, adaptive=False, sample=2)
    assert row["ms_per_image"] == pytest.approx(10) and row["against_ms_per_image"] == pytest.approx(15_000)
    assert row["speedup"] == pytest.approx((4 * 300 + 6 * 300) / 2) and row["speedup_total"] == pytest.approx(1500)
    assert row["mass_error"] == pytest.approx(0.25) and row["heads"] == 10 and row["images"] == 2


def test_mass_is_exact(images):
    for stride in (1, 8):
        assert measure_density("x", images, stride=stride, adaptive=True, sample=1)["mass_error"] < 1e-5


def test_memory_does_not_grow_with_the_heads():
    few, many = measure_density_memory([2000, 20_000])
    assert many["peak_memory_mb"] < 2 * few["peak_memory_mb"]


def test_indices_are_evenly_spread():
    assert list(spread(5, None)) == [0, 1, 2, 3, 4] == list(spread(5, 9))
    assert list(spread(101, 3)) == [0, 50, 100]


@pytest.mark.parametrize("megapixels", [0.01, 0.25, 1, 16])
def test_shapes_have_their_pixels_in_whole_cells(megapixels):
    height, width = shape_of(megapixels)
    assert height % 8 == width % 8 == 0
    assert height * width == pytest.approx(megapixels * 1e6, rel=0.05)
    assert width / height == pytest.approx(4 / 3, rel=0.1)


def test_nothing_to_measure_is_refused():
    with pytest.raises(UserInputError, match="0 images"):
        measure_density("x", [], stride=8, adaptive=False)


@pytest.mark.real_data
def test_images_of_part_a(real_data):
    few = benchmark.part_a("test", 3)
    assert len(few) == 3 and all(len(one.points) == len(one.sigma) > 0 for one in few)

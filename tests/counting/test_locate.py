import itertools

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

from tasks.counting.locate import locate, matches, scores
from tasks.counting.targets import density_map


def apart(number, shape_hw, distance, seed=0):
    """Random points that keep a distance from each other and from the border."""
    rng, points = np.random.default_rng(seed), np.zeros((0, 2))
    while len(points) < number:
        point = distance / 2 + rng.random(2) * (np.array(shape_hw[::-1]) - distance)
        if not len(points) or np.hypot(*(points - point).T).min() > distance:
            points = np.vstack([points, point])
    return points


@pytest.mark.parametrize("stride", [4, 8])
@pytest.mark.parametrize("sigma", [6.0, 10.0])
def test_people_apart_are_found_to_a_fraction_of_a_cell(stride, sigma):
    shape = (203, 301)
    points = apart(15, shape, 6 * sigma if sigma < 8 else 40)
    found = locate(density_map(points, shape, stride, sigma), stride, shape_hw=shape)
    assert len(found) == 15
    nearest = np.hypot(*(found[:, None] - points).transpose(2, 0, 1)).min(axis=0)
    assert nearest.max() < 0.45 * stride and nearest.mean() < 0.2 * stride


def test_there_are_as_many_points_as_the_rounded_count_also_in_a_crowd():
    rng = np.random.default_rng(1)
    points = rng.random((400, 2)) * (160, 120)
    density = density_map(points, (120, 160), 8, 8.0)
    found = locate(density, 8, shape_hw=(120, 160))
    assert len(found) == 400
    assert ((found >= 0) & (found < (160, 120))).all()
    # The points are spread as the density is: every quarter has about its share.
    for rows, columns in itertools.product((slice(0, 60), slice(60, 120)), (slice(0, 80), slice(80, 160))):
        inside = ((found >= (columns.start, rows.start)) & (found < (columns.stop, rows.stop))).all(axis=1).sum()
        here = ((points >= (columns.start, rows.start)) & (points < (columns.stop, rows.stop))).all(axis=1).sum()
        assert abs(inside - here) <= 10


@pytest.mark.parametrize(("value", "number"), [(0.0, 0), (-0.5, 0), (0.012, 1), (1.0, 80), (2.6, 208)])
def test_odd_maps(value, number):
    assert len(locate(np.full((8, 10), value), 8)) == number


def test_what_is_left_of_a_map_limits_the_number():
    density = np.zeros((20, 20))
    density[5, 5] = 0.9
    assert len(locate(density, 8, number=3)) == 1
    with pytest.raises(ValueError, match="finite"):
        locate(np.full((3, 3), np.nan), 8)


def most_pairs(found, true, radius):
    """All ways of pairing a few points, tried one after the other."""
    if len(found) > len(true):
        found, true = true, found
    near = np.hypot(*(found[:, None] - true).transpose(2, 0, 1)) <= radius
    orders = itertools.permutations(range(len(true)), len(found))
    return max((sum(near[i, j] for i, j in enumerate(order)) for order in orders), default=0)


@pytest.mark.parametrize("seed", range(12))
def test_pairs_are_as_many_as_there_can_be(seed):
    rng = np.random.default_rng(seed)
    found, true = rng.random((rng.integers(0, 6), 2)) * 10, rng.random((rng.integers(0, 6), 2)) * 10
    assert matches(found, true, 4.0) == most_pairs(found, true, 4.0)


@pytest.mark.parametrize("radius", [0.0, 2.0, 8.0])
def test_pairs_of_many_points_equal_an_assignment(radius):
    rng = np.random.default_rng(0)
    found, true = np.round(rng.random((60, 2)) * 60), np.round(rng.random((75, 2)) * 60)
    near = np.hypot(*(found[:, None] - true).transpose(2, 0, 1)) <= radius
    rows, columns = linear_sum_assignment(near, maximize=True)
    assert matches(found, true, radius) == near[rows, columns].sum()


def test_scores_without_points():
    assert scores([(0, 0, 0)]) == {"precision": 0.0, "recall": 0.0, "f1": 0.0}

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mmengine.registry import TRANSFORMS

from backbones.errors import UserInputError
from tasks.counting import transforms as T
from tasks.counting.structures import Sample
from tasks.counting.targets import adaptive_sigma


def make(shape_hw=(30, 40), number=12, seed=0):
    rng = np.random.default_rng(seed)
    points = (rng.random((number, 2)) * shape_hw[::-1]).astype(np.float32)
    image = rng.integers(0, 256, (*shape_hw, 3), np.uint8)
    sigma = adaptive_sigma(points, shape_hw).astype(np.float32)
    return Sample(image, points, sigma, "IMG_1", "IMG_1.jpg", shape_hw)


def bright(shape_hw, pixels_xy):
    """A dark image with one bright pixel for each point, points at the pixels' centres."""
    image = np.zeros((*shape_hw, 3), np.uint8)
    image[pixels_xy[:, 1], pixels_xy[:, 0]] = 255
    return Sample(image, (pixels_xy + 0.5).astype(np.float32), np.ones(len(pixels_xy), np.float32), ori_shape=shape_hw)


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 10**6), st.integers(5, 30), st.integers(5, 40))
def test_crop_and_flip_move_heads_with_their_pixels(seed, height, width):
    rng = np.random.default_rng(seed)
    pixels = np.unique(rng.integers(0, (40, 30), (15, 2)), axis=0)
    sample = T.CrowdRandomFlip(0.5)(T.CrowdRandomCrop((height, width))(bright((30, 40), pixels), rng), rng)
    assert sample.shape == (height, width)
    rows, columns = np.nonzero(sample.image[..., 0])
    found = sorted(map(tuple, (sample.points - 0.5).tolist()))
    assert found == sorted(zip(columns.tolist(), rows.tolist(), strict=True))
    assert len(sample.sigma) == len(sample.points)


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 10**6), st.sampled_from([16, (20, 50), 64]), st.sampled_from([6.0, "adaptive"]))
def test_mass_is_kept_by_the_whole_chain(seed, size, sigma):
    rng = np.random.default_rng(seed)
    sample = make(seed=seed)
    sample.points[:3] = [(0, 0), (39.999, 29.999), (20, 10)]  # far border, and on the edges of windows
    for transform in (
        T.CrowdRandomScale((0.5, 2)),
        T.CrowdRandomCrop(size, (0.5, 2)),
        T.CrowdRandomFlip(),
        T.PhotometricJitter(),
        T.DensityTarget(8, sigma),
    ):
        sample = transform(sample, rng)
    packed = T.PackCrowd()(sample, rng)
    truth = packed["data_samples"]
    assert abs(float(truth.density.double().sum()) - truth.num_points) < 1e-3
    assert truth.num_points == len(truth.points) == len(truth.sigma)
    height, width = truth.img_shape
    assert packed["inputs"].shape == (3, height, width) and packed["inputs"].dtype == torch.uint8
    assert truth.density.shape == (1, -(-height // 8), -(-width // 8))


def test_resize_follows_continuous_coordinates():
    image = np.zeros((20, 40, 3), np.uint8)
    image[8:12, 24:28] = 255  # a head whose middle is at (26, 10)
    sample = T.resize(Sample(image, np.array([[26, 10]], np.float32), np.ones(1, np.float32)), (60, 80))
    rows, columns = np.nonzero(sample.image[..., 0] > 127)
    np.testing.assert_allclose(sample.points[0], [columns.mean() + 0.5, rows.mean() + 0.5], atol=0.26)
    np.testing.assert_array_equal(sample.points, [[52, 30]])
    np.testing.assert_allclose(sample.sigma, np.sqrt(6))


def test_crop_at_a_scale_sees_what_scaling_and_cropping_sees():
    """A window of half the size, enlarged twice, holds the points at twice the distance."""
    points = np.array([[10, 10], [13, 14]], np.float32)
    sample = Sample(np.zeros((64, 64, 3), np.uint8), points, np.ones(2, np.float32))
    cut = T.CrowdRandomCrop(120, (2, 2))(sample, np.random.default_rng(0))
    assert cut.shape == (120, 120)
    np.testing.assert_allclose(cut.points[1] - cut.points[0], [6, 8], atol=1e-4)


def test_small_images_are_enlarged_until_the_crop_fits():
    sample = T.CrowdRandomCrop((60, 40))(make((30, 40)), np.random.default_rng(0))
    assert sample.shape == (60, 40)
    whole = T.CrowdRandomCrop((60, 80))(make((30, 40)), np.random.default_rng(0))
    np.testing.assert_allclose(whole.points, make((30, 40)).points * 2, rtol=1e-6)


def test_crops_are_spread_evenly():
    rng, lefts = np.random.default_rng(0), []
    for _ in range(300):
        sample = bright((10, 12), np.array([[6, 5]]))
        lefts.append(6.5 - T.CrowdRandomCrop((10, 10))(sample, rng).points[0, 0])
    values, counts = np.unique(lefts, return_counts=True)
    assert values.tolist() == [0, 1, 2] and counts.min() > 70


def test_a_head_on_the_left_edge_stays_inside_when_flipped():
    sample = T.flip(Sample(np.zeros((4, 10, 3), np.uint8), np.array([[0, 2]], np.float32), np.ones(1, np.float32)))
    assert 9.99 < sample.points[0, 0] < 10


def test_crops_have_no_heads_outside():
    sample = make()
    sample.outside = 3
    rng = np.random.default_rng(0)
    assert T.PackCrowd()(sample, rng)["data_samples"].num_points == 15
    assert T.CrowdRandomCrop(20)(sample, rng).outside == 0


def test_photometric_jitter_by_its_definition():
    sample = make()
    before = sample.image.astype(float)
    jitter = T.PhotometricJitter(brightness=0.5, contrast=0, saturation=0, gamma=0, grayscale=0)
    after = jitter(sample, np.random.default_rng(3)).image
    factor = np.random.default_rng(3).uniform(0.5, 1.5)
    assert factor != pytest.approx(1, abs=0.05)
    np.testing.assert_allclose(after, (before * factor).clip(0, 255), atol=1)
    none = T.PhotometricJitter(0, 0, 0, 0, 0)(make(), np.random.default_rng(0)).image
    np.testing.assert_array_equal(none, make().image)
    gray = T.PhotometricJitter(0, 0, 0, 0, grayscale=1)(make(), np.random.default_rng(0)).image
    assert (gray == gray[..., :1]).all()
    expected = make().image @ [0.299, 0.587, 0.114]
    np.testing.assert_allclose(gray[..., 0], expected, atol=1)


def test_adaptive_width_comes_from_the_whole_image_and_scales_with_it():
    sample = make((64, 64), 30)
    wide = dict(zip(map(tuple, sample.points.tolist()), sample.sigma.tolist(), strict=True))
    cut = T.crop(sample, 10, 20, (32, 32))
    target = T.DensityTarget(8, "adaptive", max_sigma=5)(cut, np.random.default_rng(0)).target_sigma
    original = [wide[(x, y)] for x, y in (cut.points + np.array([20, 10], np.float32)).tolist()]
    np.testing.assert_allclose(target, np.minimum(original, 5), rtol=1e-6)


@pytest.mark.parametrize(
    "config",
    [
        {"type": "CrowdRandomScale", "ratio_range": (2, 1)},
        {"type": "CrowdRandomScale", "ratio_range": 3},
        {"type": "CrowdRandomCrop", "size": 0},
        {"type": "CrowdRandomCrop", "size": (1, 2, 3)},
        {"type": "CrowdRandomFlip", "prob": 1.5},
        {"type": "PhotometricJitter", "contrast": 2},
        {"type": "PhotometricJitter", "gamma": -1},
        {"type": "DensityTarget", "stride": 0},
        {"type": "DensityTarget", "stride": 8, "sigma": "geometric"},
        {"type": "DensityTarget", "stride": 8, "sigma": 4.0, "max_sigma": 3.0},
        {"type": "DensityTarget", "stride": 8, "truncate": 0},
    ],
)
def test_wrong_options_name_themselves(config):
    with pytest.raises(UserInputError, match=config["type"]):
        TRANSFORMS.build(config)

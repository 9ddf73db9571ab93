import math

import numpy as np
import pytest
import torch
from PIL import Image

from backbones.errors import RunError
from tasks.segmentation.metric import SegmentationMetric, class_table

pytestmark = pytest.mark.slow


def confusion(pairs, classes, ignored=255):
    """Independent reference: rows are annotated classes, columns predicted ones."""
    matrix = np.zeros((classes, classes), np.int64)
    for predicted, truth in pairs:
        kept = truth != ignored
        np.add.at(matrix, (truth[kept].astype(int), predicted[kept].astype(int)), 1)
    return matrix


def reference(pairs, classes):
    matrix = confusion(pairs, classes)
    hit = np.diag(matrix).astype(float)
    with np.errstate(invalid="ignore", divide="ignore"):
        iou = hit / (matrix.sum(0) + matrix.sum(1) - hit)
        accuracy = hit / matrix.sum(1)
    return 100 * iou, 100 * accuracy, 100 * hit.sum() / matrix.sum()


def measured(pairs, names, batch=2, metric=None):
    metric = metric or SegmentationMetric()
    metric.dataset_meta = {"classes": names}
    samples = [
        {"pred_sem_seg": {"data": torch.from_numpy(p)[None]}, "gt_sem_seg": {"data": torch.from_numpy(t)[None]}}
        for p, t in pairs
    ]
    for start in range(0, len(samples), batch):
        metric.process({}, samples[start : start + batch])
    return metric.evaluate(len(samples))


def compare(pairs, names):
    result = measured(pairs, names)
    iou, accuracy, overall = reference(pairs, len(names))
    np.testing.assert_allclose(list(result["iou"].values()), iou, rtol=1e-9)
    np.testing.assert_allclose(list(result["acc"].values()), accuracy, rtol=1e-9)
    assert result["miou"] == pytest.approx(np.nanmean(iou), rel=1e-9)
    assert result["macc"] == pytest.approx(np.nanmean(accuracy), rel=1e-9)
    assert result["aacc"] == pytest.approx(overall, rel=1e-9)
    assert list(result["iou"]) == list(names)
    return result


def test_figures_are_those_of_a_confusion_matrix_with_absent_classes_and_ignored_pixels():
    rng = np.random.default_rng(0)
    pairs = []
    for _ in range(5):
        truth = rng.choice([0, 1, 3, 255], (13, 17), p=[0.5, 0.2, 0.2, 0.1]).astype(np.int64)
        noise = rng.choice([0, 1, 2, 3], truth.shape)
        pairs.append((np.where(rng.random(truth.shape) < 0.6, np.where(truth == 255, 0, truth), noise), truth))
    result = compare(pairs, ("a", "b", "only predicted", "d", "absent"))
    assert result["iou"]["only predicted"] == 0 and math.isnan(result["acc"]["only predicted"])
    assert math.isnan(result["iou"]["absent"])
    table = class_table(result)
    assert len(table) == 6 and table[5].split() == ["absent", "-", "-"]


def test_always_background_gets_its_share_of_classes():
    truth = np.tile(np.arange(4), (3, 5)).astype(np.int64)
    result = compare([(np.zeros_like(truth), truth)], tuple("abcd"))
    assert (result["miou"], result["macc"], result["aacc"]) == pytest.approx((25 / 4, 25, 25))


def test_counts_beyond_single_precision_are_exact():
    area = torch.tensor([2.0**24, 1.0])  # float32 has no 2^24 + 1
    one = torch.tensor([1.0, 1.0])
    metric = SegmentationMetric()
    metric.dataset_meta = {"classes": ("a", "b")}
    result = metric.compute_metrics([(area, area, area, area), (one, 2 * one, one, one)])
    assert result["iou"]["a"] == pytest.approx(100 * (2**24 + 1) / (2**24 + 2), rel=1e-12)


@pytest.mark.real_data
def test_figures_on_real_masks(real_data):
    folder = real_data / "VOC_small" / "VOC2012" / "SegmentationClass"
    from tasks.segmentation.dataset import VOC_CLASSES

    masks = [np.asarray(Image.open(p)).astype(np.int64) for p in sorted(folder.glob("*.png"))[:40]]
    assert any((mask == 255).any() for mask in masks)
    moved = [np.roll(np.where(mask == 255, 0, mask), (3, -5), (0, 1)) for mask in masks]
    result = compare(list(zip(moved, masks, strict=True)), VOC_CLASSES)
    assert 40 < result["miou"] < 95


def test_intervals_are_those_of_images_drawn_again():
    rng = np.random.default_rng(1)
    pairs = []
    for share in np.linspace(0.5, 1, 20):  # images that are predicted better and better
        truth = rng.integers(0, 3, (8, 8))
        pairs.append((np.where(rng.random(truth.shape) < share, truth, 0).astype(np.int64), truth))
    metric = SegmentationMetric()
    measured(pairs, ("a", "b", "c"), metric=metric)
    areas = [confusion([pair], 3) for pair in pairs]
    drawn = []
    for _ in range(2000):
        matrix = sum(areas[i] for i in rng.integers(0, 20, 20))
        hit = np.diag(matrix)
        drawn.append((100 * (hit / (matrix.sum(0) + matrix.sum(1) - hit)).mean(), 100 * hit.sum() / matrix.sum()))
    expected = np.percentile(drawn, (2.5, 97.5), axis=0).T
    assert metric.intervals["miou"] == pytest.approx(expected[0], abs=0.6)
    assert metric.intervals["aacc"] == pytest.approx(expected[1], abs=0.6)
    assert expected[0][1] - expected[0][0] > 3


def test_the_interval_of_one_image_is_a_point():
    truth = np.array([[0, 1], [1, 1]])
    metric = SegmentationMetric()
    found = measured([(truth, truth)], ("a", "b", "absent"), metric=metric)
    assert metric.intervals["miou"] == (found["miou"], found["miou"]) == (100, 100)


def test_scores_that_are_not_finite_are_an_error_and_no_figure():
    mask = torch.zeros(1, 2, 2, dtype=torch.int64)
    scores = torch.tensor([0.0, math.nan]).view(2, 1, 1).expand(2, 2, 2)
    parts = {"pred_sem_seg": mask, "gt_sem_seg": mask, "seg_logits": scores}
    metric = SegmentationMetric()
    metric.dataset_meta = {"classes": ("a", "b")}
    sample = {"img_path": "street.jpg", **{key: {"data": value} for key, value in parts.items()}}
    with pytest.raises(RunError, match=r"street\.jpg: the network's output holds numbers that are not finite"):
        metric.process({}, [sample])

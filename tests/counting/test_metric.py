import csv
import multiprocessing

import numpy as np
import pytest
import torch
import torch.distributed as dist
from mmengine.evaluator import Evaluator
from scipy.optimize import linear_sum_assignment

from backbones.errors import UserInputError
from tasks.counting.dataset import CrowdDataset
from tasks.counting.locate import locate
from tasks.counting.metric import CrowdMetric, as_csv, game, mae, map_stride, mse, nae
from tasks.counting.structures import CrowdSample
from tasks.counting.targets import density_map


def make_samples(number=7, stride=8, seed=0):
    rng = np.random.default_rng(seed)
    samples = []
    for n in range(number):
        height, width = rng.integers(20, 90, 2).tolist()
        points = torch.from_numpy((rng.random((3 * n, 2)) * (width, height)).astype(np.float32))
        density = torch.from_numpy(rng.random((1, -(-height // stride), -(-width // stride)), np.float32))
        meta = {"image_id": f"IMG_{n}", "img_path": f"{n}.jpg", "img_shape": (height, width), "num_points": len(points)}
        sample = CrowdSample(metainfo=meta, points=points, pred_density=density)
        sample.pred_count = float(density.sum(dtype=torch.float64))
        samples.append(sample)
    return samples


def evaluate(metric, samples, meta=None):
    evaluator = Evaluator(metric)
    evaluator.dataset_meta = meta
    for sample in samples:
        evaluator.process([sample])
    return evaluator.evaluate(len(samples))


def game_by_loops(density, points, stride, level):
    """Cell by cell, head by head: the definition, written plainly."""
    n, (rows, columns) = 2**level, density.shape
    error = 0.0
    for i in range(n):
        for j in range(n):
            top, bottom, left, right = i * rows // n, (i + 1) * rows // n, j * columns // n, (j + 1) * columns // n
            heads = sum(top <= y // stride < bottom and left <= x // stride < right for x, y in points)
            error += abs(float(density[top:bottom, left:right].astype(float).sum()) - heads)
    return error


@pytest.mark.parametrize("stride", [2, 8, 16])
def test_equals_plain_numpy(stride):
    samples = make_samples(stride=stride)
    found = evaluate(CrowdMetric(), samples)
    pred = np.array([s.pred_density.double().sum().item() for s in samples])
    gt = np.array([len(s.points) for s in samples])
    expected = {
        "mae": np.mean(np.abs(pred - gt)),
        "mse": np.sqrt(np.mean((pred - gt) ** 2)),
        "nae": np.mean([abs(p - g) / g for p, g in zip(pred, gt, strict=True) if g]),
    }
    for level in range(4):
        each = [game_by_loops(s.pred_density[0].numpy(), s.points.numpy(), stride, level) for s in samples]
        expected[f"game{level}"] = np.mean(each)
    assert found == pytest.approx(expected, rel=1e-5)
    assert found["game0"] == pytest.approx(found["mae"])
    assert found["game0"] <= found["game1"] <= found["game2"] <= found["game3"]


def test_heads_outside_count_but_have_no_region():
    sample = make_samples()[3]
    sample.set_metainfo({"num_points": len(sample.points) + 2})
    found = evaluate(CrowdMetric(), [sample])
    assert abs(found["mae"] - found["game0"]) == pytest.approx(2)


def test_each_head_is_in_exactly_one_region():
    rng = np.random.default_rng(0)
    for shape in [(50, 70), (8, 9), (3, 200)]:
        points = rng.random((40, 2)) * shape[::-1]
        empty = np.zeros((-(-shape[0] // 8), -(-shape[1] // 8)))
        assert [game(empty, points, shape, level) for level in range(4)] == [40] * 4


def test_map_stride():
    assert map_stride((10, 17), (2, 3)) == 8
    assert map_stride((768, 1024), (96, 128)) == 8
    assert map_stride((5, 5), (5, 5)) == 1
    with pytest.raises(ValueError, match="does not cover an image"):
        map_stride((768, 1024), (96, 96))


def test_pure_functions_at_their_edges():
    assert np.isnan(nae(np.array([1.0]), np.array([0])))
    assert mae(np.array([2.0]), np.array([0])) == mse(np.array([2.0]), np.array([0])) == 2
    with pytest.raises(ValueError, match="at least one"):
        mae(np.zeros(0), np.zeros(0))
    with pytest.raises(ValueError, match="expected as many"):
        mse(np.zeros(2), np.zeros(3))


def test_leaked_images_are_left_out_beside_the_full_set():
    samples = make_samples()
    found = evaluate(CrowdMetric(), samples, {"leaked": ["IMG_2", "IMG_6"]})
    kept = evaluate(CrowdMetric(), [s for s in samples if s.image_id not in ("IMG_2", "IMG_6")], {"leaked": []})
    assert (found["mae_no_leak"], found["mse_no_leak"]) == pytest.approx((kept["mae"], kept["mse"]))
    assert found["mae"] != pytest.approx(kept["mae"]) and "mae_no_leak" not in kept


def test_per_image_results_and_csv(tmp_path):
    metric = CrowdMetric(csv_path=tmp_path / "out" / "images.csv")
    found = evaluate(metric, make_samples(), {"leaked": ["IMG_3"]})
    with open(tmp_path / "out" / "images.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["image_id"] for row in rows] == [f"IMG_{n}" for n in range(7)]
    assert np.mean([abs(float(row["error"])) for row in rows]) == pytest.approx(found["mae"])
    assert [row["leaked"] for row in rows].count("1") == 1
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["images.csv"]
    worst = metric.worst(3)
    assert len(worst) == 3 and abs(worst[0]["error"]) == max(abs(row["error"]) for row in metric.per_image)


def test_intervals_are_those_of_images_drawn_again():
    metric, rng = CrowdMetric(), np.random.default_rng(3)
    metrics = evaluate(metric, make_samples(40))
    pred, gt = (np.array([row[key] for row in metric.per_image], float) for key in ("pred", "gt"))
    chosen = rng.integers(0, 40, (4000, 40))
    drawn = np.array([[figure(pred[i], gt[i]) for figure in (mae, mse, nae)] for i in chosen])
    for name, values in zip(("mae", "mse", "nae"), drawn.T, strict=True):
        expected = np.percentile(values, (2.5, 97.5))
        low, high = metric.intervals[name]
        assert (low, high) == pytest.approx(tuple(expected), abs=0.06 * np.ptp(expected))
        assert low < metrics[name] < high


def test_localisation_is_scored_over_all_images_together():
    """Maps of known points: what the pure functions say of them, summed over the images."""
    samples, counts = make_samples(), {4: [], 8: []}
    for sample in samples:
        shape, points = sample.img_shape, sample.points.numpy()
        density = density_map(points, shape, 8, 4.0)
        sample.pred_density, sample.pred_count = torch.from_numpy(density)[None], float(density.sum())
        found = locate(density, 8, shape_hw=shape)
        for radius, rows in counts.items():
            near = np.hypot(*(found[:, None] - points).transpose(2, 0, 1)) <= radius
            pairs = linear_sum_assignment(near, maximize=True)
            rows.append((near[pairs].sum(), len(found), len(points)))
    metric = CrowdMetric(localisation=(4, 8))
    found = evaluate(metric, samples)
    for radius, rows in counts.items():
        matched, located, true = np.sum(rows, axis=0)
        expected = (matched / located, matched / true, 2 * matched / (located + true))
        assert [found[f"{name}_{radius}"] for name in ("precision", "recall", "f1")] == pytest.approx(expected)
    assert 0.3 < found["f1_4"] < found["f1_8"]
    assert "matched_8" in as_csv(metric.per_image).splitlines()[0]
    assert not any("_4" in key for key in evaluate(CrowdMetric(), samples))


@pytest.mark.parametrize("radii", [0, (4, -1), "4", ["a"], (float("inf"),), True])
def test_wrong_radii_are_refused(radii):
    with pytest.raises(UserInputError, match="localisation"):
        CrowdMetric(localisation=radii)


def _evaluate_as_rank(rank, folder, found):
    dist.init_process_group("gloo", init_method=f"file://{folder / 'meet'}", rank=rank, world_size=2)
    samples = make_samples()
    mine = (samples + samples[:1])[rank::2]  # as a sampler does that gives each process as many
    metric = CrowdMetric(collect_dir=str(folder / "parts"))
    for sample in mine:
        metric.process(None, [sample.to_dict()])
    found.put((rank, metric.evaluate(len(samples)), len(metric.per_image)))
    dist.destroy_process_group()


def test_two_processes_give_the_same_metrics(tmp_path):
    context = multiprocessing.get_context("fork")
    found = context.SimpleQueue()
    ranks = [context.Process(target=_evaluate_as_rank, args=(rank, tmp_path, found)) for rank in range(2)]
    for rank in ranks:
        rank.start()
    for rank in ranks:
        rank.join(timeout=120)
    assert [rank.exitcode for rank in ranks] == [0, 0]
    (_, first, rows), (_, second, _) = sorted(found.get() for _ in ranks)
    assert first == second == pytest.approx(evaluate(CrowdMetric(), make_samples()), rel=1e-6)
    assert rows == 7


@pytest.mark.real_data
def test_always_saying_the_training_median(real_data):
    """The known score of a predictor that learnt nothing."""
    root = real_data / "ShanghaiTech" / "part_A"
    train, test = CrowdDataset(root, "train", val_ratio=0), CrowdDataset(root, "test")
    median = np.median([train.num_points(i) for i in range(300)])
    gt = np.array([test.num_points(i) for i in range(182)])
    pred = np.full(182, median)
    assert (round(mae(pred, gt), 1), round(mse(pred, gt), 1)) == (239.5, 357.8)

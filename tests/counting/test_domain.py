"""Whether an image is unlike those that a counter was trained on."""

import json

import cv2
import numpy as np
import pytest
from PIL import Image
from scipy.stats import multivariate_normal

from tasks.counting import domain
from tasks.counting.domain import describe, fit, read
from transfer.engine.images import read_image


def textures(number, seed=0, blur=3):
    rng = np.random.default_rng(seed)
    for _ in range(number):
        noise = rng.normal(rng.uniform(90, 160), rng.uniform(30, 60), (96, 128, 3))
        yield np.clip(cv2.GaussianBlur(noise, (0, 0), blur * rng.uniform(0.8, 1.2)) * 1.5, 0, 255).astype(np.uint8)


def test_a_distance_is_that_of_the_normal_distribution_of_the_model():
    """Up to a constant, minus twice the log-likelihood with the covariance of Tipping and Bishop's Eq. 8."""
    rows = np.random.default_rng(0).normal(size=(60, 20)) @ np.random.default_rng(1).normal(size=(20, 20)) + 3
    found = fit(rows)
    basis, scale = np.array(found.basis), np.array(found.scale)
    standard = found.rest * np.eye(20) + basis.T @ np.diag(np.array(found.variance) - found.rest) @ basis
    normal = multivariate_normal(np.array(found.mean), scale[:, None] * standard * scale)
    others = np.random.default_rng(2).normal(size=(5, 20)) * 9
    expected = -2 * (normal.logpdf(others) - normal.logpdf(found.mean))
    assert domain._distances(found, others) == pytest.approx(expected, rel=1e-6)
    assert len(found.basis) == domain.COMPONENTS and found.images == 60


def test_images_of_the_kind_are_usual_and_others_are_not():
    found = fit([describe(image) for image in textures(80)])
    same = np.array([found.novelty(image) for image in textures(40, seed=1)])
    assert (same < 1).mean() >= 0.8
    others = [
        np.zeros((96, 128, 3), np.uint8),
        np.full((96, 128, 3), 200, np.uint8),
        np.tile(np.arange(128, dtype=np.uint8)[None, :, None], (96, 1, 3)),
        *textures(5, blur=1),
    ]
    assert all(found.novelty(image) > 1 for image in others)


def test_a_domain_is_plain_and_read_again():
    found = fit([describe(image) for image in textures(30)])
    again = read(json.loads(json.dumps({"domain": found.plain()})))
    image = next(textures(1, seed=5))
    assert again == found and again.novelty(image) == found.novelty(image)
    assert read({}) is None and read({"domain": {}}) is None


def test_of_few_images_nothing_is_said():
    assert fit([describe(image) for image in textures(domain.LEAST - 1)]) is None


@pytest.mark.parametrize("shape", [(1, 1), (3, 500), (2000, 40)])
def test_odd_images_are_described(shape):
    assert np.isfinite(describe(np.zeros((*shape, 3), np.uint8))).all()


def test_of_large_images_the_middle_is_described_as_it_is():
    image = np.random.default_rng(0).integers(0, 256, (1100, 1500, 3), np.uint8)
    assert (describe(image) == describe(image[38:1062, 238:1262])).all()


@pytest.mark.slow
def test_a_training_says_what_it_saw_and_predict_warns(command, tmp_path):
    for split, images in (("train", textures(30)), ("val", textures(2, seed=1))):
        folder = tmp_path / "crowd" / split
        (folder / "images").mkdir(parents=True)
        (folder / "points").mkdir()
        for i, image in enumerate(images):
            Image.fromarray(image).save(folder / "images" / f"{i}.png")
            (folder / "points" / f"{i}.csv").write_text("x,y\n5,6\n")
    loaders = ("train_dataloader", "val_dataloader", "test_dataloader")
    options = [f"{loader}.dataset.data_root={tmp_path / 'crowd'}" for loader in loaders]
    options += [f"{loader}.dataset.layout=folder" for loader in loaders] + [
        f"{loader}.num_workers=0" for loader in loaders
    ]
    options += [f"{loader}.persistent_workers=False" for loader in loaders[:2]]
    options += ["train_cfg.max_iters=2", "train_cfg.val_interval=2", "train_dataloader.batch_size=2"]
    options += [f"{loader}.dataset.val_ratio=None" for loader in loaders[:2]]
    options += ["test_dataloader.dataset.split=val", "train_dataloader.dataset.pipeline.0.size=64"]
    done = command("train.py", "sample_ean_se", "--work-dir", "run", "--cfg-options", *options)
    assert done.returncode == 0, done.stderr
    Image.new("RGB", (128, 96)).save("black.png")
    done = command("predict.py", "run/iter_2.pth", "crowd/train/images/3.png", "black.png", "--out", "out")
    assert done.returncode == 0, done.stderr
    usual, unusual = json.loads((tmp_path / "out/predictions.json").read_text())["predictions"]
    assert usual["novelty"] < 1 < unusual["novelty"]
    assert "1 of 2 images are unlike" in done.stdout and "(black.png)" in done.stdout
    assert "generated drawings" in done.stderr  # which the config says of its data
    assert "novelty" in (tmp_path / "out/predictions.csv").read_text().splitlines()[0]


@pytest.mark.slow
@pytest.mark.real_data
def test_crowds_of_another_place_are_usual_and_images_of_other_things_are_not(real_data):
    """On ShanghaiTech and VOC, as docs/predict.md says it."""
    parts = ("part_A/train_data", "part_A/test_data", "part_B")
    train, test, other = (sorted((real_data / "ShanghaiTech" / part).rglob("*.jpg")) for part in parts)
    found = fit([describe(read_image(path)) for path in train[::2]])
    share = [np.mean([found.novelty(read_image(path)) > 1 for path in paths]) for paths in (test[::3], other)]
    assert share[0] <= 0.1 and share[1] <= 4 / 18

"""Supernet training: schemes from (seed, iteration), the same on all ranks, resumable; the trained one as a problem."""

import os
import pickle
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.registry import MODELS

from backbones.errors import UserInputError
from backbones.scheme import ConnectionScheme
from transfer.engine.config_check import load_config
from transfer.engine.training import train
from transfer.search.methods import get_method
from transfer.search.problem import SearchProblem, loaders_in, supernet_in
from transfer.search.supernet import Batches, SupernetHook, SupernetProblem, schemes_at

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
DEPTHS = (4, 4, 4)


@pytest.fixture(scope="module")
def cifar(tmp_path_factory):
    """Noise in CIFAR-100's layout: two training images and one test image a class."""
    folder = tmp_path_factory.mktemp("data") / "cifar-100-python"
    folder.mkdir()
    generator = np.random.default_rng(0)
    for part, count in (("train", 200), ("test", 100)):
        data = generator.integers(0, 256, (count, 3072), dtype=np.uint8)
        (folder / part).write_bytes(pickle.dumps({"data": data, "fine_labels": [i % 100 for i in range(count)]}))
    (folder / "meta").write_bytes(pickle.dumps({"fine_label_names": [str(i) for i in range(100)]}))
    return folder


def write_config(folder, cifar, name="supernet", extra=""):
    """A supernet config of the project, at four images a batch and three iterations."""
    path = folder / f"{name}.py"
    datasets = "".join(
        f"{key} = dict({'dataset=dict(' if key != 'calibration_dataset' else ''}data_root={str(cifar)!r}, "
        f"val_per_class=1, images={images}{')' if key != 'calibration_dataset' else ''}{batch})\n"
        for key, images, batch in (
            ("train_dataloader", 100, ", batch_size=4"),
            ("val_dataloader", 6, ", batch_size=3"),
            ("test_dataloader", 4, ", batch_size=4"),
            ("calibration_dataset", 8, ""),
        )
    )
    path.write_text(
        f"_base_ = {str(ROOT / 'configs' / 'supernet' / 'c100_resnet38_full_share_se.py')!r}\n{datasets}"
        "max_iters = 3\ntrain_cfg = dict(max_iters=max_iters, val_interval=100)\n"
        "param_scheduler = dict(T_max=max_iters)\n"
        "default_hooks = dict(checkpoint=dict(interval=1, max_keep_ckpts=3))\n"
        "optim_wrapper = dict(optimizer=dict(lr=0.01))\n"
        'visualizer = dict(vis_backends=[dict(type="LocalVisBackend")])\n' + extra
    )
    return path


def weights(path):
    return torch.load(path, weights_only=True)["state_dict"]


# ---- schemes


def test_schemes_follow_from_seed_and_iteration():
    drawn = [schemes_at(i, 7, DEPTHS)[0] for i in range(300)]
    torch.manual_seed(123)  # the global generator plays no part
    assert drawn == [schemes_at(i, 7, DEPTHS)[0] for i in range(300)]
    assert drawn != [schemes_at(i, 8, DEPTHS)[0] for i in range(300)]
    assert len(set(drawn)) > 280  # of 4,096; about 289 expected


@pytest.mark.parametrize("beta", [0.2, 0.5, 0.8, 1.0])
def test_bits_are_independent_bernoulli(beta):
    bits = np.array([schemes_at(i, 0, DEPTHS, beta=beta)[0].bits for i in range(2000)])
    error = (beta * (1 - beta) / 2000) ** 0.5
    assert np.abs(bits.mean(0) - beta).max() <= 4 * error
    if beta < 1:
        correlations = np.corrcoef(bits.T) - np.eye(12)
        assert np.abs(correlations).max() < 4.5 / 2000**0.5


def test_complement_pairs_and_the_sandwich():
    scheme, opposite = schemes_at(5, 0, DEPTHS, complement=True)
    assert opposite == scheme.complement() and scheme == schemes_at(5, 0, DEPTHS)[0]
    full, empty, *drawn = schemes_at(5, 0, DEPTHS, sandwich=True)
    assert full.ratio == 1 and empty.ratio == 0 and len(set(drawn)) == 2


@pytest.mark.parametrize("beta", [0, -0.1, 1.1, float("nan")])
def test_beta_outside_its_range_is_refused(beta):
    with pytest.raises(UserInputError, match=r"beta=.*expected a probability above 0, up to 1"):
        SupernetHook(beta=beta)


def test_options_that_do_not_fit_are_refused(cifar, tmp_path):
    with pytest.raises(UserInputError, match="exclude each other"):
        SupernetHook(complement=True, sandwich=True)
    plain = write_config(tmp_path, cifar, "plain", "model = dict(backbone=dict(supernet=False))\n")
    with pytest.raises(UserInputError, match="no supernet"):
        train(load_config(plain), work_dir=tmp_path / "plain")
    model = MODELS.build(load_config(write_config(tmp_path, cifar, "other")).model)
    del model.schemes
    with pytest.raises(UserInputError, match="Classifier runs one scheme an iteration"):
        SupernetHook(complement=True).before_train(SimpleNamespace(model=model))


# ---- training


def test_training_resumes_exactly_and_validates_the_configs_scheme(cifar, tmp_path, monkeypatch):
    ran, validated = [], []
    before_iter, before_val = SupernetHook.before_train_iter, SupernetHook.before_val

    def after_setting(self, runner, batch_idx, data_batch=None):
        before_iter(self, runner, batch_idx, data_batch)
        ran.append((runner.iter, self.net.scheme))

    def on_validation(self, runner):
        before_val(self, runner)
        validated.append(self.net.scheme)

    monkeypatch.setattr(SupernetHook, "before_train_iter", after_setting)
    monkeypatch.setattr(SupernetHook, "before_val", on_validation)
    config = write_config(tmp_path, cifar)
    train(load_config(config), work_dir=tmp_path / "whole", seed=4)
    expected = [(i, schemes_at(i, 4, DEPTHS)[0]) for i in range(3)]
    assert ran == expected and validated == [ConnectionScheme.full(DEPTHS)]
    train(load_config(config), work_dir=tmp_path / "rest", resume=tmp_path / "whole" / "iter_2.pth")
    assert ran == [*expected, expected[2]]
    whole, rest = (weights(tmp_path / name / "iter_3.pth") for name in ("whole", "rest"))
    assert whole.keys() == rest.keys() and all(torch.equal(whole[key], rest[key]) for key in whole)


def test_the_sandwich_trains_with_all_four(cifar, tmp_path, monkeypatch):
    seen = []
    from tasks.classification import Classifier

    loss = Classifier.loss
    monkeypatch.setattr(Classifier, "loss", lambda self, *a: (seen.append(self.schemes), loss(self, *a))[1])
    config = write_config(tmp_path, cifar, "sandwich", 'custom_hooks = [dict(type="SupernetHook", sandwich=True)]\n')
    train(load_config(config, ["train_cfg.max_iters=1"]), work_dir=tmp_path / "w", seed=2)
    assert seen == [schemes_at(0, 2, DEPTHS, sandwich=True)]


TWO_RANKS = """
import os, socket, sys
import transfer.engine.training, tasks.classification
from transfer.cli import run_command
from transfer.commands.train import main

with socket.create_server(("localhost", 0)) as free:
    port = free.getsockname()[1]
os.environ.update(WORLD_SIZE="2", MASTER_ADDR="localhost", MASTER_PORT=str(port))
child = os.fork()  # once everything is imported, which takes most of the time
os.environ.update(RANK=str(int(child == 0)), LOCAL_RANK=str(int(child == 0)))
status = run_command(main, sys.argv[1:])
sys.stdout.flush()
if not child:
    os._exit(status)
raise SystemExit(status or os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


def test_two_processes_equal_one(cifar, tmp_path):
    """Gloo, frozen batch normalisation: two processes with two images each are one process with four."""
    config = write_config(tmp_path, cifar, "both", "model = dict(backbone=dict(norm_eval=True))\n")
    train(load_config(config), work_dir=tmp_path / "one", seed=1)
    line = [sys.executable, "-c", TWO_RANKS, str(config), "--launcher", "pytorch", "--seed", "1"]
    line += ["--work-dir", str(tmp_path / "two"), "--cfg-options", "train_dataloader.batch_size=2"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "TORCH_CPP_LOG_LEVEL": "ERROR", "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(line, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    one, two = (weights(tmp_path / name / "iter_3.pth") for name in ("one", "two"))
    started = weights(tmp_path / "one" / "iter_1.pth")
    assert one.keys() == two.keys()
    for key, value in one.items():
        torch.testing.assert_close(two[key], value, atol=1e-5, rtol=1e-4, msg=lambda text, key=key: f"{key}: {text}")
    assert any(not torch.equal(started[key], value) for key, value in one.items())


# ---- the problem


@pytest.fixture(scope="module")
def trained(cifar, tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained")
    config = write_config(folder, cifar, "trained")
    train(load_config(config, ["train_cfg.max_iters=1"]), work_dir=folder / "work")
    return config, folder / "work" / "iter_1.pth"


@pytest.mark.parametrize("split", ["val", "test"])
def test_problem_evaluates_as_the_model_itself_predicts(trained, split):
    config, checkpoint = trained
    problem = SupernetProblem(config, checkpoint, bn="running", split=split)
    assert isinstance(problem, SearchProblem) and problem.depths == DEPTHS
    scheme = ConnectionScheme.parse("1010.0110.0001")
    (found,) = problem.evaluate([scheme])
    loaded = load_config(config)
    model = MODELS.build(loaded.model)
    model.load_state_dict(weights(checkpoint))
    model.eval().backbone.scheme = scheme
    scored, losses = [], []
    with torch.no_grad():
        for images, labels in Batches(problem_data(loaded, split), model.data_preprocessor, 2):
            losses.append(model(images, labels, mode="loss")["loss"].item() * len(labels))
            scored += [int(s["scores"].argmax() == s["labels"]) for s in model(images, labels, mode="predict")]
    assert found.n == len(scored) == {"val": 6, "test": 4}[split]
    assert found.accuracy == pytest.approx(100 * np.mean(scored))
    assert found.loss == pytest.approx(sum(losses) / len(scored), abs=1e-5)


def problem_data(config, split):
    from mmengine.registry import DATASETS

    return DATASETS.build(config[f"{split}_dataloader"].dataset)


def test_settings_say_what_an_evaluation_depends_on(trained):
    config, checkpoint = trained
    running = SupernetProblem(config, checkpoint, bn="running").settings
    recalibrated = SupernetProblem(config, checkpoint, calibration_batch=4).settings
    assert running["data"]["split"] == "val" and running["calibration"] is None
    assert len(running["supernet_sha256"]) == 64 and running["supernet_sha256"] == recalibrated["supernet_sha256"]
    assert recalibrated["calibration"]["images"] == 8 and recalibrated["calibration"]["split"] == "train"
    assert recalibrated["calibration"]["batch"] == 4 and recalibrated["calibration"]["augment"] == []
    pickle.loads(pickle.dumps(recalibrated))
    assert "precision" not in recalibrated, "logs from before there was a choice go on"
    mixed = SupernetProblem(config, checkpoint, bn="running", precision="bfloat16").settings
    assert mixed == {**running, "precision": "bfloat16"}


def test_problem_gives_gradient_methods_their_loaders(trained):
    problem = SupernetProblem(*trained, seed=3)
    assert supernet_in(problem, "darts") is problem.supernet
    assert loaders_in(problem, "darts") == (problem.train_loader, problem.val_loader)
    first, second = (torch.cat([labels for _, labels in problem.train_loader]).tolist() for _ in range(2))
    assert len(first) == 100 and first != second and sorted(first) == sorted(second)
    images, labels = next(iter(problem.val_loader))
    assert images.shape == (4, 3, 32, 32) and labels.shape == (4,)
    weight = torch.full((12,), 0.5, requires_grad=True)
    problem.supernet(images, weight).logsumexp(1).sum().backward()
    assert weight.grad.abs().min() > 0


def test_halves_are_two_fixed_parts_of_d_train_augmented_anew_each_epoch(trained):
    problem = SupernetProblem(*trained, seed=3)
    whole = problem.train_loader
    items = {i: whole._loader.dataset[i]["labels"] for i in range(whole.images)}
    halves = problem.halves
    places = [set(half.sampler.places) for half in halves]
    assert not places[0] & places[1] and len(places[0]) == len(places[1]) == whole.images // 2
    assert places[0] | places[1] == set(items)
    for half, own in zip(halves, places, strict=True):
        epochs = [list(half) for _ in range(2)]
        labels = [torch.cat([labels for _, labels in epoch]).tolist() for epoch in epochs]
        assert all(
            len(epoch) == 48 and set(epoch) < {int(items[i]) for i in own} for epoch in labels
        )  # of 50, by fours
        assert labels[0] != labels[1]
        by_label = [{int(n): x for xs, ns in epoch for x, n in zip(xs, ns, strict=True)} for epoch in epochs]
        assert any(not torch.equal(x, by_label[1][n]) for n, x in by_label[0].items() if n in by_label[1])
    again = SupernetProblem(*trained, seed=3).halves
    assert [half.sampler.places for half in again] == [half.sampler.places for half in halves]


def test_rarts_on_halves_does_not_look_at_d_val_until_the_end(trained, monkeypatch):
    problem = SupernetProblem(*trained)
    monkeypatch.setattr(SupernetProblem, "val_loader", property(lambda self: pytest.fail("D_val was looked at")))
    result = get_method("rarts")(epochs=1, halves=True).search(problem, 3, torch.Generator().manual_seed(0))
    assert result.images == 4 * 48  # two gradients of each network, 12 batches of 4 of the 50 images
    assert result.best.evaluation.n == 6


def test_problem_refuses_what_does_not_fit(trained, cifar, tmp_path):
    config, checkpoint = trained
    other = write_config(tmp_path, cifar, "block", 'model = dict(backbone=dict(name="resnet38_full_sa_se.cifar100"))\n')
    with pytest.raises(UserInputError, match="does not fit the config's model"):
        SupernetProblem(other, checkpoint)
    with pytest.raises(UserInputError, match="no such checkpoint"):
        SupernetProblem(config, tmp_path / "missing.pth")
    with pytest.raises(UserInputError, match="calibration_batch=3 does not divide the 8"):
        SupernetProblem(config, checkpoint, bn="recalibrated", calibration_batch=3)
    with pytest.raises(UserInputError, match="split='train'"):
        SupernetProblem(config, checkpoint, split="train")
    bare = load_config(config)
    bare.pop("calibration_dataset")
    with pytest.raises(UserInputError, match="has no 'calibration_dataset'"):
        SupernetProblem(bare, checkpoint, bn="recalibrated")

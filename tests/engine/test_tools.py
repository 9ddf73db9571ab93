"""The commands as a user types them."""

import hashlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import engine_tiny
import pytest
import torch

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
BACKBONE = 'model = dict(type="TinyModel", backbone=dict(type="RegisteredBackbone", name="{}"))\n'


def test_train_then_test(command, tmp_path):
    engine_tiny.write_config(tmp_path)
    done = command("train.py", "tiny.py", "--seed", 5)
    assert done.returncode == 0 and done.stderr == "", done.stderr
    assert "iteration 9/9" in done.stdout and "left 0:00:00" in done.stdout and "Config" not in done.stdout
    work = tmp_path / "work_dirs" / "tiny"
    assert any("System environment" in log.read_text() for log in work.glob("*/*.log"))
    refused = command("train.py", "tiny.py")
    assert refused.returncode == 2 and "--resume" in refused.stderr and refused.stderr.count("\n") == 1
    tested = command("test.py", "tiny.py", work / "iter_9.pth", "--out", "out/m.json")
    assert tested.returncode == 0 and tested.stderr == "", tested.stderr
    record = json.loads((tmp_path / "out" / "m.json").read_text())
    assert record["metrics"]["count"] == 9 and record["data"] == {"images": 9, "name": "tiny", "split": "val"}
    assert record["checkpoint_sha256"] == hashlib.sha256((work / "iter_9.pth").read_bytes()).hexdigest()
    assert record["seed"] == 5 and record["iter"] == 9 and "tools/test.py tiny.py" in record["command"]
    assert set(record) >= {"config", "checkpoint", "init", "backbone", "scheme", "versions"}


@pytest.mark.parametrize(
    "arguments, line",
    [
        (("tinny.py",), "does not exist"),
        (("tiny.py", "--cfg-options", "train_cfg.max_iter=3"), "Did you mean 'max_iters'"),
        (("tiny.py", "--device", "tpu"), "--device tpu"),
        (("tiny.py", "--launcher", "pytorch"), "torchrun"),
        (("tiny.py", "--cfg-options", "train_dataloader.dataset.broken=4"), "image_4.png: cannot be decoded"),
        (
            ("tiny.py", "--cfg-options", "train_dataloader.dataset.broken=4", "train_dataloader.num_workers=1"),
            "image_4.png: cannot be decoded",
        ),
    ],
)
def test_wrong_input_is_one_line_and_leaves_nothing(command, tmp_path, arguments, line):
    engine_tiny.write_config(tmp_path)
    before = {path.name for path in tmp_path.iterdir()}
    done = command("train.py", *arguments)
    assert done.returncode == 2, done.stderr[-2000:]
    assert line in done.stderr and done.stderr.count("\n") == 1
    assert {path.name for path in tmp_path.iterdir()} - {"__pycache__"} == before


def test_amp_is_refused_where_it_would_be_slow(command, tmp_path, monkeypatch):
    monkeypatch.setattr("transfer.engine.runner_setup.native_bfloat16", lambda device: False)
    engine_tiny.write_config(tmp_path)
    done = command("train.py", "tiny.py", "--amp")
    assert done.returncode == 2 and "--amp" in done.stderr and done.stderr.count("\n") == 1
    assert not (tmp_path / "work_dirs").exists()


def test_a_loss_that_is_not_finite_ends_the_run(command, tmp_path):
    engine_tiny.write_config(tmp_path, extra='model = dict(type="TinyModel", nan_at=5)\n')
    done = command("train.py", "tiny.py")
    assert done.returncode == 1 and done.stderr.count("\n") == 1, done.stderr[-2000:]
    assert "iteration 5: loss=nan" in done.stderr and "iter_4.pth, is from before" in done.stderr
    assert not (tmp_path / "work_dirs" / "tiny" / "iter_6.pth").exists()


def test_signal_to_the_whole_group_then_resume(environment, tmp_path):
    engine_tiny.write_config(tmp_path)
    line = [sys.executable, str(ROOT / "tools" / "train.py"), "tiny.py", "--cfg-options"]
    line += ["train_dataloader.num_workers=2", "train_dataloader.dataset.delay=0.05", "train_cfg.max_iters=1000"]
    process = subprocess.Popen(
        line, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
    )
    curve = tmp_path / "work_dirs" / "tiny" / "curve.jsonl"
    while not curve.exists() and process.poll() is None:
        time.sleep(0.1)
    os.killpg(process.pid, 15)
    _, errors = process.communicate(timeout=600)
    assert process.returncode == 143, errors.decode()[-2000:]
    assert errors.count(b"\n") == 1 and b"continue with: " in errors and b"--resume" in errors
    saved = (tmp_path / "work_dirs" / "tiny" / "last_checkpoint").read_text()
    assert torch.load(tmp_path / saved, weights_only=True)["meta"]["iter"] > 0


def test_two_processes_evaluate_as_one(command, process, tmp_path):
    engine_tiny.write_config(tmp_path)
    # A port of its own for each run (rendezvous on port 0), so that tests may run side by side.
    torchrun = ("-m", "torch.distributed.run", "--nproc-per-node", "2", "--rdzv-backend", "c10d")
    torchrun += ("--rdzv-endpoint", "localhost:0")
    trained = process("train.py", "tiny.py", "--launcher", "pytorch", prefix=torchrun)
    assert trained.returncode == 0, trained.stderr[-2000:]
    assert trained.stdout.count("iteration 9/9") == 1, "each process printed"
    checkpoint = tmp_path / "work_dirs" / "tiny" / "iter_9.pth"
    assert torch.load(checkpoint, weights_only=True)["sampler"]["position"] == 9 * 4 * 2
    lines = (checkpoint.parent / "curve.jsonl").read_text().splitlines()
    two = next(entry["val"] for entry in map(json.loads, lines) if entry["iter"] == 9 and "val" in entry)
    options = ("--cfg-options", "test_dataloader.dataset.length=7")  # the validation data
    assert command("test.py", "tiny.py", checkpoint, "--out", "one.json", *options).returncode == 0
    one = json.loads((tmp_path / "one.json").read_text())["metrics"]
    assert one == two and one["count"] == 7
    assert not (tmp_path / ".dist_test").exists()


def test_checkpoint_of_another_backbone_is_one_line(command, tmp_path):
    engine_tiny.write_config(tmp_path, "se", BACKBONE.format("resnet38_full_share_se.cifar100"))
    engine_tiny.write_config(tmp_path, "ean", BACKBONE.format("resnet38_share_ean_se.standin"))
    options = ("--cfg-options", "train_cfg.max_iters=1", "default_hooks.checkpoint.save_best=None")
    assert command("train.py", "ean.py", *options).returncode == 0
    checkpoint = tmp_path / "work_dirs" / "ean" / "iter_1.pth"
    meta = torch.load(checkpoint, weights_only=True)["meta"]
    assert meta["backbone"] == "resnet38_share_ean_se.standin" and meta["init"] == "scratch" and meta["scheme"]
    done = command("test.py", "se.py", checkpoint)
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    assert "connection scheme" in done.stderr and "resnet38_full_share_se.cifar100" in done.stderr

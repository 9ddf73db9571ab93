"""A training that is stopped and resumed ends with exactly the numbers of one that ran through."""

import json
import signal

import engine_tiny
import pytest
import torch

from backbones.errors import UserInputError
from transfer.engine.config_check import load_config
from transfer.engine.training import train

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def heard():
    """Signals are heard, even where whoever started the tests ignores them, as nohup does."""
    numbers = {signal.SIGINT: signal.default_int_handler, signal.SIGHUP: signal.SIG_DFL}
    before = {number: signal.signal(number, handler) for number, handler in numbers.items()}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def run(folder, name, work_dir, options=(), **arguments):
    path = engine_tiny.write_config(folder, name)
    return train(load_config(path, options), work_dir=work_dir, **arguments)


def tensors(value, prefix=""):
    """All leaves of a checkpoint, by their path."""
    if isinstance(value, dict):
        return {k: v for key, item in value.items() for k, v in tensors(item, f"{prefix}.{key}").items()}
    if isinstance(value, (list, tuple)):
        return {k: v for i, item in enumerate(value) for k, v in tensors(item, f"{prefix}.{i}").items()}
    return {prefix: value}


def same(a, b, parts=("state_dict", "ema_state_dict", "optimizer", "param_schedulers", "sampler")):
    first, second = (torch.load(path, weights_only=True) for path in (a, b))
    for part in parts:
        left, right = tensors(first[part]), tensors(second[part])
        assert left and left.keys() == right.keys()
        for key, value in left.items():
            equal = torch.equal(value, right[key]) if torch.is_tensor(value) else value == right[key]
            assert equal, f"{part}{key} differs"


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT", "SIGHUP", "SIGUSR1"])
def test_resume_is_bit_exact(tmp_path, workers, name, capfd):
    options = [f"train_dataloader.num_workers={workers}"]
    assert run(tmp_path, f"whole{workers}{name}", tmp_path / "whole", options) == 0
    stop = f"train_dataloader.dataset.signal_at={name}:{17 if workers == 0 else 6}"
    status = run(tmp_path, f"cut{workers}{name}", tmp_path / "cut", [*options, stop])
    assert status == 128 + getattr(signal, name)
    line = capfd.readouterr().err.strip().splitlines()[-1]
    assert f"stopped by {name} after iteration" in line and "--resume" in line
    saved = torch.load(tmp_path / "cut" / (tmp_path / "cut" / "last_checkpoint").read_text(), weights_only=True)
    iteration = saved["meta"]["iter"]
    assert 0 < iteration < 9 and saved["sampler"]["position"] == 4 * iteration
    assert workers or iteration == 5
    assert run(tmp_path, f"rest{workers}{name}", tmp_path / "cut", options, resume=True, allow_changes=True) == 0
    same(tmp_path / "whole" / "iter_9.pth", tmp_path / "cut" / "iter_9.pth")
    curves = [(tmp_path / d / "curve.jsonl").read_text().splitlines() for d in ("whole", "cut")]
    values = [{e["iter"]: e["val"] for e in map(json.loads, curve) if "val" in e} for curve in curves]
    assert values[0] == values[1] and set(values[0]) == {4, 8, 9}
    best = [sorted(p.name for p in (tmp_path / d).glob("best_*.pth")) for d in ("whole", "cut")]
    assert best[0] == best[1] and len(best[0]) == 1


def test_validation_cut_short_is_made_up_for(tmp_path):
    assert run(tmp_path, "through", tmp_path / "through") == 0
    stop = ["val_dataloader.dataset.signal_at=SIGTERM:3"]
    assert run(tmp_path, "invalid", tmp_path / "cut", stop) == 128 + signal.SIGTERM
    assert torch.load(tmp_path / "cut" / "iter_4.pth", weights_only=True)["meta"]["iter"] == 4
    assert run(tmp_path, "invalid_rest", tmp_path / "cut", resume=True) == 0
    same(tmp_path / "through" / "iter_9.pth", tmp_path / "cut" / "iter_9.pth")
    lines = [json.loads(line) for line in (tmp_path / "cut" / "curve.jsonl").read_text().splitlines()]
    assert [line["iter"] for line in lines if "val" in line] == [4, 8, 9]


def test_seed_decides_and_workers_do_not(tmp_path):
    for name, options, seed in (
        ("seeded", ["train_dataloader.num_workers=2"], 5),
        ("seeded_again", ["train_dataloader.num_workers=0"], 5),
        ("other_seed", [], 6),
    ):
        run(tmp_path, name, tmp_path / name, [*options, "train_cfg.max_iters=3"], seed=seed)
    same(tmp_path / "seeded" / "iter_3.pth", tmp_path / "seeded_again" / "iter_3.pth")
    with pytest.raises(AssertionError, match="differs"):
        same(tmp_path / "seeded" / "iter_3.pth", tmp_path / "other_seed" / "iter_3.pth")


def test_resume_refuses_another_seed_and_another_optimiser(tmp_path):
    short = ["train_cfg.max_iters=3"]
    run(tmp_path, "first", tmp_path / "w", short)
    with pytest.raises(UserInputError, match="trained with seed 3"):
        run(tmp_path, "reseeded", tmp_path / "w", short, resume=True, seed=4)
    with pytest.raises(UserInputError, match="weights only"):
        best = next((tmp_path / "w").glob("best_*.pth"))
        run(tmp_path, "from_best", tmp_path / "w", short, resume=best)
    with pytest.raises(UserInputError, match=r"holds checkpoints already, up to iter_3\.pth: continue with --resume"):
        run(tmp_path, "again", tmp_path / "w", short)
    with pytest.raises(UserInputError, match="no such checkpoint"):
        run(tmp_path, "nowhere", tmp_path / "w", short, resume=tmp_path / "iter_77.pth")


def test_resume_with_nothing_there_starts_anew(tmp_path, capsys):
    assert run(tmp_path, "anew", tmp_path / "new", ["train_cfg.max_iters=2"], resume=True) == 0
    assert "nothing to resume" in capsys.readouterr().out


def test_resume_passes_over_a_torn_checkpoint_and_a_binary_curve(tmp_path, capfd):
    work_dir = tmp_path / "torn"
    assert run(tmp_path, "torn", work_dir) == 0
    newest = work_dir / "iter_9.pth"
    newest.rename(tmp_path / "unbroken.pth")
    newest.write_bytes(b"PK\x03\x04 and then nothing")
    (work_dir / "curve.jsonl").write_bytes(b"\x80\x00\xff\n" * 3)
    (work_dir / "last_checkpoint").write_bytes(b"\xff\xfe")
    capfd.readouterr()
    assert run(tmp_path, "torn_rest", work_dir, resume=True) == 0
    line = capfd.readouterr().err.splitlines()[0]
    assert "iter_9.pth" in line and "going on from iter_6.pth" in line
    same(tmp_path / "unbroken.pth", newest)

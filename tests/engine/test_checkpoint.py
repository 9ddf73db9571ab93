import errno

import engine_tiny
import numpy as np
import pytest
import torch
from mmengine.logging import HistoryBuffer

from backbones.errors import RunError, UserInputError
from transfer.engine import checkpoint as checkpoints
from transfer.engine.checkpoint import newest_checkpoint, plain
from transfer.engine.config_check import load_config
from transfer.engine.training import train
from transfer.engine.workdir import WorkDir


def test_plain_values_and_what_is_refused(tmp_path):
    value = {"a": np.float64(1.5), "b": (np.arange(3), [torch.ones(1)]), "c": {"d": tmp_path}, 4: None}
    made = plain(value)
    torch.save(made, tmp_path / "plain.pth")
    read = torch.load(tmp_path / "plain.pth", weights_only=True)
    assert type(read["a"]) is float and torch.equal(read["b"][0], torch.arange(3)) and read["c"]["d"] == str(tmp_path)
    with pytest.raises(TypeError, match=r"checkpoint\.x\[1\]: object"):
        plain({"x": [1, object()]})


def test_message_hub_survives_the_way_there_and_back():
    buffer = HistoryBuffer([1.0, 2.0, 3.0], [1, 2, 1])
    hub = {
        "log_scalars": {"train/loss": buffer},
        "runtime_info": {"iter": 3, "odd": object()},
        "resumed_keys": {"train/loss": True, "iter": True, "odd": True},
    }
    said = []
    restored = checkpoints.restore_message_hub(checkpoints.plain_message_hub(hub, said.append))
    assert restored["log_scalars"]["train/loss"].mean() == buffer.mean() == 6 / 4
    assert restored["runtime_info"] == {"iter": 3} and "odd" in said[0] and "odd" not in restored["resumed_keys"]


def test_full_disk_is_explained_and_leaves_the_last_checkpoint(tmp_path, monkeypatch):
    real = checkpoints.write_with_hash

    def full(path, data):
        if "iter_6" in str(path):
            raise OSError(errno.ENOSPC, "No space left on device")
        real(path, data)

    monkeypatch.setattr(checkpoints, "write_with_hash", full)
    config = load_config(
        engine_tiny.write_config(tmp_path, "full"),
        ["default_hooks.checkpoint.max_keep_ckpts=1", "default_hooks.checkpoint.save_best=None"],
    )
    with pytest.raises(
        RunError, match=r"disk is full \(No space.*safe there: iter_3\.pth; make room and continue with: .*--resume"
    ):
        train(config, work_dir=tmp_path / "w")
    assert newest_checkpoint(tmp_path / "w").name == "iter_3.pth"


def test_checkpoints_hold_what_a_result_must_know_and_old_ones_go(tmp_path):
    train(load_config(engine_tiny.write_config(tmp_path, "kept")), work_dir=tmp_path / "w", seed=11)
    names = sorted(p.name for p in (tmp_path / "w").glob("iter_*.pth"))
    assert len(names) == 2 and "iter_9.pth" in names
    for path in (tmp_path / "w").glob("*.pth"):
        read = torch.load(path, weights_only=True)
        assert read["meta"]["seed"] == 11 and "max_iters" in read["meta"]["cfg"]


@pytest.mark.parametrize("name", ["iter_10.pth", "iter_9.pth"])
def test_newest_checkpoint_survives_a_lost_or_moved_pointer(tmp_path, name):
    for saved in ("iter_9.pth", "iter_10.pth", "best_mae_iter_11.pth"):
        (tmp_path / saved).touch()
    assert newest_checkpoint(tmp_path).name == "iter_10.pth"
    (tmp_path / "last_checkpoint").write_text(f"/moved/from/{name}")
    assert newest_checkpoint(tmp_path).name == name
    (tmp_path / "last_checkpoint").write_text("")
    assert newest_checkpoint(tmp_path).name == "iter_10.pth"


def test_another_models_checkpoint_is_refused():
    model = torch.nn.Sequential(torch.nn.Linear(3, 2))
    state = model.state_dict()
    assert checkpoints.check_same_model(model, {"state_dict": state}, "x.pth").keys() == state.keys()
    for wrong, what in (
        ({"0.weight": state["0.weight"]}, "1 keys missing"),
        ({**state, "1.bias": torch.ones(2)}, "1 not known"),
        ({**state, "0.bias": torch.ones(5)}, r"0\.bias: \(5,\) instead of \(2,\)"),
    ):
        with pytest.raises(UserInputError, match=what):
            checkpoints.check_same_model(model, {"state_dict": wrong}, "x.pth")


def test_busy_work_dir(tmp_path):
    folder = WorkDir(tmp_path / "a" / "b")
    with folder.locked(), pytest.raises(RunError, match="another run is using"), folder.locked():
        pass
    assert not (tmp_path / "a").exists()

"""What goes wrong around a run is one line, which names the files."""

from types import SimpleNamespace

import pytest
from mmengine.config import Config

from backbones.errors import RunError, UserInputError
from transfer.cli import run_command
from transfer.engine.evaluation import evaluate
from transfer.engine.hooks import FiniteLossHook


def test_a_loss_that_is_not_finite_names_the_files_of_its_batch(tmp_path):
    runner = SimpleNamespace(iter=4, work_dir=tmp_path)
    batch = {"data_samples": [SimpleNamespace(img_path="a/1.png"), {"img_path": "a/2.png"}, SimpleNamespace()]}
    with pytest.raises(RunError, match=r"iteration 5: loss=nan .* in the batch of a/1\.png, a/2\.png; no checkpoint"):
        FiniteLossHook().after_train_iter(runner, 0, batch, {"loss": float("nan")})


def test_torchs_words_for_no_memory_on_a_cpu_are_one_line(capsys):
    def command(_):
        raise RuntimeError("[enforce fail at alloc_cpu.cpp:118] DefaultCPUAllocator: can't allocate memory: you tried")

    assert run_command(command) == 1
    assert capsys.readouterr().err.startswith("error: no memory left; take a smaller batch")


def test_a_record_that_cannot_be_written_is_refused_before_anything_is_read(tmp_path):
    (tmp_path / "file").touch()
    config = Config({key: {} for key in ("test_dataloader", "test_cfg", "test_evaluator")})
    with pytest.raises(UserInputError, match=r"--out .*m\.json: cannot be written: .*file is no folder"):
        evaluate(config, tmp_path / "none.pth", work_dir=tmp_path / "w", out=tmp_path / "file" / "m.json")
    assert not (tmp_path / "w").exists()

"""Which figure decides on the best checkpoint."""

import pytest

from backbones.errors import UserInputError
from transfer.engine.config_check import load_config
from transfer.engine.runner_setup import prepare


def test_a_best_that_validation_does_not_give_is_refused_before_anything_is_built(tmp_path):
    config = load_config("sample_ean_se", ["default_hooks.checkpoint.save_best=mea"])
    with pytest.raises(UserInputError, match=r"save_best='mea': validation gives mae, .*Did you mean .*'mae'"):
        prepare(config, work_dir=tmp_path / "run")
    assert list(tmp_path.iterdir()) == []
    for name in ("mae", "game2", "auto"):
        prepare(load_config("sample_ean_se", [f"default_hooks.checkpoint.save_best={name}"]), work_dir=tmp_path)

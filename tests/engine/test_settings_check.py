import engine_tiny
import pytest

from backbones.errors import UserInputError
from transfer.engine.config_check import load_config

WRONG = [
    "optim_wrapper.clip_grad.max_norm=-1",  # turns gradients around
    "optim_wrapper.clip_grad.max_norm=0",
    "optim_wrapper.clip_grad.max_norm=nan",
    "optim_wrapper.optimizer.lr=-1",
    "optim_wrapper.optimizer.lr=inf",
    "optim_wrapper.optimizer.weight_decay=-0.1",
    "optim_wrapper.optimizer.betas=(0.9,1.0)",
    "optim_wrapper.optimizer.betas=0.9",
    "optim_wrapper.accumulative_counts=0",
    "default_hooks.checkpoint.interval=0",
    "default_hooks.checkpoint.interval=-7",
    "default_hooks.checkpoint.interval=2.5",
    "default_hooks.checkpoint.max_keep_ckpts=0",
    "default_hooks.checkpoint.max_keep_ckpts=-2",
    "default_hooks.checkpoint.save_begin=-1",
    "default_hooks.logger.interval=0",
    "custom_hooks.0.momentum=1.5",
    "train_dataloader.batch_size=0",
    "train_dataloader.num_workers=-1",
    "val_dataloader.batch_size=-3",
    "test_dataloader.num_workers=0.5",
    "train_dataloader.prefetch_factor=0",
    "train_dataloader.persistent_workers=True",  # without workers
    "train_cfg.max_iters=0",
    "train_cfg.max_iters=2.5",
    "train_cfg.val_interval=-1",
    "param_scheduler.0.begin=-1",
    "param_scheduler.1.T_max=0",
    "randomness.seed=-1",
    "log_level=FOO",
    "work_dir=elsewhere",
    "resume=True",
]


def config(folder):
    return engine_tiny.write_config(
        folder, extra="optim_wrapper['clip_grad'] = dict(max_norm=5.0)\ndefault_hooks['logger'] = dict(interval=50)\n"
    ).with_suffix(".py")


@pytest.mark.parametrize("option", WRONG)
def test_a_setting_that_no_training_can_have_is_named(tmp_path, option):
    path = config(tmp_path)
    key = option.partition("=")[0]
    with pytest.raises(UserInputError, match=rf"{key.replace('.', '[.]')}.*expected") as caught:
        load_config(path, [option])
    assert "\n" not in str(caught.value)


def test_none_of_them_leaves_a_folder(tmp_path, command):
    path = config(tmp_path)
    before = set(tmp_path.rglob("*"))
    done = command("train.py", path, "--work-dir", "w", "--cfg-options", "train_dataloader.batch_size=0")
    assert done.returncode == 2 and "train_dataloader.batch_size=0: expected a whole number" in done.stderr
    assert set(tmp_path.rglob("*")) - before <= set(tmp_path.rglob("__pycache__/**"))


@pytest.mark.parametrize(
    "option",
    [
        "optim_wrapper.clip_grad.max_norm=inf",  # which only measures
        "optim_wrapper.optimizer.lr=0",
        "default_hooks.checkpoint.interval=-1",  # at the end only, as its documentation says
        "default_hooks.checkpoint.max_keep_ckpts=-1",
        "train_dataloader.num_workers=2 train_dataloader.persistent_workers=True",
        "optim_wrapper.clip_grad=None",
        "log_level=WARNING",
    ],
)
def test_what_means_something_stays(tmp_path, option):
    load_config(config(tmp_path), option.split())


def test_a_work_dir_in_a_file_is_not_passed_over_in_silence(tmp_path, command):
    path = engine_tiny.write_config(tmp_path, "named", extra="work_dir = 'mine'\n")
    done = command("train.py", path)
    assert done.returncode == 2 and "its work_dir='mine' is not used, expected --work-dir DIR" in done.stderr

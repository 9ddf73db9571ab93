"""What a resumed training compares with the checkpoint before anything is built."""

import engine_tiny
import pytest
import torch

from backbones.errors import UserInputError
from transfer.engine.compat import load_foreign_checkpoint
from transfer.engine.config_check import load_config
from transfer.engine.resuming import check_changes, check_parts
from transfer.engine.runner_setup import prepare
from transfer.engine.training import train


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained")
    config = load_config(engine_tiny.write_config(folder), ["train_cfg.max_iters=6"])
    train(config, work_dir=folder / "w")
    return folder / "w" / "iter_6.pth"


def resume(trained, options=(), change=None, **arguments):
    """As `train` does, as far as the comparison."""
    saved = load_foreign_checkpoint(trained)
    if change is not None:
        change(saved)
    config = load_config(trained.parents[1] / "tiny.py", options)
    prepare(config, work_dir=trained.parent)
    check_parts(saved, trained)
    check_changes(config, saved, trained, **{"allowed": False, **arguments})


CHANGES = {
    "optim_wrapper.optimizer.lr=0.02": r"optim_wrapper\.optimizer\.lr was 0\.01, now it is 0\.02",
    "optim_wrapper.optimizer.type=SGD": r"optim_wrapper\.optimizer\.type was 'AdamW'",
    "optim_wrapper.clip_grad.max_norm=3": r"optim_wrapper\.clip_grad",
    "param_scheduler.0.start_factor=0.5": r"param_scheduler\.0\.start_factor was 0\.1, now it is 0\.5",
    "param_scheduler.1.T_max=9": r"param_scheduler\.1\.T_max was 5",
    "param_scheduler=None": r"param_scheduler",
    "train_dataloader.batch_size=2": r"train_dataloader\.batch_size was 4, now it is 2",
    "train_dataloader.dataset.length=11": r"train_dataloader\.dataset\.length was 10",
    "train_dataloader.sampler.shuffle=False": r"train_dataloader\.sampler\.shuffle",
    "custom_hooks=[]": r"holds averages of the weights .*no EMAHook",
}


@pytest.mark.parametrize("option", CHANGES)
def test_a_change_is_named_and_needs_to_be_allowed(trained, option, capsys):
    with pytest.raises(UserInputError, match=rf"iter_6\.pth: {CHANGES[option]}.*--allow-changes") as caught:
        resume(trained, [option])
    assert "\n" not in str(caught.value)
    capsys.readouterr()
    resume(trained, [option], allowed=True)
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "going on all the same" in said


@pytest.mark.parametrize(
    "options",
    [
        (),
        ("train_cfg.max_iters=9",),
        ("train_cfg.max_iters=3",),  # which never reaches the second schedule
        ("train_dataloader.num_workers=2", "train_dataloader.persistent_workers=True"),
        ("val_dataloader.batch_size=2", "train_cfg.val_interval=3", "default_hooks.checkpoint.interval=1"),
        ("train_dataloader.pin_memory=True",),
    ],
)
def test_what_changes_no_number_is_nobodys_business(trained, options, capsys):
    resume(trained, options)
    assert capsys.readouterr() == ("", "")


def drop(key):
    return lambda saved: saved.pop(key)


def put(key, value):
    def change(saved):
        *above, last = key.split(".")
        for part in above:
            saved = saved[part]
        saved[last] = value

    return change


INCOMPLETE = {
    "averages": (drop("ema_state_dict"), "holds no averages of the weights"),
    "schedules": (put("param_schedulers", []), r"holds 0 schedules .*expected the 2 that the config has begun"),
    "no schedules": (drop("param_schedulers"), "holds 0 schedules"),
    "weights only": (drop("optimizer"), "holds weights only"),
    "iteration": (put("meta.iter", "six"), "its 'meta.iter' is 'six'"),
    "negative": (put("meta.iter", -1), "its 'meta.iter' is -1"),
    "seed": (put("meta.seed", [1]), "its 'meta.seed'"),
    "sampler": (put("sampler", [1]), "its 'sampler'"),
    "position": (put("sampler.position", "x"), "its 'sampler.position'"),
    "nan in averages": (put("ema_state_dict.x", torch.tensor([1, float("nan")])), "'ema_state_dict.x' holds numbers"),
    "infinite state": (put("optimizer.state", {0: {"avg": torch.tensor(float("inf"))}}), "'optimizer.state.0.avg'"),
}  # fmt: skip


@pytest.mark.parametrize("what", INCOMPLETE)
def test_an_incomplete_checkpoint_is_not_resumed_as_if_it_were_whole(trained, what):
    change, words = INCOMPLETE[what]
    with pytest.raises(UserInputError, match=rf"iter_6\.pth: .*{words}"):
        resume(trained, change=change)


def test_the_command_says_it(trained, command):
    config, work_dir = trained.parents[1] / "tiny.py", trained.parent
    before = {path: path.read_bytes() for path in work_dir.rglob("*") if path.is_file()}
    done = command(
        "train.py", config, "--work-dir", work_dir, "--resume", "--cfg-options", "train_dataloader.batch_size=2"
    )
    assert done.returncode == 2 and done.stderr.count("\n") == 1 and "batch_size was 4, now it is 2" in done.stderr
    assert {path: path.read_bytes() for path in work_dir.rglob("*") if path.is_file()} == before


def test_configs_that_are_no_plain_text_are_said_not_to_be_compared(trained, capsys):
    resume(trained, change=put("meta.cfg", "model = print('x')"))
    assert "nothing was compared" in capsys.readouterr().err

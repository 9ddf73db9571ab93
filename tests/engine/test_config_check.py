import engine_tiny
import pytest

from backbones.errors import UserInputError
from transfer.engine.config_check import load_config, parse_options, signature_keys


@pytest.fixture
def path(tmp_path):
    return engine_tiny.write_config(tmp_path)


@pytest.mark.parametrize(
    "option, key, value",
    [
        ("train_cfg.max_iters=5", "train_cfg.max_iters", 5),
        ("model.width=8", "model.width", 8),  # known to the class only
        ("train_dataloader.pin_memory=True", "train_dataloader.pin_memory", True),
        ("optim_wrapper.clip_grad.max_norm=1", "optim_wrapper.clip_grad.max_norm", 1),
        ("optim_wrapper.optimizer.betas=(0.9,0.99)", "optim_wrapper.optimizer.betas", (0.9, 0.99)),
        ("optim_wrapper.paramwise_cfg.bias_lr_mult=2", "optim_wrapper.paramwise_cfg.bias_lr_mult", 2),
        ("randomness.deterministic=True", "randomness.deterministic", True),
        ("default_hooks.checkpoint.save_begin=2", "default_hooks.checkpoint.save_begin", 2),
        ("find_unused_parameters=True", "find_unused_parameters", True),
        ("custom_hooks.0.momentum=0.5", "custom_hooks.0.momentum", 0.5),
        ("param_scheduler.0.verbose=True", "param_scheduler.0.verbose", True),
    ],
)
def test_known_options_are_set(path, option, key, value):
    node = load_config(path, [option])
    for part in key.split("."):
        node = node[int(part)] if part.isdigit() else node[part]
    assert node == value


@pytest.mark.parametrize(
    "option, line",
    [
        ("train_cfg.max_iter=5", "Did you mean 'max_iters'"),
        ("trian_cfg.max_iters=5", "Did you mean 'train_cfg'"),
        ("model.widht=3", "model has no key 'widht'.*'width'"),
        ("model.width.deeper=3", None),
        ("optim_wrapper.optimizer.weight_dacay=0", "'weight_decay'"),
        ("default_hooks.checkpoint.inteval=3", "'interval'"),
        ("default_hooks.chekpoint.interval=3", "'checkpoint'"),
        ("custom_hooks.3.momentum=1", "a number from 0 to 0"),
        ("train_cfg.max_iters.x=5", "expected nothing below"),
        ("train_cfg.max_iters=many", "a value of that kind"),
        ("train_dataloader.batchsize=3", "'batch_size'"),
        ("param_scheduler.0.start_facter=1", "'start_factor'"),
        ("randomness.sed=3", "'seed'"),
        ("max_iters=5", r"the config has no key 'max_iters'.* Did you mean 'train_cfg\.max_iters'\?$"),
        ("train_dataloader.length=5", r"Did you mean 'train_dataloader\.dataset\.length' or 'val_dataloader\."),
        ("frobnicate=5", "the config has no key 'frobnicate'; it knows"),
        ("train_cfg.max_iters", "KEY=VALUE"),
        ("model.width=[(1,2]", "not balanced"),
    ],
)
def test_unknown_options_are_refused_with_close_matches(path, option, line):
    if line is None:
        assert load_config(path, [option]).model.width.deeper == 3  # a new key may be a tree
        return
    with pytest.raises(UserInputError, match=line) as error:
        load_config(path, [option])
    assert "\n" not in str(error.value)


def test_backbone_overrides_are_known_by_their_network(tmp_path):
    extra = 'model = dict(type="TinyModel", backbone=dict(type="RegisteredBackbone", name="resnet38.cifar100"))'
    path = engine_tiny.write_config(tmp_path, extra=extra)
    options = ["model.backbone.norm_eval=True", "model.backbone.init=scratch"]
    assert load_config(path, options).model.backbone.norm_eval is True
    with pytest.raises(UserInputError, match="'stem_stride'"):
        load_config(path, ["model.backbone.stemstride=2"])


def test_wrong_keys_in_the_file_itself(tmp_path):
    for extra, line in (
        ('model = dict(type="TinyModle")', "type='TinyModle' is unknown.*'TinyModel'"),
        ('model = dict(type="TinyModel", widht=3)', r"model\.widht: TinyModel does not take it.*'width'"),
        ("model = 3 +", "SyntaxError"),
        ('custom_imports = dict(imports=["no_such_module_here"])', "cannot be imported"),
        ('_base_ = ["absent.py"]', "cannot be read"),
    ):
        with pytest.raises(UserInputError, match=line) as error:
            load_config(engine_tiny.write_config(tmp_path, extra=extra))
        assert "\n" not in str(error.value)


def test_unknown_config_offers_those_there_are(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "shha_ean_se.py").write_text("")
    with pytest.raises(UserInputError, match=r"Did you mean 'configs/shha_ean_se\.py'"):
        load_config("configs/shha_ean_s.py")


def test_values_are_read_as_mmengine_reads_them():
    assert parse_options(["a=1", "b.c=[1,2]", "d=None", "e=x=y", "f=1e-3"]) == {
        "a": 1,
        "b.c": [1, 2],
        "d": None,
        "e": "x=y",
        "f": 1e-3,
    }


def test_signature_keys_follow_base_classes():
    class Base:
        def __init__(self, a, b=1):
            pass

    class Derived(Base):
        def __init__(self, c, **kwargs):
            super().__init__(**kwargs)

    class Open:
        def __init__(self, **kwargs):
            pass

    assert signature_keys(Derived) == {"a", "b", "c"}
    assert signature_keys(Open) is None

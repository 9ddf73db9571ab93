"""Configs, options on the command line, and lists: what a training is told."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from engine_tiny import CONFIG

from tasks.classification.folder import ImageFolder
from tasks.counting.layouts import find_source
from tasks.segmentation.dataset import read_list, read_metainfo
from tests.corpus.base import ROOT, base
from tests.corpus.case import Case
from tests.corpus.families.images import encoded

CONFIGS: dict[str, str | bytes] = {
    "empty": "", "no model": "a = 1\n", "a syntax error": "model = dict(\n", "a name error": "model = dict(type=Tiny)\n",
    "binary": bytes(range(256)), "not utf-8": b"model = 'caf\xe9'\n", "an unknown base": "_base_ = './nothing.py'\n",
    "a base that is a number": "_base_ = 3\n", "a base that is itself": "_base_ = './config.py'\n",
    "an unknown import": 'custom_imports = dict(imports=["no_such_module"])\nmodel = dict(type="TinyModel")\n',
    "imports are a number": 'custom_imports = 3\nmodel = dict(type="TinyModel")\n',
    "raises SystemExit": "raise SystemExit(0)\n", "raises": "1 / 0\n", "exits": "import sys\nsys.exit()\n",
    "recurses": "def f():\n    f()\nf()\n",
    "unknown type": 'model = dict(type="TinyModle")\n', "model is a list": "model = [1]\n", "model is a number": "model = 3\n",
    "model is text": 'model = "TinyModel"\n', "model is None": "model = None\n", "no type": "model = dict(width=3)\n",
    "type is a number": "model = dict(type=3)\n", "an unknown task": 'task = "cooking"\nmodel = dict(type="TinyModel")\n',
    "task is a number": 'task = 3\nmodel = dict(type="TinyModel")\n',
}  # fmt: skip
DATA: dict[str, str] = {
    "yaml runs code.yaml": "model: !!python/object/apply:os.system ['touch ran']\n", "yaml nested deeply.yaml": "[" * 5000,
    "yaml is a list.yaml": "- 1\n", "json cut.json": '{"model": ', "json is a number.json": "3", "json nested deeply.json": "[" * 100_000,
    "toml.toml": "model = 1\n", "ini.ini": "[model]\n", "no ending": "model = dict()\n",
}  # fmt: skip
TINY: dict[str, str] = {
    "train_cfg is None": "train_cfg = None\n", "train_cfg is a list": "train_cfg = [1]\n", "train_cfg is a number": "train_cfg = 3\n",
    "no train_dataloader": "del train_dataloader\n", "no val_evaluator": "del val_evaluator\n", "no optim_wrapper": "del optim_wrapper\n",
    "train_dataloader is a list": "train_dataloader = [1]\n", "optim_wrapper is text": 'optim_wrapper = "SGD"\n',
    "param_scheduler is a number": "param_scheduler = 3\n", "default_hooks is a list": "default_hooks = [1]\n",
    "custom_hooks is a number": "custom_hooks = 3\n", "custom_hooks holds a number": "custom_hooks = [3]\n",
    "randomness is a number": "randomness = 3\n", "visualizer is a number": "visualizer = 3\n", "val_cfg is a number": "val_cfg = 3\n",
    "sampler is unknown": 'train_dataloader["sampler"] = dict(type="NoSampler")\n', "dataset is None": 'train_dataloader["dataset"] = None\n',
    "an unknown key": 'modle = dict(type="TinyModel")\n', "log_level is a number": "log_level = 3.5\n", "default_scope is a number": "default_scope = 3\n",
}  # fmt: skip

OPTIONS: dict[str, tuple[str, str]] = {
    "optim_wrapper.clip_grad.max_norm=-1": ("max_norm", "230"), "optim_wrapper.clip_grad=3": ("clip_grad", ""), "default_hooks.checkpoint.interval=0": ("interval", "252"),
    "default_hooks.checkpoint.interval=-7": ("interval", "253"), "default_hooks.checkpoint.max_keep_ckpts=0": ("max_keep_ckpts", "256"),
    "work_dir=elsewhere": ("work_dir", "272"), "train_dataloader.batch_size=0": ("batch_size", "options: batch_size 0"),
    "train_dataloader.batch_size=-1": ("batch_size", ""), "train_dataloader.batch_size=1.5": ("batch_size", ""),
    "train_dataloader.batch_size=many": ("batch_size", ""), "train_dataloader.batch_size=None": ("batch_size", ""),
    "train_dataloader.num_workers=-1": ("num_workers", "options: num_workers -1"), "train_dataloader.num_workers=two": ("num_workers", ""),
    "train_dataloader.timeout=-1": ("timeout", ""), "train_dataloader.prefetch_factor=0": ("prefetch_factor", ""),
    "train_dataloader.persistent_workers=True": ("persistent_workers", ""), "train_dataloader.sampler.type=Foo": ("Foo", ""),
    "optim_wrapper.optimizer.lr=-1": ("lr", "options: lr -1"), "optim_wrapper.optimizer.lr=nan": ("lr", ""), "optim_wrapper.optimizer.lr=fast": ("lr", ""),
    "optim_wrapper.optimizer.lr=None": ("lr", ""), "optim_wrapper.optimizer.weight_decay=-1": ("weight_decay", ""),
    "optim_wrapper.optimizer.betas=(2,2)": ("betas", ""), "optim_wrapper.optimizer.type=Foo": ("Foo", ""), "optim_wrapper.optimizer.foo=1": ("foo", ""),
    "optim_wrapper.accumulative_counts=0": ("accumulative_counts", ""), "optim_wrapper.type=Foo": ("Foo", ""),
    "randomness.seed=-1": ("seed", "options: seed -1"), "randomness.seed=x": ("seed", ""), "randomness.seed=1e99": ("seed", ""), "log_level=FOO": ("log_level", "options: log_level=FOO"),
    "train_cfg.max_iters=0": ("max_iters", ""), "train_cfg.max_iters=-5": ("max_iters", ""), "train_cfg.max_iters=ten": ("max_iters", ""), "train_cfg.max_iters=None": ("max_iters", ""),
    "train_cfg.val_interval=0": ("val_interval", ""), "train_cfg.val_interval=x": ("val_interval", ""), "train_cfg.val_begin=-1": ("val_begin", ""), "train_cfg.type=Foo": ("Foo", ""), "train_cfg.foo=1": ("foo", ""),
    "param_scheduler.0.end=0": ("end", ""), "param_scheduler.0.begin=-1": ("begin", ""), "param_scheduler.9.end=1": ("param_scheduler", ""), "param_scheduler.0.type=Foo": ("Foo", ""),
    "param_scheduler.1.T_max=0": ("T_max", ""), "param_scheduler.0.foo=1": ("foo", ""),
    "default_hooks.checkpoint.save_best=foo": ("save_best", "254"), "default_hooks.checkpoint.save_begin=-1": ("save_begin", ""), "default_hooks.checkpoint.type=Foo": ("Foo", ""),
    "custom_hooks.0.momentum=2": ("momentum", ""), "custom_hooks.0.type=Foo": ("Foo", ""), "custom_hooks.0.interval=0": ("interval", ""), 
    "model.foo=1": ("foo", ""), "model.type=Foo": ("Foo", ""), "model.init_cfg.type=Foo": ("init_cfg", ""), "max_iters=5": ("max_iters", ""), "foo=1": ("foo", ""),
    "foo": ("foo", ""), "=1": ("=1", ""), "train_cfg.max_iters=(1,2": ("max_iters", ""), "train_cfg=3": ("train_cfg", ""), "model=3": ("model", ""), "train_dataloader.dataset.length=0": ("TinyData", ""),
    "resume=True": ("resume", ""), "launcher=slurm": ("launcher", ""), "load_from=nowhere.pth": ("nowhere.pth", ""),
}  # fmt: skip


def _config(text: str | bytes, name: str, folder: Path) -> list[str]:
    Path(name).write_bytes(text if isinstance(text, bytes) else text.encode())
    return ["train", name, "--work-dir", "out"]


def _option(option: str, folder: Path) -> list[str]:
    return ["train", str(base() / "tiny.py"), "--work-dir", "out", "--cfg-options", option]


def _counter(option: str, folder: Path) -> list[str]:
    return ["train", str(ROOT / "configs" / "sample_ean_se.py"), "--work-dir", "out", "--cfg-options", option]


def _list(data: bytes, folder: Path) -> object:
    Path("list.txt").write_bytes(data)
    return partial(read_list, "list.txt")


def _folders(files: dict[str, bytes], folder: Path) -> object:
    for name, data in files.items():
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_bytes(data)
    return lambda: ImageFolder(str(folder / "data"), split="test")


def _layout(name: str, folder: Path) -> object:
    Path("data").mkdir()
    return partial(find_source, folder / "data", name)


PNG = encoded("PNG")
FOLDERS: dict[str, dict[str, bytes]] = {
    "no val": {"data/train/a/1.png": PNG}, "an empty val": {"data/val/note.txt": b""}, "an empty class": {"data/val/a/1.png": PNG, "data/val/b/note.txt": b""},
    "other classes than train's": {"data/val/a/1.png": PNG, "data/train/b/1.png": PNG},
    "annotations that name nothing": {"data/val/images/1.png": PNG, "data/val/val_annotations.txt": b"2.png\ta\n"},
    "annotations without tabs": {"data/val/images/1.png": PNG, "data/val/val_annotations.txt": b"1.png a\n"},
    "annotations that are binary": {"data/val/images/1.png": PNG, "data/val/val_annotations.txt": bytes(range(256))},
    "annotations that leave one out": {"data/val/images/1.png": PNG, "data/val/images/2.png": PNG, "data/val/val_annotations.txt": b"1.png\ta\n"},
}  # fmt: skip
METAINFO = {
    "classes are a number": {"classes": 3}, "no classes": {"classes": []}, "a class twice": {"classes": ["a", "a"]}, "classes are lists": {"classes": [["a"], ["a"]]},
    "a short palette": {"classes": ["a", "b"], "palette": [[0, 0, 0]]}, "a colour of words": {"classes": ["a"], "palette": ["red"]},
    "a colour of 256": {"classes": ["a"], "palette": [[256, 0, 0]]}, "a colour that is a number": {"classes": ["a"], "palette": [3]}, "palette is a number": {"classes": ["a"], "palette": 3},
}  # fmt: skip


def cases() -> list[Case]:
    """Configs, options, lists."""
    found = []
    for what, text in CONFIGS.items():
        failed = {
            "raises SystemExit": "180",
            "model is a list": "configs: model=[1]",
            "an unknown task": "configs: unknown task",
        }.get(what, "")
        found.append(
            Case(
                "configs",
                what,
                partial(_config, text, "config.py"),
                "config.py" if "type" not in what and "model is" not in what else "",
                failed=failed,
            )
        )
    for name, text in DATA.items():
        failed = "1.14" if "runs code" in name else ""
        file = name.replace(" ", "_")
        found.append(Case("configs", name, partial(_config, text, file), file, failed=failed))
    for what, text in TINY.items():
        found.append(
            Case(
                "configs",
                what,
                partial(_config, CONFIG + text, "config.py"),
                what.partition(" is")[0].removeprefix("no ").removeprefix("an unknown key"),
            )
        )
    for option, (key, failed) in OPTIONS.items():
        found.append(Case("options", option, partial(_option, option), key, failed=failed, keeps="save_best" in option))
    for option, key, failed in (
        ("train_dataloader.dataset.sigma=0", "sigma", "248"),
        ("model.test_cfg.max_pixels=0", "max_pixels", "263"),
        ("model.test_cfg.overlap=-1", "overlap", "264"),
    ):
        found.append(Case("options", f"counting {option}", partial(_counter, option), key, failed=failed))
    for what, data in {
        "empty": b"",
        "blank": b"\n \n",
        "binary": bytes(range(256)),
        "utf-16": "a\n".encode("utf-16"),
    }.items():
        found.append(Case("lists", what, partial(_list, data), "list.txt"))
    for what, files in FOLDERS.items():
        found.append(Case("lists", f"class folders: {what}", partial(_folders, files), "data"))
    for what, given in METAINFO.items():
        found.append(
            Case("lists", f"metainfo: {what}", lambda _, given=given: partial(read_metainfo, given), "metainfo")
        )
    for name in ("folder", "jhu", "nwpu", "shanghaitech", "ucf_cc_50", "ucf_qnrf", "nonsense"):
        found.append(
            Case(
                "lists",
                f"an empty folder as {name}",
                partial(_layout, name),
                "data" if name != "nonsense" else "nonsense",
            )
        )
    return [
        *found,
        Case("lists", "missing", lambda _: partial(read_list, "none.txt"), "none.txt"),
        Case("lists", "a folder", lambda _: partial(read_list, "."), "."),
    ]

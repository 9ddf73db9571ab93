"""The runs: small, real ones of each command, on data that are generated here."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from .process import Running

ROOT = Path(__file__).resolve().parents[2]
IMAGES = "data/sample_counting/train_data/images"
MODEL = "model.pth"

_COUNTING = f"""
_base_ = "{ROOT}/configs/sample_ean_se.py"
train_dataloader = dict(batch_size=2, dataset=dict(cache_images=False, pipeline=[
    dict(type="CrowdRandomCrop", size=64, ratio_range=(0.75, 1.33)), dict(type="CrowdRandomFlip"),
    dict(type="DensityTarget", stride=8, sigma=8.0), dict(type="PackCrowd")]))
train_cfg = dict(max_iters=24, val_interval=8)
default_hooks = dict(checkpoint=dict(interval=4, max_keep_ckpts=2))
custom_hooks = [dict(type="EMAHook", ema_type="MomentumAnnealingEMA", gamma=5, momentum=0.02, update_buffers=True)]
"""
_SEGMENTATION = f"""
_base_ = "{ROOT}/configs/voc_sample_ean_se.py"
train_dataloader = dict(batch_size=2, dataset=dict(pipeline=[
    dict(type="LoadPicture"), dict(type="LoadMask"), dict(type="RandomCrop", crop_size=(64, 64), cat_max_ratio=0.75),
    dict(type="RandomFlip", prob=0.5), dict(type="PackSegInputs")]))
train_cfg = dict(max_iters=24, val_interval=8)
default_hooks = dict(checkpoint=dict(interval=4, max_keep_ckpts=2), visualization=dict(draw=False))
model = dict(data_preprocessor=dict(size=(64, 64)))
"""
_DIGITS = """
_base_ = "{root}/configs/{base}.py"
train_dataloader = dict(batch_size=16, num_workers={workers})
val_dataloader = dict(batch_size=50, dataset=dict(images=100))
train_cfg = dict(max_iters=40, val_interval=10)
default_hooks = dict(checkpoint=dict(interval=5, max_keep_ckpts=2, save_best="top1", rule="greater"))
"""
_FEW = {f"{split}_dataloader.dataset.images": 50 for split in ("val", "test")}
_SHORT = {
    **_FEW,
    "train_cfg.max_iters": 8,
    "train_dataloader.batch_size": 8,
    "default_hooks.checkpoint.interval": 2,
    "calibration_dataset.images": 64,
}


def _search_config(search: Mapping[str, object], *, standalone: bool) -> str:
    supernet = {"config": f"{ROOT}/configs/supernet/digits_resnet38_full_share_se.py", "options": _SHORT}
    trained = {
        "config": f"{ROOT}/configs/standalone/digits_resnet38.py",
        "options": _SHORT,
        "candidates": 1,
        "beside": ["plain"],
        "timing": {"batch": 2, "rounds": 2},
    }
    return f"supernet = {supernet}\nsearch = {search}\n" + (f"standalone = {trained}\n" if standalone else "")


@dataclass(frozen=True)
class Run:
    """A command, and how to go on with it.

    Attributes:
        name: in the tables.
        command: the words behind the interpreter; tools are named by their file.
        again: words that are added to go on, or to repeat it.
        folders: what it writes and what is compared.
        config: text of `config.py` beside it.
        already: what a repetition may say that comes after all was done.
        together: a kill takes all of its processes, as the end of a machine does.
        begun: pattern of the first file that tells that its work has begun.
        data: the task whose scenes it reads.
        model: whether it reads `MODEL`.
    """

    name: str
    command: tuple[str, ...]
    again: tuple[str, ...] = ()
    folders: tuple[str, ...] = ("work",)
    config: str = ""
    already: str = ""
    together: bool = False
    begun: str = "work/iter_*.pth"
    data: str = ""
    model: bool = False

    @property
    def resumes(self) -> bool:
        """Whether it goes on where it was, rather than being repeated."""
        return "--resume" in self.again


def _training(name: str, config: str, **more: object) -> Run:
    return Run(name, ("train.py", "config.py", "--work-dir", "work"), ("--resume",), config=config, **more)  # type: ignore[arg-type]


def _search(name: str, search: Mapping[str, object], *words: str, standalone: bool = False) -> Run:
    return Run(
        name,
        ("search.py", "config.py", "--work-dir", "work", *words),
        ("--resume",),
        config=_search_config(search, standalone=standalone),
        begun="work/supernet/iter_*.pth",
    )


def _digits(base: str, workers: int = 0) -> str:
    return _DIGITS.format(root=ROOT, base=base, workers=workers)


_TORCHRUN = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "--redirects=3", "--log-dir=logs")
RUNS = (
    _training("counting", _COUNTING, data="counting"),
    _training("segmentation", _SEGMENTATION, data="segmentation"),
    _training("classification", _digits("standalone/digits_resnet38", 1)),
    _training("supernet", _digits("supernet/digits_resnet38_full_share_se")),
    _search("search", {"method": "local_search", "budget": 24, "seed": 3}, standalone=True),
    _search("relaxed", {"method": "darts", "args": {"epochs": 2}, "budget": 4, "seed": 3}),
    Run(
        "torchrun",
        (*_TORCHRUN, "train.py", "config.py", "--work-dir", "work", "--launcher", "pytorch"),
        ("--resume",),
        config=_digits("standalone/digits_resnet38"),
        together=True,
    ),
    Run(
        "predict",
        ("predict.py", MODEL, IMAGES, "--out", "out"),
        ("--overwrite",),
        folders=("out",),
        begun="out/*",
        data="counting",
        model=True,
    ),
    Run(
        "register",
        ("models.py", "register", MODEL, "--name", "faults", "--into", "cards"),
        folders=("cards",),
        already="is registered already",
        begun="cards",
        model=True,
    ),
    Run(
        "scenes",
        ("make_scenes.py", "segmentation", "out", "--images", "60"),
        folders=("out",),
        already="is there already",
        begun=".out.*",
    ),
    Run(
        "export",
        ("export.py", MODEL, "--out", "out/model.onnx", "--size", "64x64"),
        folders=("out",),
        begun="out",
        model=True,
    ),
)
RAY = _search("ray", {"method": "random", "budget": 400, "seed": 3}, "--engine", "ray", "--workers", "2")
"""For lost workers alone; killing its driver is `search`'s affair."""


@dataclass(frozen=True)
class Home:
    """The folder that a call of the harness works in, with the data that all runs share."""

    folder: Path

    def place(self, run: Run, name: str) -> Path:
        """A new folder with all that `run` reads."""
        place = self.folder / f"{run.name}-{name}"
        self.empty(run, place)
        return place

    def empty(self, run: Run, place: Path) -> None:
        """Makes a folder, or what is left of it, new."""
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(parents=True)
        self.fill(run, place)

    def fill(self, run: Run, place: Path) -> None:
        """Puts what `run` reads into a folder."""
        (place / "config.py").write_text(run.config)
        if run.data:
            shutil.copytree(self._scenes(run.data), place / "data" / f"sample_{run.data}")
        if run.model:
            shutil.copyfile(self._model(), place / MODEL)

    def start(self, run: Run, place: Path, *words: str, memory: int | None = None) -> Running:
        """Starts the command of `run`, with further words behind it, in its place."""
        script = next(word for word in run.command if word.endswith(".py"))
        line = [str(ROOT / "tools" / word) if word is script else word for word in run.command]
        number = sum(1 for _ in self.folder.glob(f"{place.name}.*.err"))
        log = self.folder / f"{place.name}.{number}"
        limit = None if memory is None else lambda: _limit(memory)
        return Running([sys.executable, *line, *words], place, log, environment(place), limit)

    def _scenes(self, task: str) -> Path:
        out = self.folder / "shared" / f"sample_{task}"
        if not out.exists():
            run = Run("shared", ("make_scenes.py", task, str(out), "--images", "10"))
            self._must(run)
        return out

    def _model(self) -> Path:
        out = self.folder / "shared" / "model" / "iter_1.pth"
        if not out.exists():
            run = _training("shared-model", _COUNTING, data="counting")
            place = self.place(run, "run")
            ended = self.start(
                run,
                place,
                "--cfg-options",
                "train_cfg.max_iters=1",
                "val_cfg=None",
                "val_dataloader=None",
                "val_evaluator=None",
            ).end()
            if ended.status:
                raise RuntimeError(f"{run.name}: status {ended.status}: {ended.err}")
            shutil.copytree(place / "work", out.parent)
        return out

    def _must(self, run: Run) -> None:
        (self.folder / "shared").mkdir(parents=True, exist_ok=True)
        ended = self.start(run, self.folder / "shared").end()
        if ended.status:
            raise RuntimeError(f"{run.name}: status {ended.status}: {ended.err}")


def environment(place: Path) -> dict[str, str]:
    """Of a command in its place: one thread, no GPU, data and cards of its own."""
    return {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "OMP_NUM_THREADS": "1",
        "CUDA_VISIBLE_DEVICES": "",
        "TORCH_CPP_LOG_LEVEL": "ERROR",
        "TRANSFER_DATA": str(place / "data"),
        "TRANSFER_CARDS": str(place / "cards"),
    }


def _limit(memory: int) -> None:
    import resource

    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))

"""Command lines of every command: nothing, unknown options, values out of range, files that are not there."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path

from tests.corpus.base import base
from tests.corpus.case import Case
from transfer.cli import COMMANDS

LINES: dict[str, tuple[str, str]] = {
    "": ("", ""),
    "nonsense": ("nonsense", ""), "trian": ("trian", ""),
    "train no_config.py": ("no_config.py", ""), "train {tiny} --seed x": ("--seed", ""), "train {tiny} --seed -1 --work-dir out": ("seed", "options: seed -1"),
    "train {tiny} --launcher slurm": ("--launcher", ""), "train {tiny} --device gpu": ("--device", ""), "train {tiny} --work-dir /dev/null/x": ("--work-dir", ""),
    "train {tiny} --work-dir {wd}": ("wd", ""), "train {tiny} --resume none.pth --work-dir out": ("none.pth", ""), "train {tiny} --cfg-options": ("--cfg-options", ""),
    "test {tiny}": ("checkpoint", ""), "test {tiny} none.pth": ("none.pth", ""), "test {tiny} {ckpt} --tta --work-dir out": ("--tta", ""), "test {tiny} {ckpt} --out . --work-dir out": ("--out", "613"),
    "test {tiny} {ckpt} --out /dev/null/x.json --work-dir out": ("/dev/null", "613"), "test {tiny} {ckpt} --device tpu": ("--device", ""), "test {count} {countpth} --work-dir out": ("test_dataloader", ""), "test {tiny} {countpth} --work-dir out": ("count.pth", ""),
    "predict": ("", ""), "predict {count} {countpth} --out out": ("images", ""), "predict {count} {countpth} {image}": ("--out", ""), "predict {count} {image} --out out": ("count.py", ""), "predict --model none {image} --out out": ("none", ""),
    "predict --task cooking {image} --out out": ("cooking", ""), "predict {count} {countpth} {image} --out /dev/null/x --device cpu": ("/dev/null", ""), "predict {count} {countpth} {image} --out out --vmax x": ("--vmax", ""), "predict {count} {countpth} {image} --out out --vmax -1 --device cpu": ("vmax", ""),
    "predict {count} {countpth} {image} --out out --every 0 --device cpu": ("every", ""), "predict {countpth} {image} --out out": ("count.pth", ""), "predict none.onnx {image} --out out": ("none.onnx", ""), "predict {tiny} {ckpt} {image} --out out": ("tiny.py", "configs: unknown task"),
    "explain": ("", ""), "explain none.pth {image}": ("none.pth", ""), "explain {image} --model none": ("none", ""), "explain {count} {countpth} none.png --out out": ("none.png", ""), "explain {count} {countpth} {image} --layer none --out out --device cpu": ("count", ""), "explain {count} {countpth} {image} --region 1,2 --out out --device cpu": ("--region", ""),
    "check no_config": ("no_config", ""), "check {tiny}": ("tiny.py", "configs: check_data"), "check standalone/digits_resnet38 --cfg-options train_dataloader.dataset.split=none": ("none", "configs: check_data"),
    "search none": ("none", ""), "search {tiny} --work-dir out": ("tiny.py", "212"), "search c100_resnet38_ean_se --engine dask": ("--engine", ""), "search c100_resnet38_ean_se --workers two": ("--workers", ""), "search c100_resnet38_ean_se --cfg-options foo=1 --work-dir out": ("foo", ""), "search c100_resnet38_ean_se --cfg-options search.budget=-1 --work-dir out": ("budget", ""),
    "search c100_resnet38_ean_se --cfg-options search.method=none --work-dir out": ("none", ""), "search c100_resnet38_ean_se --cfg-options supernet.checkpoint=none.pth --work-dir out": ("none.pth", ""), "search c100_resnet38_ean_se --cfg-options supernet.config={count} --work-dir out": ("count.py", "212"),
    "standalone c100_resnet38_ean_se": ("--work-dir", ""), "standalone c100_resnet38_ean_se --work-dir out": ("schemes", ""), "standalone c100_resnet38_ean_se --work-dir out --schemes 10": ("2 bits", ""), "standalone c100_resnet38_ean_se --work-dir out --schemes none.txt": ("none.txt", ""), "standalone c100_resnet38_ean_se --work-dir out --random 0 1": ("--random", ""), "standalone c100_resnet38_ean_se --work-dir out --random x 1": ("--random", ""), "standalone c100_resnet38_ean_se --work-dir out --spread none.json.gz 3": ("none.json.gz", ""),
    "report": ("", ""), "report search": ("WORK_DIR", ""), "report search none": ("none", ""), "report search {wd}": ("wd", ""), "report study --out out": ("", ""), "report study --out out --tables none.json.gz": ("none.json.gz", ""), "report nonsense": ("nonsense", ""),
    "benchmark": ("", ""), "benchmark nonsense": ("nonsense", ""), "benchmark increment none": ("none", ""), "benchmark increment resnet38.cifar100 --batch 0": ("batch", ""), "benchmark increment resnet38.cifar100 --modes fast": ("fast", ""), "benchmark increment resnet38.cifar100 --size -1": ("size", ""), "benchmark increment resnet38.cifar100 --device tpu": ("tpu", ""), "benchmark all --only nonsense": ("nonsense", ""), "benchmark search none": ("none", ""),
    "scenes": ("", ""), "scenes cooking out": ("cooking", ""), "scenes counting out --images 0": ("images=0", ""), "scenes counting out --images -3": ("images=-3", ""), "scenes counting out --images x": ("--images", ""), "scenes counting out --test-share 2": ("test_share", ""), "scenes counting {wd}": ("wd", ""), "scenes counting out --seed -1": ("seed=-1", ""), "scenes counting /dev/null/x --images 2": ("/dev/null", ""),
    "models": ("", ""), "models nonsense": ("nonsense", ""), "models show none": ("none", ""), "models verify none": ("none", ""), "models verify": ("--all", ""), "models register none.pth --name a": ("none.pth", ""), "models register {countpth} --name a": ("count", ""), "models register {count} {countpth} --name A!": ("A!", ""), "models register {count} {countpth}": ("--name", ""), "models remove none": ("none", ""), "models pack none out.zip": ("none", ""), "models pack shha_r38_ean_se out.rar": ("out.rar", ""), "models register {count} {countpth} --name a --metrics none.json": ("none.json", ""),
    "export": ("", ""), "export {countpth}": ("--out", ""), "export none.pth --out m.onnx": ("none.pth", ""), "export none --out m.onnx": ("none", ""), "export {count} {countpth} --out m.xyz": ("m.xyz", ""), "export {count} {countpth} --out m.onnx --format x": ("--format", ""), "export {count} {countpth} --out m.onnx --size 3": ("--size", ""), "export {count} {countpth} --out m.onnx --size 0x4": ("--size", ""), "export {count} {countpth} --out m.onnx --size axb": ("--size", ""),
    "app --port x": ("--port", ""),
    "import-points": ("", ""), "import-points none.json --out out": ("none.json", ""), "import-points . --out out": (".", ""), "import-points {image} --out out": ("a.png", ""), "import-points none.json --out out --format nonsense": ("none.json", ""), "import-points none.json --out out --boxes corner": ("--boxes", ""), "import-points {wd} --out out --val-share 2": ("", ""), "import-points {wd} --out out --val-share x": ("--val-share", ""),
    "list a b": ("", ""), "show": ("name", ""), "show none": ("none", ""), "show resnet38.cifar10": ("resnet38.cifar10", ""), "show resnet38.cifar100 --picture a.bmp": ("a.bmp", ""), "verify": ("--all", ""), "verify none": ("none", ""), "remove none": ("none", ""), "remove resnet38.cifar100": ("resnet38.cifar100", ""),
    "register": ("", ""), "register none": ("none", ""), "register --name resnet38.x --arch none": ("none", ""), "register --name X --arch resnet38": ("X", ""), "register --name resnet38.x --arch resnet38 --attention none": ("none", ""), "register --name resnet38.x --arch resnet38 --attention se --scheme 12": ("12", ""), "register --name resnet38.x --arch resnet38 --attention se --scheme 1.1": ("1.1", ""), "register --name resnet38.x --arch resnet38 --attention se --sharing some": ("some", ""), "register --name resnet38.x --arch resnet38 --attention se --attention-args reduction": ("reduction", ""), "register --name resnet38.x --arch resnet38 --weights none.pth": ("none.pth", ""), "register --name resnet38.x --arch resnet38 --weights {countpth}": ("count.pth", ""), "register --name resnet38.x --arch resnet38 --widths 1x2": ("1x2", ""), "register --name resnet38.x --arch resnet38 --provenance rumour": ("rumour", ""), "register {wd}": ("wd", ""),
    "fetch": ("", ""), "fetch none": ("none", ""), "fetch --url http://a.b/c.pth --sha256 {sum}": ("http://", "1.8"), "fetch --url https://a.b/c.pth --sha256 12345678": ("--sha256", "1.8"), "fetch --url ftp://a/b.pth --sha256 {sum}": ("ftp://", ""), "fetch --url file:///none.pth --sha256 {sum}": ("none.pth", ""),
    "pack": ("", ""), "pack none out.zip": ("none", ""), "pack resnet38.cifar100": ("OUT", ""), "pack resnet38.c100_6ep out.rar": ("out.rar", ""), "pack resnet38.c100_6ep /dev/null/out.zip": ("/dev/null", ""),
    "inspect": ("FILE", ""), "inspect none.pth": ("none.pth", ""), "inspect .": (".", ""), "inspect {image}": ("a.png", ""), "inspect /dev/null": ("/dev/null", ""),
}  # fmt: skip
SURROUNDINGS = ("/dev/null",)
NEEDS_NOTHING = ("", "list", "app", "models")
UNREADABLE = ("verify", "app", "benchmark")


def _line(line: str, folder: Path) -> list[str]:
    here = base()
    given = {
        "tiny": here / "tiny.py",
        "wd": here / "wd",
        "ckpt": here / "wd" / "iter_9.pth",
        "count": here / "count.py",
        "countpth": here / "count.pth",
        "image": here / "a.png",
        "sum": "0" * 64,
    }
    return [word.format(**given) for word in line.split()]


def _read_only(folder: Path) -> list[str]:
    os.mkdir("locked", 0o500)
    return _line("train {tiny} --work-dir locked/out", folder)


def cases() -> list[Case]:
    """Each command alone, with an unknown option, and what is above."""
    found = []
    for name in COMMANDS:
        found.append(Case("command lines", f"{name} --nonsense", partial(_line, f"{name} --nonsense"), ""))
    for line, (names, failed) in LINES.items():
        if not line:
            continue
        status = 1 if "/dev/null/" in line and not line.startswith("train") else 2
        found.append(Case("command lines", line, partial(_line, line), names, status=status, failed=failed))
    if os.geteuid():
        found.append(Case("command lines", "a read-only folder", _read_only, "locked", status=2))
    return found

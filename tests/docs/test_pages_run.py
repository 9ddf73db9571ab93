"""What the pages tell people to type runs: each page in a clone of its own, its blocks in their order.

A `sh` block is run by bash, unless its fence says `sh no-run` (several GPUs, installing, placeholders). A `python`
block that begins with `# path/to/file.py` is written there; the others of the first page are run. The commands are what
the page says, but for the tables below: fewer images, fewer iterations.
"""

import os
import re
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
FIRST = "tutorial"
PAGES = sorted(path.stem for path in (ROOT / "docs").glob("*.md"))
CLONE = ("backbones", "transfer", "tasks", "configs", "tools")
FENCE = re.compile(r"^```(sh|python)( no-run)?\n(.*?)^```$", re.MULTILINE | re.DOTALL)

FEWER = (("--images 120", "--images 8"), ("--images 60", "--images 8"))
"""What is said in pages, and what is run."""

ONCE = "train_cfg.max_iters=2 train_cfg.val_interval=2"
SEARCH = " ".join(f"{part}.options.{option}" for part in ("supernet", "standalone") for option in ONCE.split())
SMALL = "'val_dataloader.dataset.pipeline.1.scale=(64,64)'"
SHORTER = {
    "ean train sample_ean_se": ONCE,
    "ean train own_counting": f"{ONCE} train_dataloader.batch_size=2",
    "ean train squares": ONCE,
    "ean train flowers.py": f"{ONCE} train_dataloader.batch_size=2",
    "ean search digits_resnet38_ean_se": f"{SEARCH} search.budget=4 standalone.candidates=1 standalone.beside=[]"
    " standalone.timing.batch=2 standalone.timing.rounds=2",
    'python "$MMSEG/.mim/tools/train.py" upernet.py': f"{ONCE} {SMALL}",
}
"""Commands that are run with these settings, by what they begin with."""


def blocks(page):
    """Language, whether to leave it alone, and text, of each block of a page."""
    text = (ROOT / "docs" / f"{page}.md").read_text(encoding="utf-8")
    return [(kind, bool(left), body) for kind, left, body in FENCE.findall(text)]


def runs(page):
    """Whether anything of a page is run."""
    return any(kind == "sh" and not left for kind, left, _ in blocks(page))


def commands(text):
    """The lines of a block, each command on one."""
    return text.replace("\\\n", " ").splitlines()


def tiny(line):
    """A command as it is run here."""
    for said, run in FEWER:
        line = line.replace(said, run)
    for begin, options in SHORTER.items():
        if line.startswith(begin):
            bare = line.split("  #")[0].rstrip()
            return f"{bare} {options}" if "--cfg-options" in bare else f"{bare} --cfg-options {options}"
    return line


def run(line, folder, environment):
    done = subprocess.run(line, cwd=folder, env=environment, capture_output=True, text=True, timeout=1800)
    assert done.returncode == 0, f"{line[-1]}\n{done.stdout[-1500:]}\n{done.stderr[-3000:]}"


@pytest.fixture
def clone(tmp_path):
    """What a clone holds of what commands need, some photographs beside it, and no data."""
    folder = tmp_path / "clone"
    for name in CLONE:
        shutil.copytree(ROOT / name, folder / name)
    write_images(folder, ["photo.jpg", "new_photos/0.jpg", *(f"photos/{number}.jpg" for number in range(12))])
    rows = [f"{number}.jpg,{x},{x + 7}" for number in range(12) for x in (10, 30, 50)]
    (folder / "photos" / "points.csv").write_text("\n".join(["image,x,y", *rows]) + "\n")
    kinds = [f"data/flowers/{split}/{kind}" for split in ("train", "val") for kind in ("daisy", "rose")]
    write_images(folder, [f"{kind}/{number}.jpg" for kind in kinds for number in range(12)])
    return folder


def write_images(folder, names):
    """Noise, which is all that a photograph is to a command that runs."""
    generator = np.random.default_rng(0)
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(generator.integers(0, 255, (96, 128, 3), np.uint8)).save(folder / name)


@pytest.fixture
def environment(clone, tmp_path):
    """`ean` and `python` on the PATH, the clone's packages before what is installed, cards of its own."""
    (tmp_path / "bin").mkdir()
    ean = tmp_path / "bin" / "ean"
    ean.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m transfer "$@"\n')
    ean.chmod(ean.stat().st_mode | stat.S_IXUSR)
    path = os.pathsep.join([str(tmp_path / "bin"), str(Path(sys.executable).parent), os.environ["PATH"]])
    own = {"PATH": path, "PYTHONPATH": str(clone), "TRANSFER_CARDS": str(tmp_path / "cards"), "OMP_NUM_THREADS": "1"}
    return {**{key: value for key, value in os.environ.items() if key != "TRANSFER_DATA"}, **own}


@pytest.mark.parametrize(
    "page",
    [pytest.param(page, marks=pytest.mark.slow if page == FIRST else pytest.mark.docs) for page in filter(runs, PAGES)],
)
def test_what_a_page_says_runs(page, clone, environment):
    if page == "mmseg":
        pytest.importorskip("mmseg", reason="mmsegmentation is not installed (extra lite)")
    if page == "transfer":
        pytest.importorskip("sklearn", reason="the digits come with scikit-learn (extra search)")
    for kind, left, text in blocks(page):
        if left:
            continue
        if kind == "sh":
            run(["bash", "-euo", "pipefail", "-c", "\n".join(map(tiny, commands(text)))], clone, environment)
        elif file := re.match(r"# (\S+\.py)\n", text):
            (clone / file[1]).parent.mkdir(parents=True, exist_ok=True)
            (clone / file[1]).write_text(text)
        elif page == FIRST:
            run([sys.executable, "-c", text], clone, environment)


def test_every_table_is_used():
    typed = "\n".join(
        line for page in PAGES for kind, left, text in blocks(page) if not left for line in commands(text)
    )
    for said, _ in FEWER:
        assert said in typed
    for begin in SHORTER:
        assert any(line.startswith(begin) for line in typed.splitlines()), begin


def test_what_is_run_is_what_is_said_and_shorter():
    assert tiny("ean list 'resnet38*'") == "ean list 'resnet38*'"
    assert tiny("ean scenes counting D --images 120 --seed 0") == "ean scenes counting D --images 8 --seed 0"
    assert tiny("ean train squares") == f"ean train squares --cfg-options {ONCE}"
    assert tiny("ean train squares --cfg-options a=1").endswith(f"--cfg-options a=1 {ONCE}")

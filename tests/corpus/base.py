"""What cases start from: a config and its training, a counter, a finished search; made once, only read."""

from __future__ import annotations

import contextlib
import functools
import io
import os
import sys
import tempfile
import traceback
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests" / part) for part in ("", "engine", "counting", "pipeline")]

COUNTING = """
task = "counting"
custom_imports = dict(imports=["counting_tiny", "tasks.counting"])
model = dict(type="CrowdCounter", backbone=dict(type="TinyCountingBackbone"),
             head=dict(type="DilatedHead", channels=(5,)), loss=dict(type="DensityMSELoss"))
"""
_KEPT = tempfile.TemporaryDirectory(prefix="corpus-base-")


@functools.cache
def base() -> Path:
    """`tiny.py` and `wd` (its training), `count.py` and `count.pth`, `a.png`, `search` (finished).

    Made in a process of its own: training starts threads, and this one is to be forked.
    """
    folder = Path(_KEPT.name)
    sys.stdout.flush()
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            _make(folder)
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    if os.waitpid(pid, 0)[1]:
        raise RuntimeError("the base of the corpus cannot be made, see above")
    return folder


def _make(folder: Path) -> None:
    import torch
    from checkpoint_files import save_checkpoint
    from counting_tiny import counter
    from engine_tiny import write_config
    from PIL import Image
    from register_files import write_work_dir

    from transfer.cli import main

    os.chdir(folder)
    torch.set_num_threads(1)
    write_config(folder)
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        sys.argv = ["ean", "train", "tiny.py"]
        if main(["train", "tiny.py", "--work-dir", "wd"]):
            raise RuntimeError(said.getvalue())
    (folder / "count.py").write_text(COUNTING)
    model = counter(loss={"type": "DensityMSELoss"})
    save_checkpoint({"state_dict": model.state_dict(), "meta": {}}, folder / "count.pth")
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (30, 41, 3), np.uint8)).save(folder / "a.png")
    (folder / "search").mkdir()
    write_work_dir(folder / "search")


def checkpoint() -> dict[str, Any]:
    """The newest checkpoint of the tiny training."""
    import torch

    return torch.load(base() / "wd" / "iter_9.pth", weights_only=True)

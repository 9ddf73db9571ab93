"""The guard against a CUDA build of torchvision beside a CPU build of torch, with which `import timm` fails too.

Unnecessary once torchvision declares its schemas in Python, not in the library that fails to load (not done up to
0.28), or where both come from one index.
"""

from __future__ import annotations

import importlib.machinery
import re
import sys
import types
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

_held: list[Any] = []  # torch.library.Library undoes its definitions when it is collected


def guard_torchvision() -> None:
    """Lets torchvision be imported whatever build it is; costs nothing until it is, and again changes nothing."""
    if not any(isinstance(finder, _TorchvisionFinder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _TorchvisionFinder())


class _TorchvisionFinder:
    """Acts at the import of `torchvision`, and leaves every other import alone."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: types.ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if name == "torchvision":
            declare_torchvision_ops()
        return None


def declare_torchvision_ops(version_file: Path | None = None) -> bool:
    """Declares `torchvision::nms` and `::qnms`, whose absence makes `import torchvision` fail; returns whether it did.

    Models, transforms and `roi_align`'s Python path then work; `ops.nms` itself still says that it has no kernel.

    Args:
        version_file: torchvision's `version.py`, read without importing the package; default the installed one.
    """
    if torch.version.cuda is not None or _held or not _built_for_cuda(version_file):
        return False
    library = torch.library.Library("torchvision", "DEF")
    for name in ("nms", "qnms"):
        library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    _held.append(library)
    return True


def _built_for_cuda(version_file: Path | None) -> bool:
    if version_file is None:
        spec = importlib.machinery.PathFinder.find_spec("torchvision")
        if spec is None or spec.origin is None:
            return False
        version_file = Path(spec.origin).with_name("version.py")
    text = version_file.read_text() if version_file.is_file() else ""
    return re.search(r"^__version__ = '[^']*\+cu\d", text, re.MULTILINE) is not None

"""Pictures and networks of the measuring tests."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

from backbones.arch import ARCHITECTURES, ArchSpec

MEAN, STD = torch.tensor([0.485, 0.456, 0.406])[:, None, None], torch.tensor([0.229, 0.224, 0.225])[:, None, None]


def photos(count: int, height: int, width: int) -> torch.Tensor:
    """Normalised pictures (count, 3, height, width): of VOC where the real data is, else generated ones."""
    folder = Path(os.environ.get("TRANSFER_DATA", "")) / "VOC_small" / "VOC2012" / "JPEGImages"
    files = sorted(folder.glob("*.jpg"))[:count] if os.environ.get("TRANSFER_DATA") else []
    read = [_read(file, height, width) for file in files] if len(files) == count else _generated(count, height, width)
    return (torch.stack(list(read)) - MEAN) / STD


def _read(file: Path, height: int, width: int) -> torch.Tensor:
    with Image.open(file) as image:
        array = np.asarray(image.convert("RGB").resize((width, height)))
    return torch.from_numpy(array.copy()).permute(2, 0, 1) / 255


def _generated(count: int, height: int, width: int) -> torch.Tensor:
    """Shades at several scales, as photographs have them."""
    generator = torch.Generator().manual_seed(0)
    layers = [
        F.interpolate(torch.rand(count, 3, side, side, generator=generator), (height, width), mode="bilinear") / side
        for side in (2, 4, 8, 16, 32)
    ]
    shades = torch.stack(layers).sum(0)
    return shades / shades.max()


def narrow(arch: str, divisor: int) -> ArchSpec:
    """An architecture with a fraction of its width."""
    spec = ARCHITECTURES[arch]
    return replace(spec, widths=tuple(width // divisor for width in spec.widths))

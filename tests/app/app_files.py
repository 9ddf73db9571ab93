"""Small trained models, and files that people send by mistake."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import torch
from mmengine.registry import MODELS, DefaultScope
from PIL import Image

from transfer.engine.config_check import load_config, scope_of

CONFIGS = Path(__file__).resolve().parents[2] / "configs"
COUNTER = """
task = "counting"
custom_imports = dict(imports=["tasks.counting"])
model = dict(type="CrowdCounter", head=dict(type="DilatedHead", channels=(5,)), loss=dict(type="DensityMSELoss"),
             backbone=dict(type="RegisteredBackbone", name="resnet38_share_ean_se", stride=8))
"""
SEGMENTOR = f"""
_base_ = "{CONFIGS}/voc_small_ean_se.py"
model = dict(decode_head=dict(channels=8, num_classes=3), auxiliary_head=dict(channels=8, num_classes=3))
"""
META = {"dataset_meta": {"classes": ("sky", "sea", "land"), "palette": [[1, 2, 3], [4, 5, 6], [7, 8, 9]]}}


def save_model(path: Path, text: str = COUNTER, seed: int = 0, **meta: object) -> Path:
    """A checkpoint as training writes it, its config inside, the weights drawn."""
    path.parent.mkdir(parents=True, exist_ok=True)
    config_file = path.with_suffix(".py")
    config_file.write_text(text)
    config = load_config(config_file)
    torch.manual_seed(seed)
    with DefaultScope.overwrite_default_scope(scope_of(config)):
        network = MODELS.build(config.model).eval()
    for tensor in network.state_dict().values():
        if tensor.dim() == 4:
            torch.nn.init.kaiming_normal_(tensor)
    torch.save({"state_dict": network.state_dict(), "meta": {"cfg": config.pretty_text, **meta}}, path)
    return path


def noise(height: int = 40, width: int = 57, seed: int = 0) -> np.ndarray:
    """An image, uint8 RGB."""
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def header_only(path: Path, width: int, height: int) -> Path:
    """A PNG that says how large it is, and holds nothing of it."""
    chunk = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    header = struct.pack(">I", 13) + chunk + struct.pack(">I", zlib.crc32(chunk))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + header + struct.pack(">I", 999) + b"IDAT")
    return path


def odd_but_images(folder: Path) -> list[Path]:
    """Files of other kinds than 8-bit RGB that are images all the same."""
    pixels = noise()
    Image.fromarray(pixels).convert("L").save(folder / "grey.png")
    Image.fromarray((pixels[..., 0].astype(np.uint16) << 8) + 7).save(folder / "deep.png")
    Image.fromarray(pixels).convert("RGBA").save(folder / "clear.webp", lossless=True)
    Image.fromarray(pixels).convert("P").save(folder / "palette.tiff")
    Image.fromarray(pixels).convert("CMYK").save(folder / "print.jpg", quality=95)
    Image.fromarray(pixels[:1, :1]).save(folder / "dot.bmp")
    return sorted(folder.iterdir())


def no_images(folder: Path) -> dict[Path, str]:
    """Files that cannot be predicted, with a word of what is to be said of each."""
    Image.fromarray(noise(200, 200)).save(folder / "cut.jpg")
    (folder / "cut.jpg").write_bytes((folder / "cut.jpg").read_bytes()[:3000])
    (folder / "empty.png").touch()
    (folder / "notes.txt").write_text("no image")
    (folder / "page.eps").write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\nshowpage\n")
    words = {"cut.jpg": "cannot be decoded", "empty.png": "is empty", "notes.txt": "no image", "page.eps": "no image"}
    found = {folder / name: word for name, word in words.items()}
    found[header_only(folder / "bomb.png", 60_000, 60_000)] = "megapixels"
    found[header_only(folder / "large.png", 9_000, 8_000)] = "9,000 x 8,000"
    found[header_only(folder / "slim.png", 30_000, 1)] = "30,000 x 1"
    return found

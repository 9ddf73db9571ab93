"""Small data sets in VOC's layout, written as the real ones are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

CONFIGS = Path(__file__).resolve().parents[2] / "configs"


def palette(count: int = 256) -> list[int]:
    """VOC's colours, as PIL takes them."""
    colour = [[sum((i >> (3 * j + c) & 1) << (7 - j) for j in range(3)) for c in range(3)] for i in range(count)]
    return [value for rgb in colour for value in rgb]


def write_mask(path: Path, ids: np.ndarray) -> None:
    """Writes ids as a palette PNG."""
    image = Image.fromarray(ids.astype(np.uint8))
    image.putpalette(palette())
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path)


def write_sample(root: Path, name: str, shape: tuple[int, int], seed: int, classes: int = 21) -> None:
    """A noisy image with one rectangle whose brightness says its class, a border of ignored pixels around it."""
    rng = np.random.default_rng(seed)
    height, width = shape
    ids = np.zeros(shape, np.uint8)
    label = 1 + seed % (classes - 1)
    top, left = rng.integers(1, height // 3), rng.integers(1, width // 3)
    ids[top - 1 : top + height // 2 + 1, left - 1 : left + width // 2 + 1] = 255
    ids[top : top + height // 2, left : left + width // 2] = label
    image = rng.integers(0, 40, (height, width, 3)) + (ids % 255 * 10)[..., None]
    folder = root / "JPEGImages"
    folder.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image.clip(0, 255).astype(np.uint8)).save(folder / f"{name}.jpg", quality=95)
    write_mask(root / "SegmentationClass" / f"{name}.png", ids)


def write_list(root: Path, name: str, entries: list[str]) -> None:
    """Writes a list of names."""
    folder = root / "ImageSets" / "Segmentation"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.txt").write_text("".join(f"{entry}\n" for entry in entries))


def make_voc(root: Path, train: int = 4, val: int = 3, shape: tuple[int, int] = (40, 56), classes: int = 21) -> Path:
    """Writes `train` and `val` samples and their lists."""
    names = [f"2007_{i:06d}" for i in range(train + val)]
    for seed, name in enumerate(names):
        write_sample(root, name, shape, seed, classes)
    write_list(root, "train", names[:train])
    write_list(root, "val", names[train:])
    return root


TINY = """
_base_ = "{base}"
load = [dict(type="LoadPicture"), dict(type="LoadMask")]
test_pipeline = [load[0], dict(type="Resize", scale=(56, 56), keep_ratio=True), load[1], dict(type="PackSegInputs")]
tta_pipeline = [load[0], dict(type="TestTimeAug", transforms=[
    [dict(type="Resize", scale=(side, side), keep_ratio=True) for side in (40, 56)],
    [dict(type="RandomFlip", prob=p, direction="horizontal") for p in (0.0, 1.0)],
    [load[1]], [dict(type="PackSegInputs")]])]
train_dataloader = dict(batch_size=2, num_workers=0, persistent_workers=False, dataset=dict(
    data_root="{root}",
    pipeline=[*load, dict(type="RandomCrop", crop_size=(32, 32), cat_max_ratio=0.75),
              dict(type="RandomFlip", prob=0.5), dict(type="PackSegInputs")]))
val_dataloader = test_dataloader = dict(num_workers=0, persistent_workers=False, dataset=dict(
    data_root="{root}", pipeline=test_pipeline))
train_cfg = dict(max_iters=4, val_interval=4)
param_scheduler = [dict(type="PolyLR", power=0.9, eta_min=0.0, begin=0, end=4, by_epoch=False)]
default_hooks = dict(checkpoint=dict(interval=2, max_keep_ckpts=-1), visualization=dict(interval=2))
model = dict(data_preprocessor=dict(size=(32, 32)), decode_head=dict(channels=8), auxiliary_head=dict(channels=8))
"""


def write_config(folder: Path, root: Path, name: str = "tiny", extra: str = "") -> Path:
    """The small CPU config on the data in `root`, cut down to seconds, with further lines behind it."""
    path = folder / f"{name}.py"
    path.write_text(TINY.format(base=CONFIGS / "voc_small_ean_se.py", root=root) + extra)
    return path

"""Width searches on a handful of digits, and on CIFAR-100's layout filled with noise."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
SHORT = {
    "train_cfg.max_iters": 2,
    "train_dataloader.batch_size": 8,
    "default_hooks.checkpoint.interval": 1,
    "train_dataloader.dataset.images": 48,
    "calibration_dataset.images": 32,
    **{f"{split}_dataloader.dataset.images": 20 for split in ("val", "test")},
}
SECTIONS = {
    "dense": {"config": f"{ROOT}/configs/width/digits_preresnet20.py", "options": SHORT},
    "width": {"method": "rarts", "epochs": 2, "keep": {"macs": 0.6}, "checkpoint_interval": 2},
    "beside": [{"method": "joint", "equal_cost": True}, {"method": "uniform"}],
    "finetune": {"config": f"{ROOT}/configs/width/digits_preresnet20_finetune.py", "options": SHORT},
}


def write_config(path: Path, **changes) -> Path:
    """Writes a width search's config with some keys changed (`section__key`, None: left out) and returns its path."""
    sections = {name: list(part) if name == "beside" else dict(part) for name, part in SECTIONS.items()}
    for key, value in changes.items():
        section, _, name = key.partition("__")
        if name:
            sections[section][name] = value
        else:
            sections[section] = value
    path.write_text("".join(f"{key} = {value!r}\n" for key, value in sections.items() if value is not None))
    return path


def write_noise(folder: Path, per_class: int = 2) -> Path:
    """CIFAR-100's layout with random images, a few of each class in training and test."""
    generator = np.random.default_rng(0)
    folder.mkdir(parents=True)
    labels = np.repeat(np.arange(100), per_class).tolist()
    for name in ("train", "test"):
        data = generator.integers(0, 256, (len(labels), 3072), dtype=np.uint8)
        (folder / name).write_bytes(pickle.dumps({"data": data, "fine_labels": labels}))
    (folder / "meta").write_bytes(pickle.dumps({"fine_label_names": [f"class{i}" for i in range(100)]}))
    return folder


def noise_options(folder: Path) -> dict[str, object]:
    """A training on a few of these images."""
    few = {"data_root": str(folder), "val_per_class": 1, "images": 20}
    sets = (*(f"{split}_dataloader.dataset" for split in ("train", "val", "test")), "calibration_dataset")
    options = {f"{name}.{key}": value for name in sets for key, value in few.items()}
    return {
        **options,
        "train_cfg.max_iters": 1,
        "train_dataloader.batch_size": 4,
        "default_hooks.checkpoint.interval": 1,
    }

"""Search configs on a handful of digits."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FEW = {f"{split}_dataloader.dataset.images": 20 for split in ("val", "test")}
SHORT = {**FEW, "train_cfg.max_iters": 2, "train_dataloader.batch_size": 8, "default_hooks.checkpoint.interval": 1}


def write_config(path, **changes):
    """Writes a search config with some keys changed (`section__key`) and returns its path."""
    sections = {
        "supernet": {
            "config": f"{ROOT}/configs/supernet/digits_resnet38_full_share_se.py",
            "options": SHORT,
            "bn": "running",
        },
        "search": {"method": "random", "budget": 6, "seed": 3},
        "standalone": {
            "config": f"{ROOT}/configs/standalone/digits_resnet38.py",
            "options": SHORT,
            "candidates": 2,
            "beside": ["full_sa"],
            "timing": {"batch": 2, "rounds": 2},
        },
    }
    for key, value in changes.items():
        section, _, name = key.partition("__")
        if name:
            sections[section][name] = value
        else:
            sections[section] = value
    path.write_text("".join(f"{key} = {value!r}\n" for key, value in sections.items() if value != "left out"))
    return path

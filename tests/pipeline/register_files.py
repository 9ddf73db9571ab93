"""The work directory of a finished search, as small as it gets: a real log, real checkpoints that nobody trained."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import torch

from backbones.files import sha256_file
from backbones.scheme import ConnectionScheme
from tasks.classification import Classifier
from transfer.engine.checkpoint import backbone_meta
from transfer.search.known_problems import PlantedLandscape
from transfer.search.log import LOG_NAME, LoggedProblem
from transfer.search.methods import get_method

NAME = "resnet38_share_ean_se.c100_20ep"
DEPTHS, CLASSES = (4, 4, 4), 100
FULL, EMPTY = ConnectionScheme.full(DEPTHS), ConnectionScheme.empty(DEPTHS)
SUPERNET = "0f" * 32
BEST = 1
"""Which candidate is the best by stand-alone validation top-1 (not the one that the search puts first)."""


def classifier(scheme, sharing="stage", seed=0, num_classes=CLASSES, **backbone):
    """A ResNet-38 with SE whose weights and running statistics are those of no other seed."""
    torch.manual_seed(seed)
    settings = {"type": "RegisteredBackbone", "name": "resnet38_full_share_se.cifar100", "sharing": sharing}
    model = Classifier({**settings, "scheme": str(scheme), **backbone}, num_classes)
    for name, buffer in model.named_buffers():
        if name.endswith(("running_mean", "running_var")):
            buffer.uniform_(0.5, 1.5)
    return model.eval()


def save(model, path: Path, **changes) -> str:
    """Writes a checkpoint as a training does, with entries of its state dict changed or (None) gone; gives its hash."""
    state = {key: value for key, value in {**model.state_dict(), **changes}.items() if value is not None}
    meta = {"iter": 6250, "epoch": 0, "seed": 0, **backbone_meta(model)}
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save({"meta": meta, "state_dict": state, "optimizer": {"param_groups": [{"lr": 0.1}]}}, path)
    return sha256_file(path)


class Landscape(PlantedLandscape):
    """A landscape that claims to be a supernet."""

    def __init__(self):
        super().__init__(DEPTHS, seed=1)
        self.settings = {"supernet_sha256": SUPERNET}


def write_search(folder: Path) -> list[str]:
    """Searches a landscape of 12 bits; writes the log and `search.json`; returns the candidates."""
    with LoggedProblem(Landscape(), folder) as logged:
        result = get_method("random")().search(logged, 8, torch.Generator().manual_seed(0))
    candidates = [
        {"scheme": str(entry.scheme), **asdict(entry.evaluation), "value": entry.value} for entry in result.candidates
    ]
    values = {
        "format": 1,
        "method": "random",
        "method_args": {"batch": 4},
        "objective": {"type": "Reward", "lambda1": 2.0},
        "budget": 8,
        "seed": 0,
        "arch": "resnet38",
        "attention": "se",
        "attention_args": {"reduction": 16},
        "sharing": "stage",
        "num_classes": CLASSES,
        "in_channels": 3,
        "data": "cifar100",
        "bn": "recalibrated",
        "supernet": {
            "config": "../supernet/c100_resnet38_full_share_se_20ep.py",
            "options": {"val_dataloader.dataset.images": 2000},
            "sha256": SUPERNET,
            "beta": 0.5,
            "seed": 7,
            "max_iters": 6250,
            "seconds": None,
        },
        "log_sha256": sha256_file(folder / LOG_NAME),
        "evaluations": len(result.log),
        "best": candidates[0],
        "candidates": candidates,
        "order": [str(entry.scheme) for entry in result.log],
    }
    (folder / "search.json").write_text(json.dumps(values))
    return [candidate["scheme"] for candidate in candidates]


def write_work_dir(folder: Path) -> Path:
    """A search, its three candidates and the three networks beside them."""
    candidates = write_search(folder)
    networks = [(f"candidate {i}", scheme, "stage") for i, scheme in enumerate(candidates, 1)]
    networks += [("plain", EMPTY, "stage"), ("full_sa", FULL, "block"), ("full_share", FULL, "stage")]
    runs = []
    for number, (name, scheme, sharing) in enumerate(networks):
        checkpoint = f"standalone/{str(scheme).replace('.', '_')}_{sharing}/iter_6250.pth"
        top1 = 61.5 if number == BEST else 60.25 - number
        runs.append(
            {
                "name": name,
                "scheme": str(scheme),
                "sharing": sharing,
                "attention": None if name == "plain" else "se",
                "seed": 3,
                "config": "configs/search/../standalone/c100_resnet38_20ep.py",
                "options": {"optim_wrapper.optimizer.lr": 0.2},
                "amp": True,
                "max_iters": 6250,
                "val": {"top1": top1, "top5": 86.0},
                "test": {"top1": 62.75 - number, "top5": 87.125},
                "checkpoint": checkpoint,
                "sha256": save(classifier(scheme, sharing, seed=number), folder / checkpoint),
                "seconds": 3600.0,
            }
        )
    record = {"format": 1, "runs": runs, "best": candidates[BEST]}
    (folder / "standalone.json").write_text(json.dumps(record))
    return folder


def read(folder: Path, name: str = "standalone") -> dict:
    """One of the two records."""
    return json.loads((folder / f"{name}.json").read_text())


def write(folder: Path, record: dict, name: str = "standalone") -> None:
    """The opposite of `read`."""
    (folder / f"{name}.json").write_text(json.dumps(record))


def replace_best(work_dir: Path, model, **changes) -> None:
    """Puts another checkpoint in the best candidate's place, and records it as if it had been trained."""
    record = read(work_dir)
    record["runs"][BEST]["sha256"] = save(model, work_dir / record["runs"][BEST]["checkpoint"], **changes)
    write(work_dir, record)

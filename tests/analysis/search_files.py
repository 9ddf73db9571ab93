"""Writes the work directory of a finished search: a real search of a planted landscape, stand-alone runs made up."""

import hashlib
import json

import torch

from backbones.scheme import ConnectionScheme
from transfer.search.known_problems import PlantedLandscape
from transfer.search.log import LOG_NAME, LoggedProblem
from transfer.search.methods import get_method

ARCH, DEPTHS = "resnet20", (2, 2, 2)
SUPERNET = "0f" * 32
FULL, EMPTY = ConnectionScheme.full(DEPTHS), ConnectionScheme.empty(DEPTHS)


class Landscape(PlantedLandscape):
    def __init__(self):
        super().__init__(DEPTHS, seed=1)
        self.settings = {"supernet_sha256": SUPERNET, "bn": "running", "images": 2000}


def record(entry):
    values = {"scheme": str(entry.scheme), "value": entry.value}
    return values | {key: getattr(entry.evaluation, key) for key in ("accuracy", "loss", "n")}


def write_search(folder, method="ean", budget=40, ends=False):
    """Searches, and writes the log and `search.json`; `ends` has all and no connections evaluated before."""
    with LoggedProblem(Landscape(), folder) as logged:
        if ends:
            logged.evaluate([FULL, EMPTY])
        result = get_method(method)().search(logged, budget, torch.Generator().manual_seed(0))
    values = {
        "format": 1,
        "method": method,
        "method_args": {},
        "objective": {"lambda1": 2.0, "lambda2": 1.0, "loss_weight": 0.0},
        "budget": budget,
        "seed": 0,
        "arch": ARCH,
        "attention": "se",
        "attention_args": {"reduction": 16},
        "sharing": "stage",
        "num_classes": 10,
        "in_channels": 3,
        "data": "planted",
        "bn": "running",
        "settings": {"images": 2000, "depths": list(DEPTHS)},
        "supernet": {
            "config": "configs/supernet/x.py",
            "sha256": SUPERNET,
            "beta": 0.5,
            "seed": 0,
            "max_iters": 100,
            "seconds": 60.0,
        },
        "log_sha256": hashlib.sha256((folder / LOG_NAME).read_bytes()).hexdigest(),
        "evaluations": len(result.log),
        "seconds": 12.5,
        "images": 0,
        "best": record(result.best),
        "candidates": [record(entry) for entry in result.candidates],
        "order": [str(entry.scheme) for entry in result.log],
        "front": [{"scheme": str(p.scheme), "accuracy": p.accuracy, "cost": p.cost} for p in result.front],
        "trace": list(result.trace),
    }
    (folder / "search.json").write_text(json.dumps(values))
    return values


def run(name, scheme, top1, *, sharing="stage", attention="se", seed=0, max_iters=100, val=None):
    return {
        "name": name,
        "scheme": str(scheme),
        "sharing": sharing,
        "attention": attention,
        "seed": seed,
        "config": "configs/x.py",
        "max_iters": max_iters,
        "val": {"top1": top1 - 1 if val is None else val, "top5": 90.0},
        "test": {"top1": top1, "top5": 91.0},
        "checkpoint": "standalone/x.pth",
        "sha256": "ab" * 32,
        "seconds": 50.0,
    }


def write_standalone(folder, runs, best):
    (folder / "standalone.json").write_text(
        json.dumps({"format": 1, "runs": runs, "best": None if best is None else str(best)})
    )


def write_increment(folder, rows):
    (folder / "increment.json").write_text(json.dumps({"machine": {}, "rows": rows}))


def edit(folder, name="search.json", **changes):
    """Changes keys of a JSON file; `...` removes one."""
    values = json.loads((folder / name).read_text()) | changes
    (folder / name).write_text(json.dumps({key: value for key, value in values.items() if value is not ...}))

"""A model, data and metric small enough to train many times: what the engine's tests run."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import numpy as np
import torch
from mmengine.evaluator import BaseMetric
from mmengine.model import BaseModel
from mmengine.registry import DATASETS, METRICS, MODELS
from torch import nn
from torch.utils.data import get_worker_info

from backbones.errors import UserInputError
from transfer.engine.sampling import EpochIndex

CONFIG = """
custom_imports = dict(imports=["engine_tiny"])
model = dict(type="TinyModel")
train_dataloader = dict(
    dataset=dict(type="TinyData", length=10, augment=True),
    sampler=dict(type="ResumableSampler"), batch_size=4, num_workers=0)
val_dataloader = dict(
    dataset=dict(type="TinyData", length=7), sampler=dict(type="DefaultSampler", shuffle=False), batch_size=1)
test_dataloader = dict(
    dataset=dict(type="TinyData", length=9), sampler=dict(type="DefaultSampler", shuffle=False), batch_size=1)
val_evaluator = test_evaluator = dict(type="TinyMetric")
train_cfg = dict(type="ResumableTrainLoop", max_iters=9, val_interval=4)
val_cfg = test_cfg = dict()
optim_wrapper = dict(optimizer=dict(type="AdamW", lr=0.01, weight_decay=0.1))
param_scheduler = [dict(type="LinearLR", start_factor=0.1, by_epoch=False, end=4),
                   dict(type="CosineAnnealingLR", by_epoch=False, begin=4, T_max=5)]
default_hooks = dict(
    checkpoint=dict(type="PlainCheckpointHook", interval=3, max_keep_ckpts=2, save_best="mae", rule="less"))
custom_hooks = [dict(type="EMAHook", momentum=0.2)]
visualizer = dict(type="Visualizer", vis_backends=[dict(type="LocalVisBackend")])
randomness = dict(seed=3)
"""


def write_config(folder: Path, name: str = "tiny", extra: str = "") -> Path:
    """Writes `CONFIG`, with further lines behind it."""
    path = folder / f"{name}.py"
    path.write_text(CONFIG + extra)
    return path


@DATASETS.register_module()
class TinyData:
    """Noise pictures whose target is their mean; augmented by (seed, epoch, index).

    `broken` names an index that raises; `signal_at` ("SIGTERM:12") sends the process a signal at the 12th access.
    """

    def __init__(self, length=10, augment=False, seed=0, broken=None, signal_at=None, delay=0.0):
        self.length, self.augment, self.seed, self.broken, self.delay = length, augment, seed, broken, delay
        self.signal_at, self.reads, self.owner = signal_at, 0, os.getpid()
        self.metainfo = {"name": "tiny", "split": "train" if augment else "val", "images": length}

    def __len__(self):
        return self.length

    def __getitem__(self, index):
        time.sleep(self.delay)
        if self.broken is not None and index == self.broken:
            raise UserInputError(f"image_{index}.png: cannot be decoded, expected a picture: replace the file")
        self.reads += 1
        if self.signal_at:
            name, _, at = self.signal_at.partition(":")
            worker = get_worker_info()
            if self.reads == int(at) and (worker is None or worker.id == 0):
                for process in {self.owner, os.getpid()}:  # as a terminal or a job scheduler does, workers too
                    os.kill(process, getattr(signal, name))
        assert not self.augment or isinstance(index, EpochIndex)
        picture = np.random.default_rng((7, int(index))).random((3, 8, 8))
        if self.augment:
            picture = picture + np.random.default_rng((self.seed, index.epoch, int(index))).random((3, 1, 1))
        return {"inputs": torch.from_numpy(picture).float(), "target": float(picture.mean())}


@MODELS.register_module()
class TinyModel(BaseModel):
    """Convolution, normalisation, dropout, linear; or a backbone in place of the convolution."""

    def __init__(self, width=4, backbone=None, nan_at=None, data_preprocessor=None, init_cfg=None):
        super().__init__(data_preprocessor, init_cfg)
        self.backbone = MODELS.build(backbone) if backbone else None
        self.conv = None if backbone else nn.Sequential(nn.Conv2d(3, width, 3, 2, 1), nn.BatchNorm2d(width), nn.ReLU())
        self.dropout, self.nan_at, self.seen = nn.Dropout(0.5), nan_at, 0
        self.head = nn.Linear(self.backbone.feature_info[-1].channels if backbone else width, 1)

    def forward(self, inputs, target=None, mode="tensor"):
        x = torch.stack(list(inputs))
        x = self.backbone(x)[-1] if self.backbone is not None else self.conv(x)
        out = self.head(self.dropout(x.mean((2, 3)))).flatten()
        if mode == "loss":
            self.seen += 1
            loss = (out - torch.as_tensor(target, dtype=out.dtype)).square().mean()
            return {"loss": loss * (float("nan") if self.seen == self.nan_at else 1)}
        return [{"pred": float(p), "target": float(t)} for p, t in zip(out, target, strict=True)]


@METRICS.register_module()
class TinyMetric(BaseMetric):
    """Mean absolute error, and the number of samples that it saw."""

    def process(self, data_batch, data_samples):
        self.results.extend(abs(sample["pred"] - sample["target"]) for sample in data_samples)

    def compute_metrics(self, results):
        return {"mae": float(np.mean(results)), "count": len(results)}

"""Tiny networks and data for width searches."""

from __future__ import annotations

import torch
from torch import nn
from torch.utils.data import Dataset

from backbones.arch import family_of

CLASSES = 4


def tiny(arch="preresnet20", seed=0, **options):
    """A network with a classifier, from a seed."""
    torch.manual_seed(seed)
    return family_of(arch).network()(arch, **{"num_classes": CLASSES, "in_channels": 1, **options})


class Blobs(Dataset):
    """Grey images of 8 x 8, brighter in the corner of their class."""

    def __init__(self, size=64, seed=0):
        generator = torch.Generator().manual_seed(seed)
        self.labels = torch.randint(CLASSES, (size,), generator=generator)
        self.images = torch.randn(size, 1, 8, 8, generator=generator)
        for image, label in zip(self.images, self.labels.tolist(), strict=True):
            top, left = 4 * (label // 2), 4 * (label % 2)
            image[:, top : top + 4, left : left + 4] += 2.0

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, index):
        return {"inputs": self.images[index], "labels": int(self.labels[index]), "epoch": getattr(index, "epoch", 0)}


class Stack(nn.Module):
    """A preprocessor that only puts batches together."""

    def forward(self, data):
        return {"inputs": torch.stack(data["inputs"]), "labels": torch.tensor(data["labels"])}


def batches(size=64, batch=16, seed=0):
    """All images of a data set, in its order."""
    data = Blobs(size, seed)
    return [(data.images[i : i + batch], data.labels[i : i + batch]) for i in range(0, size, batch)]

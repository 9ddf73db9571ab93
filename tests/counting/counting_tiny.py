"""A backbone small enough for many tests, with the attributes that a registered one has."""

from __future__ import annotations

from types import SimpleNamespace

import torch
from mmengine.registry import MODELS
from torch import nn

from backbones.resnet import FeatureInfo
from tasks.counting.structures import CrowdSample


@MODELS.register_module()
class TinyCountingBackbone(nn.Module):
    """Two strided convolutions: 4 channels at stride 4, 6 channels at stride 8."""

    def __init__(self, out_indices=(0, 1)):
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(3, 4, 3, 4, 1), nn.Conv2d(4, 6, 3, 2, 1)
        info = (FeatureInfo(0, 4, 4), FeatureInfo(1, 6, 8))
        self.feature_info, self.out_indices = tuple(info[i] for i in out_indices), out_indices
        self.card = SimpleNamespace(input=SimpleNamespace(mean=(0.1, 0.2, 0.3), std=(0.5, 0.25, 0.125)))

    def forward(self, x):
        first = torch.relu(self.conv1(x))
        both = (first, torch.relu(self.conv2(first)))
        return tuple(both[i] for i in self.out_indices)


def counter(**changes):
    """A seeded `CrowdCounter` on the tiny backbone."""
    torch.manual_seed(0)
    config = {
        "type": "CrowdCounter",
        "backbone": {"type": "TinyCountingBackbone"},
        "head": {"type": "DilatedHead", "channels": (5,)},
        "loss": [{"type": "DensityMSELoss"}, {"type": "CropCountLoss", "weight": 0.5}],
    }
    return MODELS.build({**config, **changes})


def batch(*shapes, stride=8, heads=2, seed=0):
    """Images of random pixels with random heads and density maps, as a data loader hands them over."""
    generator = torch.Generator().manual_seed(seed)
    inputs, samples = [], []
    for number, (height, width) in enumerate(shapes):
        inputs.append(torch.randint(0, 256, (3, height, width), dtype=torch.uint8, generator=generator))
        metainfo = {
            "image_id": f"IMG_{number}",
            "img_shape": (height, width),
            "ori_shape": (height, width),
            "num_points": heads,
        }
        points = torch.rand(heads, 2, generator=generator) * torch.tensor([width, height])
        density = torch.rand(1, -(-height // stride), -(-width // stride), generator=generator)
        samples.append(CrowdSample(metainfo=metainfo, points=points, density=heads * density / density.sum()))
    return {"inputs": inputs, "data_samples": samples}

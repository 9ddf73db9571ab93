"""From a network with gates to a smaller one without them, and how good it is right then."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor
from torch.optim.swa_utils import update_bn

from backbones.errors import UserInputError
from backbones.sites import Net, sites_of
from backbones.trunk import Trunk

Batch = tuple[Tensor, Tensor]


@torch.no_grad()
def folded(net: Net, gates: Sequence[Tensor]) -> Net:
    """A copy without gates that computes the same: each is multiplied into what its consumer reads of the channel.

    Args:
        net: the network, outside of `backbones.sites.gated`.
        gates: (channels,) for each of its sites.
    """
    twin = copy.deepcopy(net)
    for site, gate in zip(sites_of(twin), gates, strict=True):
        site.consumer.weight.mul_(gate.detach().to(site.consumer.weight.dtype)[None, :, None, None])
    return twin


def recalibrated(net: Net, batches: Iterable[Batch]) -> Net:
    """A copy whose normalisation has the statistics of these images: averages over batches of one size.

    Removing channels changes what all later layers see; running statistics are then those of another network.
    """
    twin = copy.deepcopy(net).train()
    update_bn(batches, twin)
    return twin.eval()


@torch.inference_mode()
def top1(net: Trunk, batches: Iterable[Batch]) -> float:
    """Top-1 accuracy in percent, in eval mode; raises `UserInputError` where there are no images."""
    net, correct, count = net.eval(), 0, 0
    device = net.conv1.weight.device
    for images, labels in batches:
        correct += int((net(images.to(device)).argmax(1) == labels.to(device)).sum())
        count += len(labels)
    if not count:
        raise UserInputError("no images to evaluate on, expected at least one batch")
    return 100 * correct / count

"""From a score for each channel to the channels that stay."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from backbones import macs
from backbones.errors import UserInputError
from backbones.sites import prune
from backbones.trunk import Trunk
from transfer.search.width.keep import Keep

Kept = tuple[tuple[int, ...], ...]
"""The channels that stay, 0-based and rising, at each of `backbones.sites.sites_of(net)`."""

LEAST = 2
"""Fewest channels of a site, whatever its share."""

TOLERANCE = 0.01
"""How far from the wanted share of MACs or parameters a pruned network may be."""


@dataclass(frozen=True)
class Cost:
    """What a network takes: multiply-accumulates for one image, and parameters."""

    macs: int
    parameters: int


def cost_of(net: Trunk, size: int) -> Cost:
    """The cost of a network for an image of `size` x `size` pixels; nothing is computed."""
    parameters = sum(parameter.numel() for parameter in net.parameters())
    return Cost(macs.count(copy.deepcopy(net).to("meta"), size, net.conv1.in_channels), parameters)


def scaled(scores: Sequence[Tensor], rank: str) -> list[Tensor]:
    """Scores that can be compared between sites.

    Gates in front of a convolution that normalisation follows can shrink together for nothing, and raw scores then say
    more about the site than about the channel.

    Args:
        scores: (channels,) for each site, at least 0.
        rank: `"layer"`, over the root of the site's mean square; `"global"`, as they are (the thesis).
    """
    if rank == "global":
        return [score.double().cpu() for score in scores]
    scores = [score.double().cpu() for score in scores]
    return [score / score.square().mean().sqrt().clamp_min(1e-300) for score in scores]


class Order:
    """The channels of a network in the order in which they stay: those that every site must have come first.

    Args:
        scores: (channels,) for each site, comparable between sites.
        min_keep: share of each site's channels that stay whatever their scores; at least `LEAST` of them.

    Attributes:
        total: how many channels there are.
        floor: how many of them stay in any case.
    """

    def __init__(self, scores: Sequence[Tensor], min_keep: float = 0.1) -> None:
        self.channels = [len(score) for score in scores]
        pairs: list[tuple[int, float, int, int]] = []
        for site, score in enumerate(scores):
            least = at_least(len(score), min_keep)
            best = torch.sort(score, descending=True, stable=True).indices.tolist()
            pairs += [
                (int(place >= least), -float(score[channel]), site, channel) for place, channel in enumerate(best)
            ]
        pairs.sort()
        self._order = [(site, channel) for _, _, site, channel in pairs]
        self.total = len(pairs)
        self.floor = sum(1 for late, *_ in pairs if not late)

    def kept(self, count: int) -> Kept:
        """The first `count` channels of the order; never fewer than `floor`."""
        staying: list[list[int]] = [[] for _ in self.channels]
        for site, channel in self._order[: max(count, self.floor)]:
            staying[site].append(channel)
        return tuple(tuple(sorted(channels)) for channels in staying)


def at_least(channels: int, min_keep: float) -> int:
    """How many of a site's channels stay in any case."""
    return min(channels, max(LEAST, math.ceil(min_keep * channels - 1e-9)))


def choose(net: Trunk, order: Order, keep: Keep, size: int, raw: Sequence[Tensor]) -> Kept:
    """The channels that stay.

    Args:
        net: the network, as it is pruned.
        order: of its channels.
        keep: how much of it.
        size: side of the images that MACs are counted for.
        raw: the scores as the method gave them, which `keep.threshold` is compared with.

    Raises:
        UserInputError: it cannot be met, because of what every site must have or because channels are too coarse.
    """
    if keep.threshold is not None:
        return _above(keep.threshold, order, raw)
    if keep.channels is not None:
        count = round(keep.channels * order.total)
        if count < order.floor:
            raise _below(keep, order.floor / order.total)
        return order.kept(count)
    whole = _costs(net, size, keep.kind)
    return order.kept(
        _bisected(keep, order, lambda count: _costs(prune(net, order.kept(count)), size, keep.kind) / whole)
    )


def _costs(net: Trunk, size: int, kind: str) -> int:
    return int(getattr(cost_of(net, size), kind))


def _above(threshold: float, order: Order, raw: Sequence[Tensor]) -> Kept:
    """All scores above the threshold, and what every site must have."""
    least = order.kept(order.floor)
    above = [set(torch.nonzero(score > threshold).flatten().tolist()) for score in raw]
    return tuple(tuple(sorted(found | set(must))) for found, must in zip(above, least, strict=True))


def _bisected(keep: Keep, order: Order, share: Callable[[int], float]) -> int:
    """The number of channels whose share of the cost is nearest: what stays is nested, so the cost rises with it."""
    low, high = order.floor, order.total
    if share(low) > keep.share + TOLERANCE:
        raise _below(keep, share(low))
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if share(middle) <= keep.share else (low, middle)
    near = {count: share(count) for count in (low, high)}
    best = min(near, key=lambda count: abs(near[count] - keep.share))
    if abs(near[best] - keep.share) > TOLERANCE:
        raise UserInputError(
            f"keep.{keep.kind}={keep.share:g}: one channel more or less is {near[low]:.3f} or {near[high]:.3f} of the "
            "network; take one of these"
        )
    return best


def _below(keep: Keep, least: float) -> UserInputError:
    return UserInputError(
        f"keep.{keep.kind}={keep.share:g}: the least that every site must keep is {least:.3f} already; take more, or a "
        "smaller min_keep"
    )

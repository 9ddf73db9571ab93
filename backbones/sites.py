"""Where the width of a network may be cut, gates that train there, and the cut itself: exact, without the gates.

A gate multiplies a channel behind normalisation and activation, before the convolution that consumes it: one in front
of the normalisation would be divided out by it. A channel whose gate is 0 can then be removed with what makes it and
what reads it, and nothing changes but the time.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from backbones.errors import UserInputError
from backbones.trunk import Trunk
from backbones.widths import WidthPlan

Net = TypeVar("Net", bound=Trunk)


@dataclass(frozen=True)
class Site:
    """Channels inside a block and nowhere else.

    Attributes:
        stage: 0-based.
        block: 0-based, within the stage.
        place: 0-based, within the block.
        channels: how many there are now.
        producer: the convolution that puts them out.
        norm: the normalisation behind which they are gated.
        consumer: the convolution that mixes them, before which they are gated.
        carried: what takes each by itself in between, in order: `norm`, and a depthwise convolution with its own.
    """

    stage: int
    block: int
    place: int
    channels: int
    producer: nn.Conv2d = field(repr=False)
    norm: _BatchNorm = field(repr=False)
    consumer: nn.Conv2d = field(repr=False)
    carried: tuple[nn.Module, ...] = field(repr=False)

    def __str__(self) -> str:
        return f"layer{self.stage + 1}.{self.block}, place {self.place + 1}"


def sites_of(net: Trunk) -> tuple[Site, ...]:
    """The sites of a network in its order, those of the stages that it has: as many as its plan has widths there."""
    return tuple(
        site
        for stage in range(net.stages_built)
        for block in range(net.arch.depths[stage])
        for site in _sites_in(net, stage, block)
    )


def _sites_in(net: Trunk, stage: int, block: int) -> Iterator[Site]:
    for number, place in enumerate(net.places(stage, block)):
        producer, *carried, consumer = map(net.get_submodule, (place.producer, *place.carried, place.consumer))
        norm = carried[-1]
        assert isinstance(producer, nn.Conv2d) and isinstance(consumer, nn.Conv2d) and isinstance(norm, _BatchNorm)
        yield Site(stage, block, number, producer.out_channels, producer, norm, consumer, tuple(carried))


@contextmanager
def gated(net: Trunk, gates: Sequence[Tensor]) -> Iterator[tuple[Site, ...]]:
    """Inside, channels are multiplied by gates, which may be parameters that train; gives the sites.

    Without it nothing is there to pay for. Several networks may share their gates.

    Args:
        net: whose channels.
        gates: (channels,) for each of `sites_of(net)`.

    Raises:
        UserInputError: too few or too many gates, or of other lengths.
    """
    sites = sites_of(net)
    _check_lengths("gates", sites, [gate.numel() for gate in gates], exact=True)
    with ExitStack() as hooks:
        for site, gate in zip(sites, gates, strict=True):
            hooks.callback(site.consumer.register_forward_pre_hook(_Gate(gate)).remove)
        yield sites


def is_gated(net: Trunk) -> bool:
    """Whether a network is inside `gated`."""
    hooks = [hook for site in sites_of(net) for hook in site.consumer._forward_pre_hooks.values()]
    return any(isinstance(hook, _Gate) for hook in hooks)


class _Gate:
    """A hook that multiplies what comes into a convolution."""

    def __init__(self, gate: Tensor) -> None:
        self.gate = gate

    def __call__(self, module: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        x_NCHW, *rest = inputs
        return (x_NCHW * self.gate.to(x_NCHW.dtype)[:, None, None], *rest)


def prune(net: Net, kept: Sequence[Sequence[int]]) -> Net:
    """A copy of a network without the channels that are not kept; what it puts out is as if they were zero.

    Gates are none of it: fold one into its consumer, or train on without it.

    Args:
        net: the network, at any width.
        kept: 0-based channels that stay, in rising order, for each of `sites_of(net)`.

    Returns:
        The smaller network; its `widths` say how wide it is.

    Raises:
        UserInputError: too few or too many lists, an empty one, channels that are not there, or a network with gates.
    """
    if is_gated(net):
        raise UserInputError("a network with gates cannot be pruned, only one outside of gated(...)")
    twin = copy.deepcopy(net)
    sites = sites_of(twin)
    _check_lengths("lists of channels", sites, [len(channels) for channels in kept], exact=False)
    stages = [[list(block) for block in stage] for stage in net.widths.stages]
    for site, channels in zip(sites, kept, strict=True):
        index = _index(site, channels)
        _cut(site, index)
        stages[site.stage][site.block][site.place] = len(index)
    twin.widths = WidthPlan.full(stages)
    return twin


def _check_lengths(what: str, sites: Sequence[Site], lengths: Sequence[int], *, exact: bool) -> None:
    if len(lengths) != len(sites):
        raise UserInputError(f"{len(lengths)} {what}, expected {len(sites)}, one a site")
    for site, length in zip(sites, lengths, strict=True):
        if length != site.channels if exact else not 1 <= length <= site.channels:
            wanted = f"{site.channels}" if exact else f"1 to {site.channels}"
            raise UserInputError(f"{what}: {length} channels at {site}, expected {wanted}")


def _index(site: Site, channels: Sequence[int]) -> Tensor:
    index = torch.as_tensor(channels, dtype=torch.long, device=site.producer.weight.device)
    rising = bool((index[1:] > index[:-1]).all())
    if not rising or int(index[0]) < 0 or int(index[-1]) >= site.channels:
        raise UserInputError(
            f"channels to keep at {site}: expected rising numbers from 0 to {site.channels - 1}, got {index.tolist()}"
        )
    return index


def _cut(site: Site, index: Tensor) -> None:
    for module in (site.producer, *site.carried):
        for name in ("weight", "bias", "running_mean", "running_var"):
            _keep(module, name, index, 0)
        if isinstance(module, nn.Conv2d):
            module.out_channels = len(index)
            if module is not site.producer:  # depthwise
                module.in_channels = module.groups = len(index)
        else:
            module.num_features = len(index)  # type: ignore[assignment]
    _keep(site.consumer, "weight", index, 1)
    site.consumer.in_channels = len(index)


def _keep(module: nn.Module, name: str, index: Tensor, axis: int) -> None:
    """Slices a parameter or buffer in place of the old one; what needs no gradient goes on needing none."""
    tensor = getattr(module, name, None)
    if tensor is None:
        return
    sliced = tensor.detach().index_select(axis, index)
    sliced = sliced.contiguous(memory_format=_format_of(tensor))
    setattr(module, name, nn.Parameter(sliced, tensor.requires_grad) if isinstance(tensor, nn.Parameter) else sliced)


def _format_of(tensor: Tensor) -> torch.memory_format:
    last = tensor.dim() == 4 and tensor.is_contiguous(memory_format=torch.channels_last)
    return torch.channels_last if last and not tensor.is_contiguous() else torch.contiguous_format

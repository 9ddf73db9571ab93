"""What a width search trains: a network, gates on its channels, and the losses that a step is given."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import SGD

from backbones.sites import gated, sites_of
from backbones.trunk import Trunk
from transfer.search.methods._relaxation import Loss

Batch = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class Descent:
    """How weights and gates descend: SGD for both, the gates without weight decay.

    Attributes:
        lr: learning rate to begin with.
        momentum: of all parameters.
        weight_decay: of the weights.
        gamma: strength of the sparsity penalty.
    """

    lr: float = 0.05
    momentum: float = 0.9
    weight_decay: float = 1e-4
    gamma: float = 0.0


class Space:
    """A network whose channels are gated, and everything that a step of a method needs.

    Args:
        net: a classifier; trained in place.
        descent: how.
        other: builds the second network of a method that has two; default a copy of the first.
        memory_format: of images.
        amp: compute losses in mixed precision (bfloat16).

    Attributes:
        net: the network that is kept.
        second: the other network; built when it is asked for.
        gates: (channels,) of ones for each site, parameters.
        optimizers: those that `sgd` gave.
        images: that went forward so far, or forward and backward.
        losses_seen: values of the loss that followed the weights that are kept.
    """

    def __init__(
        self,
        net: Trunk,
        descent: Descent,
        *,
        other: Callable[[], Trunk] | None = None,
        memory_format: torch.memory_format = torch.contiguous_format,
        amp: bool = False,
    ) -> None:
        self.net, self.descent = net.train().requires_grad_(True), descent
        self.sites = sites_of(net)
        self._other = other
        self._second: Trunk | None = None
        self._memory_format, self._amp = memory_format, amp
        weights = net.conv1.weight
        self.gates = [
            nn.Parameter(torch.ones(s.channels, device=weights.device, dtype=weights.dtype)) for s in self.sites
        ]
        self.optimizers: list[SGD] = []
        self.images = 0
        self.losses_seen: list[float] = []

    @property
    def second(self) -> Trunk:
        """The other network, of the same gates."""
        if self._second is None:
            made = copy.deepcopy(self.net) if self._other is None else self._other()
            self._second = made.to(self.net.conv1.weight.device).train().requires_grad_(True)
        return self._second

    @property
    def networks(self) -> list[Trunk]:
        """Those that are there."""
        return [self.net] if self._second is None else [self.net, self._second]

    @property
    def gamma(self) -> float:
        """Strength of the penalty."""
        return self.descent.gamma

    def sgd(self, parameters: Iterable[Tensor], *, decay: bool = True) -> SGD:
        """An optimiser whose state and learning rate are looked after."""
        made = SGD(
            list(parameters),
            self.descent.lr,
            momentum=self.descent.momentum,
            weight_decay=self.descent.weight_decay if decay else 0.0,
        )
        self.optimizers.append(made)
        return made

    def set_rate(self, rate: float) -> None:
        """The learning rate of all optimisers."""
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = rate

    @contextmanager
    def gated(self) -> Iterator[None]:
        """Inside, the gates multiply the channels of the networks that are there."""
        with ExitStack() as stack:
            for net in self.networks:
                stack.enter_context(gated(net, self.gates))
            yield

    def losses(self, train: Batch, val: Batch) -> tuple[Loss, Loss]:
        """The closures of a step: the training one through the second network, if there is one."""

        def train_loss() -> Tensor:
            return self._cross_entropy(self.networks[-1], train)

        def val_loss() -> Tensor:
            return self._cross_entropy(self.net, val)

        return train_loss, val_loss

    def _cross_entropy(self, net: Trunk, batch: Batch) -> Tensor:
        device = net.conv1.weight.device
        images, labels = (part.to(device) for part in batch)
        self.images += len(images)
        with torch.autocast(device.type, torch.bfloat16, enabled=self._amp):
            logits = net(images.contiguous(memory_format=self._memory_format))
        loss = F.cross_entropy(logits.float() if self._amp else logits, labels)
        if net is self.net:
            self.losses_seen.append(loss.item())
        return loss


def l1(parameters: Sequence[Tensor]) -> Tensor:
    """The sum of all absolute values."""
    return torch.stack([parameter.abs().sum() for parameter in parameters]).sum()


def weights_of(net: Trunk) -> list[nn.Parameter]:
    """The parameters of a network, in its order."""
    return list(net.parameters())

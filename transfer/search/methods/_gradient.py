"""What DARTS, MiLeNAS and RARTS share when they search a supernet: soft connections, epochs, what is chosen in the end.

The papers say little about binary connections; this adaptation is ours. A block's soft connection is the softmax over
{plain, connected} of two architecture parameters, and `AttentionResNet.forward(x, weights)` mixes gate and identity by
it. Each epoch ends with the scheme of all connections above one half. Up to three schemes, those of the epochs with
the least validation loss, are evaluated and returned (LTH4SA, appendix: three candidates, for DARTS the ones of lowest
validation loss).
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable, Iterator
from typing import ClassVar, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from backbones.errors import RunError, UserInputError
from backbones.resnet import AttentionResNet
from backbones.scheme import ConnectionScheme
from transfer.search.methods._random import seeded
from transfer.search.methods._relaxation import Loss
from transfer.search.methods.base import SearchMethod
from transfer.search.objective import Objective, TimeReward
from transfer.search.problem import SearchProblem, loaders_in, supernet_in
from transfer.search.session import CANDIDATES, Session

Batch = tuple[Tensor, Tensor]


class Stepper(Protocol):
    """One of `transfer.search.methods._relaxation`."""

    def step(self, train_loss: Loss, val_loss: Loss) -> None:
        """One step of weights and architecture."""
        ...


class Relaxation:
    """A supernet with soft connections. The problem's own supernet is left as it is.

    Args:
        net: a supernet with a classifier; copied.
        generator: of the architecture's beginning, N(0, 0.001^2) as in DARTS.

    Attributes:
        net: the copy, in training mode; the validation loss is its.
        train_net: the network whose the training loss is; the same one, unless a method puts another there.
        alphas: (m, 2), of leaving a block plain and of connecting it.
        images: images seen so far, forward or forward and backward.
        val_losses: values of the validation loss, as steps asked for them.
    """

    def __init__(self, net: AttentionResNet, generator: torch.Generator) -> None:
        self.net = copy.deepcopy(net).train().requires_grad_(True)
        self.train_net = self.net
        device = next(self.net.parameters()).device
        start = 1e-3 * torch.randn(net.scheme.total, 2, generator=generator)
        self.alphas = start.to(device).requires_grad_(True)
        self.images = 0
        self.val_losses: list[float] = []

    @property
    def probabilities(self) -> Tensor:
        """The soft connections (m,), inside (0, 1)."""
        return self.alphas.softmax(1)[:, 1]

    def scheme(self, depths: tuple[int, ...]) -> ConnectionScheme:
        """All connections above one half."""
        return ConnectionScheme.from_bits((self.probabilities > 0.5).int().tolist(), depths)

    def losses(self, train: Batch, val: Batch) -> tuple[Loss, Loss]:
        """The closures of a step on one training and one validation batch."""

        def train_loss() -> Tensor:
            return self._cross_entropy(self.train_net, train)

        def val_loss() -> Tensor:
            loss = self._cross_entropy(self.net, val)
            self.val_losses.append(loss.item())
            return loss

        return train_loss, val_loss

    def _cross_entropy(self, net: AttentionResNet, batch: Batch) -> Tensor:
        images, labels = (part.to(self.alphas.device) for part in batch)
        self.images += len(images)
        return F.cross_entropy(net(images, self.probabilities), labels)


class RelaxedSearch(SearchMethod):
    """Trains the supernet's weights together with soft connections.

    Args:
        objective: for the value of the evaluated schemes; the gradient follows the losses, and the penalty.
        epochs: epochs of D_train; DARTS and RARTS take 50 from scratch, here the supernet is trained already.
        weight_lr: SGD's learning rate for weights, momentum 0.9, weight decay 3e-4 (DARTS; the rate of 0.025 there is
            for weights from scratch).
        alpha_lr: Adam's learning rate for the architecture; the default 3e-3 is ours, ten times that of DARTS and of
            RARTS (3e-4), for a fifth of their epochs. Betas (0.5, 0.999) and weight decay 1e-3 are DARTS's.
        gamma: weight of the penalty (see `penalty`) beside the losses, which are in nats, in the step of the
            architecture; at least 0. 0, the default, searches for accuracy alone, whatever the objective.
    """

    needs_supernet: ClassVar[bool] = True

    def __init__(
        self,
        objective: Objective | None = None,
        epochs: int = 10,
        weight_lr: float = 0.0025,
        alpha_lr: float = 3e-3,
        gamma: float = 0.0,
    ) -> None:
        super().__init__(objective)
        if epochs < 1:
            raise UserInputError(f"epochs={epochs}: expected at least 1")
        if not 0 <= gamma < math.inf:
            raise UserInputError(f"gamma={gamma}: expected 0 or more, the weight of the penalty")
        self.epochs, self.weight_lr, self.alpha_lr, self.gamma = epochs, weight_lr, alpha_lr, gamma

    def begin(self, relaxation: Relaxation) -> Stepper:
        """Builds the optimiser of a search."""
        raise NotImplementedError(f"{type(self).__name__} has to implement begin")

    def run(self, session: Session, generator: torch.Generator) -> None:
        """Searches, then evaluates the schemes of the epochs with the least validation loss."""
        name = self.name()
        net, (train, val) = supernet_in(session.problem, name), self.loaders(session.problem)
        relaxation = Relaxation(net, generator)
        found: dict[ConnectionScheme, float] = {}
        with seeded(generator):  # loaders and dropout may draw from the global generator
            stepper, val_batches = self.begin(relaxation), _endless(val)
            for epoch in range(self.epochs):
                relaxation.val_losses.clear()
                for batch in train:
                    stepper.step(*relaxation.losses(batch, next(val_batches)))
                loss = sum(relaxation.val_losses) / max(len(relaxation.val_losses), 1)
                if not relaxation.val_losses or not math.isfinite(loss):
                    raise RunError(f"method {name!r}: epoch {epoch + 1} has no finite validation loss; lower weight_lr")
                scheme = relaxation.scheme(session.depths)
                found[scheme] = min(loss, found.get(scheme, loss))
                p = relaxation.probabilities.tolist()
                session.trace.append({"epoch": epoch, "loss": loss, "p": p, "scheme": str(scheme)})
        session.images = relaxation.images
        session.chosen = sorted(found, key=found.__getitem__)[: min(CANDIDATES, session.budget)]
        session.score(session.chosen)

    @classmethod
    def name(cls) -> str:
        """What the method is called by: its file's name."""
        return cls.__module__.rsplit(".", 1)[-1]

    def loaders(self, problem: SearchProblem) -> tuple[Iterable[Batch], Iterable[Batch]]:
        """The batches of the training loss and of the validation loss; each iteration is an epoch."""
        return loaders_in(problem, self.name())

    def penalty(self, relaxation: Relaxation) -> Loss:
        """P(a), to be kept small: the expected latency, `sum of p_l LAT_l` over blocks (thesis, 3.1.4).

        LAT_l is the measured increment of connecting block l alone, in percent of the plain network's time. Where the
        objective has no measured time, P is the mean of the soft connections p_l.
        """
        objective = self.objective
        if not isinstance(objective, TimeReward):
            return lambda: relaxation.probabilities.mean()
        latencies, blocks = relaxation.alphas.new_tensor(objective.per_block), len(relaxation.alphas)
        if len(latencies) != blocks:
            raise UserInputError(f"latencies of {len(latencies)} blocks, expected {blocks}, one a block")
        return lambda: relaxation.probabilities @ latencies

    def weight_optimizer(self, net: AttentionResNet) -> torch.optim.Optimizer:
        """Of the weights of `net`."""
        return torch.optim.SGD(net.parameters(), self.weight_lr, momentum=0.9, weight_decay=3e-4)

    def alpha_optimizer(self, relaxation: Relaxation) -> torch.optim.Optimizer:
        """Of the architecture."""
        return torch.optim.Adam([relaxation.alphas], self.alpha_lr, betas=(0.5, 0.999), weight_decay=1e-3)


def _endless(loader: Iterable[Batch]) -> Iterator[Batch]:
    """Epoch after epoch."""
    while True:
        batch = None
        for batch in loader:
            yield batch
        if batch is None:
            raise UserInputError("the validation loader is empty, expected at least one batch")

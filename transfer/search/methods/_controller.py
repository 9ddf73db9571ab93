"""The parts of EAN's search: controller, curiosity and replay buffer (EAN, Section 3.3 and appendix).

Shapes: K schemes of m blocks.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

INPUTS, HIDDEN = 20, 50
TEMPERATURE = 5.0
CURIOSITY_HIDDEN, CURIOSITY_OUTPUTS = 32, 4


class Controller(nn.Module):
    """A fully connected network on a constant zero vector; it puts out the probability of each connection.

    Because of the zero input, the first layer's weights never get a gradient: its biases play their part.

    Args:
        blocks: m.
    """

    def __init__(self, blocks: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(INPUTS, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, 2 * blocks))

    def forward(self) -> Tensor:
        """Log-probabilities (m, 2) of leaving a block plain and of connecting it."""
        logits = self.layers(torch.zeros(INPUTS)) / TEMPERATURE
        return F.log_softmax(logits.view(-1, 2), dim=1)

    def sample(self, count: int, generator: torch.Generator) -> Tensor:
        """Draws `count` schemes; bits (K, m), long."""
        with torch.no_grad():
            probabilities = self().exp()
        return torch.multinomial(probabilities, count, replacement=True, generator=generator).T.contiguous()

    def log_probabilities(self, bits: Tensor) -> Tensor:
        """log p-hat of each bit (K, m): of connecting where it is 1, of leaving plain where it is 0."""
        return self().expand(len(bits), -1, 2).gather(2, bits[..., None])[..., 0]


class Curiosity(nn.Module):
    """Random network distillation (Burda et al., ICLR 2019): how badly a predictor guesses a fixed random network.

    Args:
        blocks: m.
    """

    def __init__(self, blocks: int) -> None:
        super().__init__()
        outputs = CURIOSITY_OUTPUTS * blocks
        self.target = nn.Sequential(
            nn.Linear(blocks, CURIOSITY_HIDDEN),
            nn.ReLU(),
            nn.Linear(CURIOSITY_HIDDEN, CURIOSITY_HIDDEN),
            nn.ReLU(),
            nn.Linear(CURIOSITY_HIDDEN, outputs),
        ).requires_grad_(False)
        self.predictor = nn.Sequential(
            nn.Linear(blocks, CURIOSITY_HIDDEN), nn.ReLU(), nn.Linear(CURIOSITY_HIDDEN, outputs)
        )

    def forward(self, bits: Tensor) -> Tensor:
        """The bonus of each scheme (K,): the squared distance of both outputs."""
        return (self.target(bits.float()) - self.predictor(bits.float())).square().sum(1)


class Step(NamedTuple):
    """What the buffer keeps of a step: bits (K, m), rewards (K,), log-probabilities at that time (K, m)."""

    bits: Tensor
    rewards: Tensor
    log_probabilities: Tensor


class ReplayBuffer:
    """The last `size` steps."""

    def __init__(self, size: int = 30) -> None:
        self._steps: deque[Step] = deque(maxlen=size)

    def add(self, step: Step) -> None:
        """Appends a step; the oldest goes where there is no room."""
        self._steps.append(step)

    def draw(self, generator: torch.Generator) -> Step:
        """One of them, each as likely as the others."""
        return self._steps[int(torch.randint(len(self._steps), (), generator=generator))]


def policy_loss(log_probabilities: Tensor, advantages: Tensor) -> Tensor:
    """REINFORCE: the negative of EAN's Eq. 6, averaged over schemes. Takes (K, m) and (K,)."""
    return -(log_probabilities.sum(1) * advantages).mean()


def reuse_loss(log_probabilities: Tensor, old: Tensor, advantages: Tensor) -> Tensor:
    """EAN's Eq. 31: REINFORCE on old schemes, each block weighted by its ratio of probabilities, without a clip.

    Takes (K, m), (K, m) and (K,). The ratio is a weight: no gradient goes through it.
    """
    ratio = (log_probabilities.detach() - old).exp()
    return -((ratio * log_probabilities).sum(1) * advantages).mean()


def clipped_loss(log_probabilities: Tensor, old: Tensor, advantages: Tensor, clip: float) -> Tensor:
    """PPO's clipped surrogate (Schulman et al., 2017) for each block, summed over blocks, averaged over schemes."""
    ratio = (log_probabilities - old).exp()
    kept = ratio.clamp(1 - clip, 1 + clip)
    return -torch.minimum(ratio * advantages[:, None], kept * advantages[:, None]).sum(1).mean()


def running_mean(before: float | None, value: float, decay: float = 0.95) -> float:
    """Exponential moving average that begins with the first value."""
    return value if before is None else decay * before + (1 - decay) * value

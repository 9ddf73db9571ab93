"""Three ways to train EAN's controller: as the papers say, as the released code does, and mended.

Each is a step that samples schemes, has them evaluated and updates controller and curiosity.
"""

from __future__ import annotations

import torch
from torch import Tensor

from transfer.search.methods._controller import (
    Controller,
    Curiosity,
    ReplayBuffer,
    Step,
    clipped_loss,
    policy_loss,
    reuse_loss,
    running_mean,
)
from transfer.search.methods._random import seeded
from transfer.search.session import Session

LEARNING_RATE = 5e-2
REUSE_AFTER = 10
"""Steps before old schemes are used again (the papers' h)."""


class Variant:
    """What the variants share: networks, buffer and the note of a step.

    Args:
        session: evaluates.
        generator: of everything random.
    """

    samples: int

    def __init__(self, session: Session, generator: torch.Generator) -> None:
        self.session, self.generator = session, generator
        with seeded(generator):
            self.controller, self.curiosity = Controller(session.blocks), Curiosity(session.blocks)
        self.buffer, self.steps = ReplayBuffer(), 0

    def step(self) -> None:
        """Samples, evaluates, learns."""
        bits = self.controller.sample(self.samples, self.generator)
        self._note(bits)
        records = self.session.score_bits(bits.tolist())
        self.learn(bits, torch.tensor([record.value for record in records], dtype=torch.float64).float())
        self.steps += 1

    def learn(self, bits: Tensor, values: Tensor) -> None:
        """Updates the networks from schemes (K, m) and their values under the objective (K,)."""
        raise NotImplementedError

    def _note(self, bits: Tensor) -> None:
        with torch.no_grad():
            p_bar = self.controller.log_probabilities(bits).exp().mean().item()
        schemes = ["".join(map(str, row)) for row in bits.tolist()]
        self.session.trace.append({"step": self.steps, "p_bar": p_bar, "schemes": schemes})


def _update(optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()


class Paper(Variant):
    """As the papers say: one scheme a step, no baseline (Eq. 6), reuse without a clip (Eq. 31), SGD with momentum.

    They leave open: the momentum (here 0.9) and the weights of the rewards. Here these are the released code's, all
    divided by 100, so that accuracy is a share: without a baseline the scale of the reward is the step width.
    """

    samples = 1
    scale = 0.01

    def __init__(self, session: Session, generator: torch.Generator) -> None:
        super().__init__(session, generator)
        networks = [*self.controller.parameters(), *self.curiosity.predictor.parameters()]
        self.optimizer = torch.optim.SGD(networks, LEARNING_RATE, momentum=0.9)

    def learn(self, bits: Tensor, values: Tensor) -> None:
        """Eq. 6 and 30 for the new scheme, then Eq. 31 for an old one."""
        bonus, log_p = self.curiosity(bits), self.controller.log_probabilities(bits)
        # To the controller the bonus is a reward like any other; as a loss it is the predictor's alone.
        rewards = self.scale * (values + bonus.detach())
        self.buffer.add(Step(bits, rewards, log_p.detach()))
        _update(self.optimizer, policy_loss(log_p, rewards) + bonus.mean())
        if self.steps >= REUSE_AFTER:
            old = self.buffer.draw(self.generator)
            log_p = self.controller.log_probabilities(old.bits)
            _update(self.optimizer, reuse_loss(log_p, old.log_probabilities, old.rewards))


class Authors(Variant):
    """As the released code (gbup-group/EAN-efficient-attention-network) does, oddities included and labelled.

    Three schemes a step (one, and two that it calls validation), Adam, a moving average of the reward as baseline.
    A squashing by `2.5 tanh` is in the code but never runs, and the first drawing of the replay is thrown away: neither
    has an effect, and neither is here.
    """

    samples = 3
    base = 54.0
    clip, reuse_weight = 0.1, 0.1

    def __init__(self, session: Session, generator: torch.Generator) -> None:
        super().__init__(session, generator)
        self.controller_optimizer = torch.optim.Adam(self.controller.parameters(), LEARNING_RATE)
        self.curiosity_optimizer = torch.optim.Adam(self.curiosity.predictor.parameters(), LEARNING_RATE)
        self.baseline: float | None = None

    def learn(self, bits: Tensor, values: Tensor) -> None:
        """One step with the new schemes, one with an old step's."""
        # Oddity: a constant 54 is taken off; it cancels against the baseline.
        values = values - self.base
        # Oddity: the schemes that curiosity and buffer see are scrambled, but for the first.
        packed = scrambled(bits)
        log_p = self.controller.log_probabilities(bits)
        # Oddity: one bonus, summed over the schemes, for all of them: it tells none of them from the others.
        bonus = self.curiosity(packed).sum()
        rewards = values + bonus.detach()
        # Oddity: the buffer's rewards lack the bonus, while the baseline that they are compared with contains it.
        self.buffer.add(Step(packed, values, log_p.detach()))
        # Oddity: the baseline takes the new rewards in before they are compared with it.
        self.baseline = running_mean(self.baseline, rewards.mean().item())
        _update(self.controller_optimizer, policy_loss(log_p, rewards - self.baseline))
        _update(self.curiosity_optimizer, bonus)
        if self.steps >= REUSE_AFTER:
            self._reuse(self.buffer.draw(self.generator), self.baseline)

    def _reuse(self, old: Step, baseline: float) -> None:
        log_p = self.controller.log_probabilities(old.bits)
        # Oddity: probabilities of the true schemes against those of the scrambled ones.
        ratio = (log_p.detach() - old.log_probabilities).exp()
        advantages = old.rewards - baseline
        plain = ((ratio * log_p).sum(1) * advantages).mean()
        clipped = ((ratio.clamp(1 - self.clip, 1 + self.clip) * log_p).sum(1) * advantages).mean()
        # Oddity: the lesser of two totals, where PPO takes the lesser for each term; and no gradient goes through the
        # ratio, so that the clip bounds nothing.
        _update(self.controller_optimizer, -self.reuse_weight * torch.minimum(plain, clipped))


def scrambled(bits: Tensor) -> Tensor:
    """The released code's packing of schemes (K, m): all but the first are read in the wrong order.

    The code has them as m drawings of K - 1 bits, joins the drawings and cuts the result into K - 1 rows of m, where
    it would have to transpose.
    """
    return torch.cat((bits[:1], bits[1:].T.reshape(len(bits) - 1, -1)))


class Fixed(Variant):
    """EAN mended: the papers' rewards and reuse, with what keeps policy gradients steady. Our adaptation.

    - Schemes reach buffer and curiosity as they were sampled.
    - Each scheme has a bonus of its own, in units of its usual deviation, that counts `curiosity_weight` deviations of
      the objective.
    - The baseline of a scheme is the mean of the other schemes of its step (leave-one-out), advantages are in units of
      the objective's running deviation: the step width depends neither on the unit nor on the offset of the objective.
    - Reuse is PPO's clipped surrogate, where old values are compared with what the controller reaches today.
    """

    samples = 8
    learning_rate = 0.15
    curiosity_weight = 0.1
    baseline_decay = 0.8
    clip = 0.2
    reuses = 1

    def __init__(self, session: Session, generator: torch.Generator) -> None:
        super().__init__(session, generator)
        self.controller_optimizer = torch.optim.Adam(self.controller.parameters(), self.learning_rate)
        self.curiosity_optimizer = torch.optim.Adam(self.curiosity.predictor.parameters(), 1e-3)
        self.baseline: float | None = None
        self.value_variance: float | None = None
        self.bonus_variance: float | None = None

    def learn(self, bits: Tensor, values: Tensor) -> None:
        """One step with the new schemes, then some with old steps'."""
        bonus = self.curiosity(bits)
        self.baseline = running_mean(self.baseline, values.mean().item(), self.baseline_decay)
        self.value_variance = running_mean(self.value_variance, values.var().item())
        self.bonus_variance = running_mean(self.bonus_variance, bonus.var().item())
        advantages = _against_others(values) / (self.value_variance**0.5 + 1e-8)
        advantages += self.curiosity_weight * _against_others(bonus.detach()) / (self.bonus_variance**0.5 + 1e-8)
        _update(self.curiosity_optimizer, bonus.mean())
        log_p = self.controller.log_probabilities(bits)
        # Without the bonus: what is new today is not when the step is drawn again.
        self.buffer.add(Step(bits, values, log_p.detach()))
        _update(self.controller_optimizer, policy_loss(log_p, advantages))
        if self.steps >= REUSE_AFTER:
            for _ in range(self.reuses):
                old = self.buffer.draw(self.generator)
                self._reuse(old, (old.rewards - self.baseline) / (self.value_variance**0.5 + 1e-8))

    def _reuse(self, old: Step, advantages: Tensor) -> None:
        log_p = self.controller.log_probabilities(old.bits)
        _update(self.controller_optimizer, clipped_loss(log_p, old.log_probabilities, advantages, self.clip))


def _against_others(values: Tensor) -> Tensor:
    """Each value (K,) minus the mean of the others."""
    return (values - values.mean()) * len(values) / (len(values) - 1)


VARIANTS: dict[str, type[Variant]] = {"paper": Paper, "authors": Authors, "fixed": Fixed}

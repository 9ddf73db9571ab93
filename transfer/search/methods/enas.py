"""ENAS (Pham et al., ICML 2018) on binary connections: a recurrent controller on a fixed supernet."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from transfer.search.methods._controller import running_mean
from transfer.search.methods._random import seeded
from transfer.search.methods._steps import check_steps, counted_steps
from transfer.search.methods.base import SearchMethod
from transfer.search.objective import Objective
from transfer.search.session import Session

HIDDEN = 100
TEMPERATURE, SQUASH = 5.0, 2.5
BASELINE_DECAY = 0.95
ENTROPY_WEIGHT = 1e-4


class RecurrentController(nn.Module):
    """An LSTM that decides block after block; each decision is embedded and becomes the next input.

    Logits are `2.5 tanh(logits / 5)`, as in ENAS.

    Args:
        blocks: m.
    """

    def __init__(self, blocks: int) -> None:
        super().__init__()
        self.blocks = blocks
        self.embedding = nn.Embedding(3, HIDDEN)  # plain, connected, and the beginning
        self.cell = nn.LSTMCell(HIDDEN, HIDDEN)
        self.decision = nn.Linear(HIDDEN, 2)

    def sample(self, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """Draws a scheme: bits (m,), their log-probabilities (m,), entropies of the decisions (m,)."""
        bit, state = torch.tensor([2]), None
        bits, log_probabilities, entropies = [], [], []
        for _ in range(self.blocks):
            state = self.cell(self.embedding(bit), state)
            log_p = F.log_softmax(SQUASH * torch.tanh(self.decision(state[0]) / TEMPERATURE), dim=1)
            bit = torch.multinomial(log_p.detach().exp(), 1, generator=generator)[:, 0]
            bits.append(bit)
            log_probabilities.append(log_p[:, int(bit)])
            entropies.append(-(log_p.exp() * log_p).sum(1))
        return torch.cat(bits), torch.cat(log_probabilities), torch.cat(entropies)


class EfficientNas(SearchMethod):
    """REINFORCE on the recurrent controller; baseline, temperature and entropy as in ENAS, which EAN's authors credit.

    The supernet stays as it is, as for all methods here; ENAS trains it in turns with the controller.

    Args:
        objective: see `SearchMethod`.
        learning_rate: Adam's; 3.5e-4 in ENAS.
        steps: as in `counted_steps`; the papers' T is 1,000.
    """

    def __init__(
        self, objective: Objective | None = None, learning_rate: float = 3.5e-4, steps: int | None = None
    ) -> None:
        super().__init__(objective)
        check_steps(steps)
        self.learning_rate, self.steps = learning_rate, steps

    def run(self, session: Session, generator: torch.Generator) -> None:
        """One scheme a step."""
        with seeded(generator):
            controller = RecurrentController(session.blocks)
        optimizer = torch.optim.Adam(controller.parameters(), self.learning_rate)
        baseline: float | None = None
        for _ in counted_steps(self.steps, session):
            bits, log_p, entropy = controller.sample(generator)
            session.trace.append(
                {
                    "step": len(session.trace),
                    "p_bar": log_p.detach().exp().mean().item(),
                    "schemes": ["".join(map(str, bits.tolist()))],
                }
            )
            (record,) = session.score_bits([bits.tolist()])
            reward = record.value + ENTROPY_WEIGHT * entropy.sum().item()
            baseline = running_mean(baseline, reward, BASELINE_DECAY)
            optimizer.zero_grad()
            (-(reward - baseline) * log_p.sum()).backward()
            optimizer.step()

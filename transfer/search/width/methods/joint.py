"""Plain descent on weights and gates together."""

from __future__ import annotations

from transfer.search.width.methods._joint import Joint
from transfer.search.width.methods.base import GateMethod
from transfer.search.width.space import Space, l1


class JointWidths(GateMethod):
    """One network, one loss on all data, the gates' L1 norm: what RARTS has to beat at equal cost."""

    gradients = 1

    def begin(self, space: Space) -> Joint:
        """As the class says."""
        return Joint(space, lambda: space.gamma * l1(space.gates))

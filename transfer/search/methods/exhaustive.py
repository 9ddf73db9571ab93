"""All schemes, one after the other: the table of a small network."""

from __future__ import annotations

import itertools

import torch

from transfer.search.known_problems import all_schemes
from transfer.search.methods.base import SearchMethod
from transfer.search.session import Session

BATCH = 512


class Exhaustive(SearchMethod):
    """Every scheme in lexicographic order, as far as the budget goes; 2^12 = 4,096 for ResNet-38.

    A batch of 512 neighbours is a whole subtree of prefixes, so that cutting the table into batches costs next to
    nothing, and a kill no more than a batch.
    """

    def run(self, session: Session, generator: torch.Generator) -> None:
        """Nothing is random."""
        schemes = iter(all_schemes(session.depths))
        while batch := list(itertools.islice(schemes, BATCH)):
            session.score(batch)

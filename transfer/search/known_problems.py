"""Search problems whose optimum is known: tables of evaluated schemes, and a planted landscape of 54 blocks."""

from __future__ import annotations

import gzip
import hashlib
import itertools
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from backbones.errors import UserInputError
from backbones.files import atomic_path
from backbones.limits import TABLE, inflated
from backbones.schema import is_number
from backbones.scheme import ConnectionScheme
from transfer.search.log import read_log
from transfer.search.objective import Objective, Reward
from transfer.search.problem import Evaluation

RANGE = 3


class TableProblem:
    """Evaluated schemes as a search problem: exact, and fast enough to compare methods over many seeds.

    Args:
        table: evaluations by scheme, all of the same depths.
        settings: what the evaluations depended on.

    Raises:
        UserInputError: no scheme, or schemes of different networks.
    """

    def __init__(self, table: Mapping[ConnectionScheme, Evaluation], settings: Mapping[str, Any] | None = None) -> None:
        if not table:
            raise UserInputError("table of schemes: holds none, expected at least one")
        self.table = dict(table)
        self.depths: tuple[int, ...] = next(iter(self.table)).depths
        for scheme in self.table:
            scheme.check_depths(self.depths)
        self.settings = dict(settings or {})

    def evaluate(self, schemes: Sequence[ConnectionScheme]) -> list[Evaluation]:
        """One evaluation a scheme, in the given order; raises `UserInputError` for one that the table lacks."""
        for scheme in schemes:
            if scheme not in self.table:
                raise UserInputError(f"scheme {scheme} is not in the table of {len(self.table)} schemes")
        return [self.table[scheme] for scheme in schemes]

    def truth(self, scheme: ConnectionScheme, objective: Objective) -> float:
        """What a scheme is worth: a table is its own truth."""
        return objective(self.table[scheme], scheme)

    def optimum(self, objective: Objective) -> tuple[ConnectionScheme, float]:
        """The best scheme and its value."""
        return max(((s, objective(e, s)) for s, e in self.table.items()), key=lambda pair: pair[1])

    def save(self, path: str | Path) -> None:
        """Writes gzipped JSON: `depths`, `settings`, and `[accuracy, loss, n]` by scheme. Same table, same bytes."""
        rows = {str(s): [e.accuracy, e.loss, e.n] for s, e in sorted(self.table.items(), key=lambda i: i[0].bits)}
        content = {"depths": list(self.depths), "settings": self.settings, "schemes": rows}
        text = json.dumps(content, separators=(",", ":"))
        with atomic_path(path) as temporary:
            temporary.write_bytes(gzip.compress(text.encode(), mtime=0))

    @classmethod
    def load(cls, path: str | Path) -> TableProblem:
        """Reads what `save` wrote; raises `UserInputError` for anything else."""
        try:
            content = json.loads(inflated(Path(path), TABLE))
            depths, rows = tuple(content["depths"]), content["schemes"]
            table = {ConnectionScheme.parse(s, depths): _evaluation(row) for s, row in rows.items()}
            return cls(table, content["settings"])
        except UserInputError:
            raise
        except FileNotFoundError as error:
            raise UserInputError(f"{path}: no such file, expected a table of schemes (gzipped JSON)") from error
        except _NO_TABLE as error:
            raise UserInputError(
                f"{path}: no table of schemes (gzipped JSON): {error}; expected what an exhaustive search wrote, copy "
                "it "
                "again"
            ) from error

    @classmethod
    def from_log(cls, path: str | Path) -> TableProblem:
        """The table of everything that a search's log holds."""
        lines = read_log(path)
        if not lines:
            raise UserInputError(f"{path}: the log holds no evaluation")
        settings = {**lines[0].settings, "supernet_sha256": lines[0].supernet_sha256}
        table = {line.scheme: line.evaluation for line in lines}
        return cls(table, settings)


_NO_TABLE = (OSError, EOFError, ValueError, KeyError, TypeError, AttributeError, StopIteration, RecursionError)


def _evaluation(row: Sequence[Any]) -> Evaluation:
    if len(row) != 3 or not all(map(is_number, row)):
        raise ValueError(f"{str(row)[:60]} is no evaluation, expected accuracy, loss and n")
    accuracy, loss, n = row
    return Evaluation(accuracy, loss, n)


class PlantedLandscape:
    """A formula with a known optimum, for schemes too long to try all.

    With x_i = +1 where block i is connected and -1 where it is not, the accuracy in percent is

        accuracy(x) = 70 + s * [sum_i h_i x_i + c * sum_{0 < j-i <= 3} J_ij x_i x_j] + noise * e(x)

    h and J are standard normal numbers from `seed`, so blocks contradict each other; c makes the pairs hold the share
    `pairs` of the variance, s makes the standard deviation over all schemes `spread`. e(x) is standard normal too,
    but fixed: it follows from the scheme and the seed, as a validation set's noise does. Interactions reach three
    blocks, so that dynamic programming over the last three bits finds the exact optimum of the noiseless formula.
    The loss is `-log(accuracy / 100)`.

    Args:
        depths: blocks of each stage; default those of ResNet-164.
        seed: of the coefficients and the noise.
        spread: standard deviation of the noiseless accuracy over all schemes, in percent.
        noise: standard deviation of the noise, in percent.
        pairs: share of the noiseless variance that interactions hold.
    """

    def __init__(
        self,
        depths: Sequence[int] = (18, 18, 18),
        seed: int = 0,
        *,
        spread: float = 1.0,
        noise: float = 0.2,
        pairs: float = 0.4,
    ) -> None:
        self.depths: tuple[int, ...] = tuple(depths)
        self.settings = {"landscape": "planted", "seed": seed, "spread": spread, "noise": noise, "pairs": pairs}
        self.seed, self.noise = seed, noise
        m, generator = sum(depths), np.random.default_rng((seed, 0x9A7D))
        main, interactions = generator.standard_normal(m), generator.standard_normal((m, m))
        distance = np.arange(m)[None] - np.arange(m)[:, None]
        interactions[(distance < 1) | (distance > RANGE)] = 0
        # The x_i and x_i x_j are uncorrelated over all schemes: variances are sums of squares.
        self.main = main * spread * math.sqrt(1 - pairs) / np.linalg.norm(main)
        self.interactions = interactions * spread * math.sqrt(pairs) / max(float(np.linalg.norm(interactions)), 1e-12)

    def clean(self, scheme: ConnectionScheme) -> float:
        """The accuracy without noise."""
        x = 2.0 * np.array(scheme.bits) - 1
        return float(70 + self.main @ x + x @ self.interactions @ x)

    def evaluate(self, schemes: Sequence[ConnectionScheme]) -> list[Evaluation]:
        """One evaluation a scheme, in the given order; `n` is 10,000, though there are no images."""
        return [self._evaluation(self.clean(s) + self.noise * self._noise(s)) for s in schemes]

    def truth(self, scheme: ConnectionScheme, objective: Objective) -> float:
        """What a scheme is worth without noise."""
        return objective(self._evaluation(self.clean(scheme)), scheme)

    def optimum(self, objective: Objective) -> tuple[ConnectionScheme, float]:
        """The best noiseless scheme and its value, for a `Reward` without a loss (else `UserInputError`)."""
        if not isinstance(objective, Reward) or objective.loss_weight:
            raise UserInputError("the planted optimum is known for Reward(lambda1, lambda2) without a loss only")
        price = objective.lambda1 / sum(self.depths)
        bits = self._best_bits(objective.lambda2, price)
        scheme = ConnectionScheme.from_bits(bits, self.depths)
        return scheme, self.truth(scheme, objective)

    def _best_bits(self, weight: float, price: float) -> tuple[int, ...]:
        """Maximises `weight * accuracy - price * connected`, block by block; a state is the last three bits."""
        best: dict[tuple[int, ...], tuple[float, tuple[int, ...]]] = {(): (0.0, ())}
        for i in range(sum(self.depths)):
            following: dict[tuple[int, ...], tuple[float, tuple[int, ...]]] = {}
            for (state, (value, bits)), bit in itertools.product(best.items(), (0, 1)):
                gain = weight * self._gain(i, state, bit) - price * bit
                reached, tail = value + gain, (*state, bit)[-RANGE:]
                if tail not in following or reached > following[tail][0]:
                    following[tail] = (reached, (*bits, bit))
            best = following
        return max(best.values())[1]

    def _gain(self, i: int, state: tuple[int, ...], bit: int) -> float:
        """The terms of block i with itself and with the blocks before it, whose bits `state` ends with."""
        before = range(i - len(state), i)
        pairs = sum(self.interactions[j, i] * (2 * b - 1) for j, b in zip(before, state, strict=True))
        return float((self.main[i] + pairs) * (2 * bit - 1))

    def _noise(self, scheme: ConnectionScheme) -> float:
        """A standard normal number that follows from seed and scheme, by the Box-Muller transform of a hash."""
        digest = hashlib.sha256(f"{self.seed}:{scheme}".encode()).digest()
        u, v = ((int.from_bytes(digest[k : k + 8], "big") + 1) / (2**64 + 1) for k in (0, 8))
        return math.sqrt(-2 * math.log(u)) * math.cos(2 * math.pi * v)

    @staticmethod
    def _evaluation(accuracy: float) -> Evaluation:
        accuracy = min(max(accuracy, 1e-6), 100.0)
        return Evaluation(accuracy, -math.log(accuracy / 100), 10_000)


def all_schemes(depths: Sequence[int]) -> Iterable[ConnectionScheme]:
    """Every scheme of a network, in lexicographic order: neighbours share long prefixes."""
    return (ConnectionScheme.from_bits(bits, depths) for bits in itertools.product((0, 1), repeat=sum(depths)))

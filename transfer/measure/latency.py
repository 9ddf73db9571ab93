"""What connecting each block costs in time on this machine: the table behind the objective of measured time.

`transfer.measure.stopwatch` measures it; imports no torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from backbones.errors import UserInputError
from backbones.schema import load_json, read, write
from backbones.scheme import ConnectionScheme
from transfer.measure.timing import Timing

LATENCY = "latency.json"
FORMAT = 1


@dataclass(frozen=True)
class Increment:
    """Inference-time increment over the plain network, `(t_att - t_org) / t_org` (EAN, Eq. 7), in percent.

    Attributes:
        increment_percent: from the median ratio of paired measurements.
        ci95: its 95 % interval, in percent.
    """

    increment_percent: float
    ci95: tuple[float, float]

    @property
    def percent(self) -> float:
        """The increment, in percent."""
        return self.increment_percent

    def as_dict(self) -> dict[str, Any]:
        """Keys as in the rows of `tools/benchmark.py increment`."""
        return write(self)


@dataclass(frozen=True)
class _Scheme:
    scheme: ConnectionScheme
    increment_percent: float
    ci95: tuple[float, float]
    sum: float
    error: float


@dataclass(frozen=True)
class _Additivity:
    mean_absolute_error: float
    schemes: tuple[_Scheme, ...]


@dataclass(frozen=True)
class _Written:
    """A table as its file has it; what follows from others (sums, errors) stands beside them for the reader."""

    network: Mapping[str, Any]
    timing: Timing
    ms_per_image: float
    blocks: tuple[Increment, ...]
    additivity: _Additivity
    machine: Mapping[str, Any]


@dataclass(frozen=True)
class LatencyTable:
    """Time increment of each block connected alone, and how far their sums are from whole schemes.

    Attributes:
        network: what was timed, in plain values: `arch`, `attention`, `attention_args`, `sharing`, `size` (C, H, W).
        timing: how.
        ms_per_image: of the plain network (median).
        blocks: an increment for each block, in network order.
        schemes: increments of whole schemes, all connected among them, to hold the sums against.
        machine: where.
    """

    network: Mapping[str, Any]
    timing: Timing
    ms_per_image: float
    blocks: tuple[Increment, ...]
    schemes: Mapping[ConnectionScheme, Increment]
    machine: Mapping[str, Any]

    @property
    def per_block(self) -> tuple[float, ...]:
        """Increments in percent."""
        return tuple(block.percent for block in self.blocks)

    def expected(self, scheme: ConnectionScheme) -> float:
        """The sum over a scheme's connected blocks, in percent."""
        return sum(cost for cost, bit in zip(self.per_block, scheme.bits, strict=True) if bit)

    def error(self, scheme: ConnectionScheme) -> float:
        """Measured increment of a scheme less the sum of its blocks, in percentage points."""
        return self.schemes[scheme].percent - self.expected(scheme)

    @property
    def mean_error(self) -> float:
        """Mean absolute `error`."""
        return sum(abs(self.error(scheme)) for scheme in self.schemes) / len(self.schemes)

    def __str__(self) -> str:
        full = max(self.schemes, key=lambda scheme: scheme.connected)
        measured = self.schemes[full]
        return (
            f"all {full.total} blocks connected take {measured.percent:+.2f} % of time (95 % interval "
            f"{measured.ci95[0]:+.2f} to {measured.ci95[1]:+.2f}), their sum is {self.expected(full):+.2f} %; "
            f"mean error of sums over {len(self.schemes)} schemes: {self.mean_error:.2f} points"
        )

    def as_dict(self) -> dict[str, Any]:
        """Plain values."""
        schemes = tuple(
            _Scheme(scheme, increment.percent, increment.ci95, self.expected(scheme), self.error(scheme))
            for scheme, increment in self.schemes.items()
        )
        written = _Written(
            network=self.network,
            timing=self.timing,
            ms_per_image=self.ms_per_image,
            blocks=self.blocks,
            additivity=_Additivity(self.mean_error, schemes),
            machine=self.machine,
        )
        return {"format": FORMAT, **write(written)}

    @classmethod
    def read(cls, path: str | Path) -> LatencyTable:
        """Reads what `as_dict` gave, as JSON.

        Raises:
            UserInputError: no such file, or no such table.
        """
        path, mend = Path(path), f"expected a latency table such as a search's {LATENCY}"
        written = read(_Written, load_json(path, missing=mend, mend=mend, form=FORMAT), path, mend=mend)
        return cls(
            network=written.network,
            timing=written.timing,
            ms_per_image=written.ms_per_image,
            blocks=written.blocks,
            schemes={row.scheme: Increment(row.increment_percent, row.ci95) for row in written.additivity.schemes},
            machine=written.machine,
        )

    def check_network(self, network: Mapping[str, Any], path: str | Path) -> None:
        """Raises `UserInputError` if the table is of another network than `network`."""
        for key, value in network.items():
            if self.network.get(key) != value:
                raise UserInputError(
                    f"{path}: times of another network: {key} is {self.network.get(key)!r} there and {value!r} in this "
                    "search; leave search.objective.latency out to measure anew"
                )

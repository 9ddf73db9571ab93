"""What connecting each block costs in time on this machine: the table behind the objective of measured time.

`transfer.measure.stopwatch` measures it; imports no torch.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from backbones.errors import UserInputError
from backbones.scheme import ConnectionScheme
from transfer.measure.timing import Timing

LATENCY = "latency.json"
FORMAT = 1


@dataclass(frozen=True)
class Increment:
    """Inference-time increment over the plain network, `(t_att - t_org) / t_org` (EAN, Eq. 7), in percent.

    Attributes:
        percent: from the median ratio of paired measurements.
        ci95: its 95 % interval, in percent.
    """

    percent: float
    ci95: tuple[float, float]

    def as_dict(self) -> dict[str, Any]:
        """Keys as in the rows of `tools/benchmark.py increment`."""
        return {"increment_percent": self.percent, "ci95": list(self.ci95)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Increment:
        """The opposite of `as_dict`."""
        low, high = map(float, values["ci95"])
        found = cls(float(values["increment_percent"]), (low, high))
        if not all(map(math.isfinite, (found.percent, low, high))):
            raise ValueError("an increment is not finite")
        return found


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
        """Plain values; what follows from others (sums, errors) stands beside them for the reader."""
        rows = [
            {"scheme": str(scheme), **increment.as_dict(), "sum": self.expected(scheme), "error": self.error(scheme)}
            for scheme, increment in self.schemes.items()
        ]
        return {
            "format": FORMAT,
            "network": dict(self.network),
            "timing": asdict(self.timing),
            "ms_per_image": self.ms_per_image,
            "blocks": [block.as_dict() for block in self.blocks],
            "additivity": {"mean_absolute_error": self.mean_error, "schemes": rows},
            "machine": dict(self.machine),
        }

    @classmethod
    def read(cls, path: str | Path) -> LatencyTable:
        """Reads what `as_dict` gave, as JSON.

        Raises:
            UserInputError: no such file, or no such table.
        """
        path = Path(path)
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
            if values["format"] != FORMAT:
                raise ValueError(f"format {values['format']}, expected {FORMAT}")
            return cls(
                network=dict(values["network"]),
                timing=Timing(**values["timing"]),
                ms_per_image=float(values["ms_per_image"]),
                blocks=tuple(Increment.from_dict(row) for row in values["blocks"]),
                schemes={
                    ConnectionScheme.parse(row["scheme"]): Increment.from_dict(row)
                    for row in values["additivity"]["schemes"]
                },
                machine=dict(values["machine"]),
            )
        except OSError as error:
            raise UserInputError(
                f"{path}: cannot be read ({error.strerror}), expected a latency table such as a search's {LATENCY}"
            ) from error
        except (KeyError, TypeError, ValueError) as error:
            what = f"no {error}" if isinstance(error, KeyError) else error
            raise UserInputError(f"{path}: no latency table: {what}; expected a search's {LATENCY}") from error

    def check_network(self, network: Mapping[str, Any], path: str | Path) -> None:
        """Raises `UserInputError` if the table is of another network than `network`."""
        for key, value in network.items():
            if self.network.get(key) != value:
                raise UserInputError(
                    f"{path}: times of another network: {key} is {self.network.get(key)!r} there and {value!r} in this "
                    "search; leave search.objective.latency out to measure anew"
                )

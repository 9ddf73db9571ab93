"""Connection schemes: which residual blocks are connected to a self-attention module."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from backbones.errors import UserInputError

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class ConnectionScheme:
    """One bit a residual block, in network order, grouped by stage; 1 = connected (EAN, Eq. 1: `a_l`).

    Hashable and comparable. Written with a dot between stages: `100.1011.010011.011`.

    >>> scheme = ConnectionScheme.from_codes((4, 11, 19, 3), depths=(3, 4, 6, 3))
    >>> str(scheme), scheme.connected, scheme.codes
    ('100.1011.010011.011', 9, (4, 11, 19, 3))
    """

    stages: tuple[tuple[int, ...], ...]

    def __post_init__(self) -> None:
        stages = tuple(tuple(int(bit) for bit in stage) for stage in self.stages)
        if not stages or not all(stages):
            raise UserInputError("connection scheme: every stage needs at least one block, got an empty one")
        for number, stage in enumerate(stages, 1):
            if any(bit not in (0, 1) for bit in stage):
                raise UserInputError(f"connection scheme: stage {number} holds {stage}, expected only 0 and 1")
        object.__setattr__(self, "stages", stages)

    @classmethod
    def parse(cls, text: str, depths: Sequence[int] | None = None) -> ConnectionScheme:
        """Reads `"100.1011.010011.011"`, or the same without dots when `depths` says where stages end.

        Raises:
            UserInputError: other characters than 0, 1 and dots; a stage whose length is not its depth.
        """
        text = text.strip()
        if not text or set(text) - set("01."):
            raise UserInputError(f"connection scheme {text!r}: expected 0 and 1, with a dot between stages")
        if "." not in text and depths is not None:
            return cls.from_bits([int(bit) for bit in text], depths)
        scheme = cls(tuple(tuple(int(bit) for bit in stage) for stage in text.split(".")))
        return scheme if depths is None else scheme.check_depths(depths)

    @classmethod
    def from_bits(cls, bits: Iterable[int], depths: Sequence[int]) -> ConnectionScheme:
        """Cuts a flat sequence of `sum(depths)` bits into stages."""
        bits = tuple(bits)
        if len(bits) != sum(depths):
            raise UserInputError(
                f"connection scheme of {len(bits)} bits: stages of {_dotted(depths)} blocks need {sum(depths)} bits"
            )
        ends = [sum(depths[: stage + 1]) for stage in range(len(depths))]
        return cls(tuple(bits[end - depth : end] for end, depth in zip(ends, depths, strict=True)))

    @classmethod
    def from_codes(cls, codes: Sequence[int], depths: Sequence[int]) -> ConnectionScheme:
        """Reads the authors' integers, one a stage: the first block is the highest bit."""
        if len(codes) != len(depths):
            raise UserInputError(
                f"connection scheme: {len(codes)} codes for {len(depths)} stages, expected one a stage"
            )
        for stage, (code, depth) in enumerate(zip(codes, depths, strict=True), 1):
            if not 0 <= code < 2**depth:
                raise UserInputError(
                    f"connection scheme: code {code} of stage {stage} does not fit its {depth} blocks, "
                    f"expected 0 to {2**depth - 1}"
                )
        return cls(tuple(tuple(int(b) for b in f"{c:0{d}b}") for c, d in zip(codes, depths, strict=True)))

    @classmethod
    def full(cls, depths: Sequence[int]) -> ConnectionScheme:
        """Every block connected (Full-SA, Full-Share)."""
        return cls(tuple((1,) * depth for depth in depths))

    @classmethod
    def empty(cls, depths: Sequence[int]) -> ConnectionScheme:
        """No block connected: the plain network."""
        return cls(tuple((0,) * depth for depth in depths))

    @classmethod
    def random(
        cls, depths: Sequence[int], beta: float = 0.5, generator: torch.Generator | None = None
    ) -> ConnectionScheme:
        """Independent Bernoulli(`beta`) bits (EAN, Algorithm 1), from `generator` or torch's global one."""
        import torch

        if not 0 <= beta <= 1:
            raise UserInputError(f"connection probability beta={beta}: expected a number from 0 to 1")
        draws = torch.rand(sum(depths), generator=generator)
        return cls.from_bits((draws < beta).int().tolist(), depths)

    def check_depths(self, depths: Sequence[int]) -> ConnectionScheme:
        """Returns itself if its stages have `depths` blocks; else raises `UserInputError` that names the stage."""
        if len(self.stages) != len(depths):
            raise UserInputError(
                f"connection scheme {self}: {len(self.stages)} stages, expected {len(depths)} ({_dotted(depths)})"
            )
        for number, (stage, depth) in enumerate(zip(self.stages, depths, strict=True), 1):
            if len(stage) != depth:
                raise UserInputError(
                    f"connection scheme {self}: stage {number} has {len(stage)} bits, expected {depth}, one a block"
                )
        return self

    @property
    def bits(self) -> tuple[int, ...]:
        """All bits in network order."""
        return tuple(bit for stage in self.stages for bit in stage)

    @property
    def depths(self) -> tuple[int, ...]:
        """Blocks of each stage."""
        return tuple(len(stage) for stage in self.stages)

    @property
    def codes(self) -> tuple[int, ...]:
        """The authors' integers, one a stage, first block = highest bit."""
        return tuple(int("".join(map(str, stage)), 2) for stage in self.stages)

    @property
    def connected(self) -> int:
        """Number of connected blocks."""
        return sum(self.bits)

    @property
    def total(self) -> int:
        """Number of blocks, the papers' m."""
        return len(self.bits)

    @property
    def ratio(self) -> float:
        """Share of connected blocks, 0 to 1."""
        return self.connected / self.total

    @property
    def sparsity(self) -> float:
        """Share of blocks left plain, 0 to 1 (EAN, sparsity reward: `1 - |a|_0 / m`)."""
        return 1 - self.ratio

    @property
    def squares(self) -> tuple[str, ...]:
        """Drawn, a text for each stage and a square for each block: filled where it is connected.

        >>> ConnectionScheme.parse("100.1011").squares
        ('■□□', '■□■■')
        """
        return tuple("".join("■" if bit else "□" for bit in stage) for stage in self.stages)

    def complement(self) -> ConnectionScheme:
        """Connects exactly the blocks that this scheme leaves plain."""
        return ConnectionScheme(tuple(tuple(1 - bit for bit in stage) for stage in self.stages))

    def __str__(self) -> str:
        return ".".join("".join(map(str, stage)) for stage in self.stages)


def _dotted(depths: Sequence[int]) -> str:
    return ".".join(map(str, depths))

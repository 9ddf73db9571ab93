"""Width plans: how many channels are left inside each block of a network. No torch."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from backbones.errors import UserInputError

_BLOCK = re.compile(r"(\d{1,6}(?:x\d{1,6})*)(?:\*(\d{1,4}))?")

_Stages = Sequence[Sequence[Sequence[int]]]


@dataclass(frozen=True)
class WidthPlan:
    """Channels left inside each block, in network order: by stage, by block, by place between two convolutions.

    Two places in a bottleneck, one in a basic block and in one of MobileNetV2; what a block puts out stays as wide as
    it is. Hashable and comparable. Written with `x` between places, a comma between blocks, a dot between stages, and
    `*n` behind n equal blocks:

    >>> plan = WidthPlan((((12, 16), (9, 14)), ((32, 32), (32, 32), (30, 31))))
    >>> str(plan), plan.channels
    ('12x16,9x14.32x32*2,30x31', 240)
    >>> WidthPlan.parse(str(plan)) == plan
    True
    """

    stages: tuple[tuple[tuple[int, ...], ...], ...]

    def __post_init__(self) -> None:
        stages = tuple(tuple(tuple(map(int, block)) for block in stage) for stage in self.stages)
        if not stages or not all(stages) or not all(block for stage in stages for block in stage):
            raise UserInputError("width plan: every stage needs at least one block, and every block a width")
        for stage, block, widths in _numbered(stages):
            if min(widths) < 1:
                raise UserInputError(
                    f"width plan: block {block} of stage {stage} has {_written(widths)} channels, expected at least 1 "
                    "at each place: a block without channels computes nothing"
                )
        object.__setattr__(self, "stages", stages)

    @classmethod
    def parse(cls, text: str, full: _Stages | None = None) -> WidthPlan:
        """Reads `"12x16,9x14.32x32*2"`.

        Args:
            text: see above.
            full: the inner widths of the network that it is for, which it is then compared with.

        Raises:
            UserInputError: other text, or a plan that does not fit.
        """
        plan = cls(tuple(tuple(_read_stage(stage, text)) for stage in text.strip().split(".")))
        return plan if full is None else plan.check(full)

    @classmethod
    def full(cls, inner: _Stages) -> WidthPlan:
        """All channels: `ArchSpec.inner` as a plan."""
        return cls(tuple(tuple(tuple(block) for block in stage) for stage in inner))

    @classmethod
    def uniform(cls, ratio: float, inner: _Stages) -> WidthPlan:
        """The same share of channels everywhere, rounded, at least one of them.

        Args:
            ratio: what is left, above 0 to 1.
            inner: the inner widths at full width.
        """
        if not 0 < ratio <= 1:
            raise UserInputError(f"width plan: ratio={ratio}, expected a number above 0, up to 1")
        kept = [[[max(1, round(ratio * width)) for width in block] for block in stage] for stage in inner]
        return cls.full(kept)

    def check(self, full: _Stages) -> WidthPlan:
        """Returns itself if it is one of a network with the inner widths `full`; else raises `UserInputError`."""
        mine, theirs = [len(stage) for stage in self.stages], [len(stage) for stage in full]
        if mine != theirs:
            raise UserInputError(
                f"width plan {self.short}: stages of {_dotted(mine)} blocks, expected {_dotted(theirs)}: it is one of "
                "another architecture"
            )
        for (stage, block, widths), (*_, most) in zip(_numbered(self.stages), _numbered(full), strict=True):
            if len(widths) != len(most) or any(width > limit for width, limit in zip(widths, most, strict=True)):
                raise UserInputError(
                    f"width plan {self.short}: block {block} of stage {stage} has {_written(widths)}, expected "
                    f"{_written(most)} at most"
                )
        return self

    def kept(self, full: _Stages) -> float:
        """Share of the channels that are left, 0 to 1, of those of the inner widths `full`."""
        return self.channels / WidthPlan.full(full).channels

    @property
    def channels(self) -> int:
        """All that are left."""
        return sum(width for stage in self.stages for block in stage for width in block)

    @property
    def short(self) -> str:
        """As text, its middle left out where it is long."""
        text = str(self)
        return text if len(text) <= 60 else f"{text[:28]}...{text[-28:]}"

    def __str__(self) -> str:
        return ".".join(",".join(map(_run, groupby(stage))) for stage in self.stages)  # type: ignore[arg-type]


def _read_stage(text: str, plan: str) -> list[tuple[int, ...]]:
    blocks: list[tuple[int, ...]] = []
    for part in text.split(","):
        found = _BLOCK.fullmatch(part.strip())
        if found is None:
            shown = plan if len(plan) <= 60 else f"{plan[:60]}..."
            raise UserInputError(
                f"width plan {shown!r}: {part!r} is no block, expected widths such as 12x16 or 12x16*3, with a comma "
                "between blocks and a dot between stages"
            )
        blocks += [tuple(map(int, found[1].split("x")))] * int(found[2] or 1)
    return blocks


def _run(group: tuple[tuple[int, ...], Sequence[tuple[int, ...]]]) -> str:
    widths, times = group[0], len(list(group[1]))
    return _written(widths) + (f"*{times}" if times > 1 else "")


def _written(widths: Sequence[int]) -> str:
    return "x".join(map(str, widths))


def _dotted(depths: Sequence[int]) -> str:
    return ".".join(map(str, depths))


def _numbered(stages: _Stages) -> list[tuple[int, int, Sequence[int]]]:
    """Stage and block, from 1, and the widths of each block."""
    return [(s, b, widths) for s, stage in enumerate(stages, 1) for b, widths in enumerate(stage, 1)]

"""What the attention modules of a network answer for one image, block by block."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from backbones.attention import Attention
from backbones.trunk import Trunk

Floats = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Gate:
    """The mask by which a block's SAM multiplies the residual (C, h, w) of one image.

    Attributes:
        channels: (C,) its mean over space: SE's and DIA's very answer.
        space: (h, w) its mean over channels; None where it is the same everywhere in space.
        low: its least value.
        high: its greatest value.
    """

    channels: Floats
    space: Floats | None
    low: float
    high: float

    @property
    def mean(self) -> float:
        """Over channels and space."""
        return float(self.channels.mean())

    @property
    def spread(self) -> float:
        """Standard deviation over channels of the mean over space."""
        return float(self.channels.std())


@dataclass(frozen=True, eq=False)
class BlockGate:
    """A block, and the answer of its SAM.

    Attributes:
        block: its name, such as `layer3.4`, counted from 0.
        stage: 1-based.
        connected: whether the scheme connects it to a SAM.
        gate: None where it is not connected, or where the SAM answers a map instead of a mask (timm's layers).
    """

    block: str
    stage: int
    connected: bool
    gate: Gate | None


@contextmanager
def recorded_gates(net: Trunk) -> Iterator[list[BlockGate]]:
    """A list that the next forward of the network fills: one entry per block, in network order; one image only."""
    found: list[BlockGate] = []
    answers: dict[str, Gate] = {}
    running: list[str] = []

    def enter(name: str) -> Any:
        return lambda block, args: running.append(name)

    def ask(sam: Any, args: tuple[Any, ...]) -> None:
        residual_NCHW, _, state, *_ = args
        if has_gate(sam):
            with torch.no_grad():
                answers[running[-1]] = read_gate(sam.gate(residual_NCHW, state)[0])

    with ExitStack() as hooks:
        for name, _, _ in _blocks(net):
            hooks.callback(net.get_submodule(name).register_forward_pre_hook(enter(name)).remove)
        for sam in [module for module in net.modules() if isinstance(module, Attention)]:
            hooks.callback(sam.register_forward_pre_hook(ask).remove)
        yield found
    found += [BlockGate(name, stage, bit, answers.get(name)) for name, stage, bit in _blocks(net)]


def has_gate(sam: Attention) -> bool:
    """Whether a SAM answers a mask; one that overrides `merge` alone answers the recalibrated map itself."""
    return type(sam).gate is not Attention.gate


def read_gate(mask_1CHW: Tensor) -> Gate:
    """From a SAM's answer for one image, (1, C, h, w) or (1, C, 1, 1)."""
    (mask_CHW,) = mask_1CHW.detach().float().cpu()
    varies = mask_CHW.shape[1:] != (1, 1)
    return Gate(
        channels=mask_CHW.mean((1, 2)).numpy(),
        space=mask_CHW.mean(0).numpy() if varies else None,
        low=float(mask_CHW.min()),
        high=float(mask_CHW.max()),
    )


def _blocks(net: Trunk) -> list[tuple[str, int, bool]]:
    """Name, 1-based stage and whether it is connected, of every block that is built."""
    return [
        (f"layer{stage}.{block}", stage, bool(bit))
        for stage, bits in enumerate(net.scheme.stages[: net.stages_built], 1)
        for block, bit in enumerate(bits)
    ]

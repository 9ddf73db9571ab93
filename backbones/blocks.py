"""The residual blocks, with torchvision's parameter names, and the stages that run them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from torch import Tensor, nn

from backbones.attention import Attention, State
from backbones.recompute import checkpointed


class Connection:
    """What plugs a SAM into one block for one forward: the module, its soft weight, the state it finds and leaves.

    The state travels here and not in the block's output, so that hooks on a block see its feature map alone. It is a
    plain class, because FSDP hands copies of dataclasses and containers to the modules that it wraps. What the SAM
    leaves is kept apart from what it found, because activation checkpointing runs a block twice.

    Args:
        attention: the SAM.
        weight: scalar tensor in [0, 1], see `Attention.merge`; None is a hard connection.
        state: what the stage's last connected block left, None at the first.
    """

    def __init__(self, attention: Attention, weight: Tensor | None = None, state: State = None) -> None:
        self.attention, self.weight = attention, weight
        self.state, self.next_state = state, state


class Place(NamedTuple):
    """Where channels are inside a block and nowhere else, by modules' names; see `backbones.sites`.

    Attributes:
        producer: the convolution that puts the channels out.
        carried: what takes each channel by itself on its way: normalisation, a depthwise convolution.
        consumer: the convolution that mixes them.
    """

    producer: str
    carried: tuple[str, ...]
    consumer: str


class Block(nn.Module):
    """A residual block, plain or with a SAM between its residual and its last addition.

    Attributes:
        places: see `Place`; as many as the block has inner widths.
    """

    places: tuple[Place, ...]
    downsample: nn.Module | None

    def residual(self, x_NCHW: Tensor) -> Tensor:
        """What the convolutions put out, and attention recalibrates."""
        raise NotImplementedError

    def shortcut(self, x_NCHW: Tensor) -> Tensor:
        """The input itself, or its 1x1 projection."""
        return x_NCHW if self.downsample is None else self.downsample(x_NCHW)

    @property
    def norm_after(self) -> nn.Module | None:
        """The normalisation in `activate`, whose statistics depend on the block's own connection."""
        return None

    def activate(self, sum_NCHW: Tensor) -> Tensor:
        """What follows the addition, in place: ReLU."""
        return sum_NCHW.relu_()

    def connect(
        self, sam: Attention, residual_NCHW: Tensor, shortcut_NCHW: Tensor, state: State, weight: Tensor | None = None
    ) -> tuple[Tensor, State]:
        """The block's output with a SAM, and the SAM's next state; see `Attention.merge`."""
        return sam(residual_NCHW, shortcut_NCHW, state, weight)

    def forward(self, x_NCHW: Tensor, *, connection: Connection | None = None, recompute: bool = False) -> Tensor:
        """`relu(shortcut + residual)`, the residual recalibrated where there is a connection.

        Args:
            x_NCHW: the map of the block before.
            connection: the SAM and its state; what the SAM leaves is put into it.
            recompute: work activations out anew in the backward pass instead of keeping them.
        """
        sam = None if connection is None else connection.attention
        run = checkpointed(self._run, self, sam) if recompute else self._run
        if connection is None:
            return run(x_NCHW)[0]
        x_NCHW, connection.next_state = run(x_NCHW, sam, connection.state, connection.weight)
        return x_NCHW

    def _run(
        self, x_NCHW: Tensor, sam: Attention | None = None, state: State = None, weight: Tensor | None = None
    ) -> tuple[Tensor, State]:
        if sam is None:
            return self.activate(self.residual(x_NCHW).add_(self.shortcut(x_NCHW))), state
        return self.connect(sam, self.residual(x_NCHW), self.shortcut(x_NCHW), state, weight)


class Stage(nn.Sequential):
    """The blocks of one stage, one after the other; a recurrent SAM begins anew in each."""

    def forward(
        self,
        x_NCHW: Tensor,
        *,
        connections: Sequence[tuple[Attention, Tensor | None] | None] | None = None,
        recompute: bool = False,
    ) -> Tensor:
        """Runs the blocks.

        Args:
            x_NCHW: the map of the stage before.
            connections: SAM and soft weight of each block, None for a plain one; default all plain.
            recompute: see `Block.forward`.
        """
        state: State = None
        for block, plugged in zip(self, connections or [None] * len(self), strict=True):
            connection = None if plugged is None else Connection(*plugged, state)
            x_NCHW = block(x_NCHW, connection=connection, recompute=recompute)
            state = state if connection is None else connection.next_state
        return x_NCHW


class BasicBlock(Block):
    """3x3 (stride here), 3x3."""

    places = (Place("conv1", ("bn1",), "conv2"),)

    def __init__(
        self,
        in_channels: int,
        channels: int,
        inner: Sequence[int],
        *,
        stride: int = 1,
        dilations: tuple[int, int] = (1, 1),
        bias: bool = False,
    ) -> None:
        super().__init__()
        (width,) = inner
        self.conv1 = conv3x3(in_channels, width, stride=stride, dilation=dilations[0], bias=bias)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = conv3x3(width, channels, dilation=dilations[1], bias=bias)
        self.bn2 = nn.BatchNorm2d(channels)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = projection(in_channels, channels, stride, bias)

    def residual(self, x_NCHW: Tensor) -> Tensor:
        x = self.relu(self.bn1(self.conv1(x_NCHW)))
        return self.bn2(self.conv2(x))


class Bottleneck(Block):
    """1x1, 3x3 (stride here), 1x1 to four times the full width."""

    places = (Place("conv1", ("bn1",), "conv2"), Place("conv2", ("bn2",), "conv3"))

    def __init__(
        self,
        in_channels: int,
        channels: int,
        inner: Sequence[int],
        *,
        stride: int = 1,
        dilations: tuple[int, int] = (1, 1),
        bias: bool = False,
    ) -> None:
        super().__init__()
        first, second = inner
        self.conv1 = nn.Conv2d(in_channels, first, 1, bias=bias)
        self.bn1 = nn.BatchNorm2d(first)
        self.conv2 = conv3x3(first, second, stride=stride, dilation=dilations[0], bias=bias)
        self.bn2 = nn.BatchNorm2d(second)
        self.conv3 = nn.Conv2d(second, channels, 1, bias=bias)
        self.bn3 = nn.BatchNorm2d(channels)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = projection(in_channels, channels, stride, bias)

    def residual(self, x_NCHW: Tensor) -> Tensor:
        x = self.relu(self.bn1(self.conv1(x_NCHW)))
        x = self.relu(self.bn2(self.conv2(x)))
        return self.bn3(self.conv3(x))


BLOCKS: dict[str, type[BasicBlock] | type[Bottleneck]] = {"basic": BasicBlock, "bottleneck": Bottleneck}


def conv3x3(in_channels: int, channels: int, *, stride: int = 1, dilation: int = 1, bias: bool = False) -> nn.Conv2d:
    """3x3 convolution that keeps the size at stride 1."""
    return nn.Conv2d(in_channels, channels, 3, stride=stride, padding=dilation, dilation=dilation, bias=bias)


def projection(in_channels: int, channels: int, stride: int, bias: bool) -> nn.Sequential | None:
    """The shortcut's 1x1 convolution and batch normalisation, or None where shapes agree already."""
    if stride == 1 and in_channels == channels:
        return None
    return nn.Sequential(nn.Conv2d(in_channels, channels, 1, stride=stride, bias=bias), nn.BatchNorm2d(channels))

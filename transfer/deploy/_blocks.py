"""Blocks of each family for inference: fused convolutions, and gates worked out from the map before the last of them.

A block writes into its input where that is its shortcut, unless told to spare it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from backbones.attention import Attention, State
from backbones.blocks import BasicBlock, Block, Bottleneck
from backbones.errors import UserInputError
from backbones.families._mobilenetv2 import InvertedResidual
from backbones.families._preresnet import PreBottleneck
from transfer.deploy._fused import FusedConv


class DeployedBlock(nn.Module):
    """A block for inference: maps x (N, C, H, W) and the SAM's state to the block's output and the next state."""

    spares_input = False

    def _shortcut(self, x_NCHW: Tensor, projection: nn.Module | None) -> Tensor:
        """What the residual is added to, and may overwrite."""
        if projection is not None:
            return projection(x_NCHW)
        return x_NCHW.clone() if self.spares_input else x_NCHW


def deployed_block(block: Block, sam: Attention | None, pack: bool) -> DeployedBlock:
    """The block for inference that puts out what `block` does in eval mode."""
    if isinstance(block, InvertedResidual):
        return _Inverted(block, pack)
    if isinstance(block, PreBottleneck):
        return _PreActivated(block, sam, pack)
    if isinstance(block, (BasicBlock, Bottleneck)):
        return _Residual(block, sam, pack)
    raise UserInputError(
        f"blocks of the kind {type(block).__name__} have no form for inference; run the network as it is, or add one "
        "to transfer/deploy/_blocks.py"
    )


class _Residual(DeployedBlock):
    """A ResNet's block."""

    def __init__(self, block: BasicBlock | Bottleneck, sam: Attention | None, pack: bool) -> None:
        super().__init__()
        pairs = [(block.conv1, block.bn1), (block.conv2, block.bn2)]
        if isinstance(block, Bottleneck):
            pairs.append((block.conv3, block.bn3))
        self.body = nn.Sequential(*(FusedConv(conv, norm, relu=True, pack=pack) for conv, norm in pairs[:-1]))
        last = FusedConv(*pairs[-1], relu=sam is None, pack=pack)
        self.merge = last if sam is None else _merge(sam, last, pairs[-1][0])
        self.connected = sam is not None
        self.projection = _projection(block.downsample, pack)

    def forward(self, x_NCHW: Tensor, state: State) -> tuple[Tensor, State]:
        y = self.body(x_NCHW)
        shortcut = self._shortcut(x_NCHW, self.projection)
        return self.merge(y, shortcut, state) if self.connected else (self.merge(y, shortcut), state)


def _projection(downsample: nn.Module | None, pack: bool) -> FusedConv | None:
    if downsample is None:
        return None
    assert isinstance(downsample, nn.Sequential)
    conv: Any
    norm: Any
    conv, norm = downsample
    assert isinstance(conv, nn.Conv2d) and isinstance(norm, _BatchNorm)
    return FusedConv(conv, norm, pack=pack)


class _PreActivated(DeployedBlock):
    """A pre-activation ResNet's block; its first normalisation stands before no convolution that could take it."""

    def __init__(self, block: PreBottleneck, sam: Attention | None, pack: bool) -> None:
        super().__init__()
        self.before = _ScaledReLU(block.bn1)
        pairs = ((block.conv1, block.bn2), (block.conv2, block.bn3))
        self.body = nn.Sequential(*(FusedConv(conv, norm, relu=True, pack=pack) for conv, norm in pairs))
        self.last, self.sam = FusedConv(block.conv3, pack=pack), sam
        self.narrow = None if sam is None else sam.narrow(self.last)
        self.projection = None if block.downsample is None else FusedConv(block.downsample, pack=pack)  # type: ignore[arg-type]
        self.after = None if block.norm is None else _ScaledReLU(block.norm)

    def forward(self, x_NCHW: Tensor, state: State) -> tuple[Tensor, State]:
        y = self.body(self.before(x_NCHW))
        shortcut = self._shortcut(x_NCHW, self.projection)
        if self.sam is None:
            x = self.last(y, shortcut)
        else:
            residual = self.last(y)
            mask, state = self.sam.gate(residual, state) if self.narrow is None else self.narrow(y, state)
            x = _add(shortcut, mask, residual)
        return (x if self.after is None else self.after(x)), state


class _ScaledReLU(nn.Module):
    """Batch normalisation by fixed statistics, and ReLU, as one product and sum."""

    scale: Tensor
    shift: Tensor

    def __init__(self, norm: _BatchNorm) -> None:
        super().__init__()
        mean, var = norm.running_mean, norm.running_var
        assert mean is not None and var is not None
        scale = norm.weight.double() / (var.double() + norm.eps).sqrt()
        shift = norm.bias.double() - mean.double() * scale
        for name, tensor in (("scale", scale), ("shift", shift)):
            self.register_buffer(name, tensor.detach().to(norm.weight.dtype)[:, None, None])

    def forward(self, x_NCHW: Tensor) -> Tensor:
        return torch.addcmul(self.shift, x_NCHW, self.scale).relu_()


class _Inverted(DeployedBlock):
    """MobileNetV2's block."""

    def __init__(self, block: InvertedResidual, pack: bool) -> None:
        super().__init__()
        pairs: Sequence[tuple[nn.Conv2d | None, _BatchNorm | None]]
        pairs = ((block.conv1, block.bn1), (block.conv2, block.bn2))
        layers = [FusedConv(conv, norm, relu6=True, pack=pack) for conv, norm in pairs if conv is not None]
        self.body = nn.Sequential(*layers)
        self.last, self.adds = FusedConv(block.conv3, block.bn3, pack=pack), block.adds

    def forward(self, x_NCHW: Tensor, state: State) -> tuple[Tensor, State]:
        y = self.body(x_NCHW)
        return (self.last(y, self._shortcut(x_NCHW, None)) if self.adds else self.last(y)), state


# ---- the last convolution with recalibration, addition and ReLU


def _merge(sam: Attention, last: FusedConv, conv: nn.Conv2d) -> nn.Module:
    """The fastest merge there is for this SAM and this convolution."""
    pointwise = conv.kernel_size == (1, 1) and conv.stride == (1, 1) and conv.padding == (0, 0) and conv.groups == 1
    gate = sam.narrow(last) if pointwise else None
    return _Merge(sam, last) if gate is None else _NarrowMerge(gate, last)


class _Merge(nn.Module):
    """Any SAM, by its own `merge`."""

    def __init__(self, sam: Attention, last: FusedConv) -> None:
        super().__init__()
        self.sam, self.last = sam, last

    def forward(self, y_NCHW: Tensor, shortcut_NCHW: Tensor, state: State) -> tuple[Tensor, State]:
        return self.sam.merge(self.last(y_NCHW), shortcut_NCHW, state)


class _NarrowMerge(nn.Module):
    """A SAM whose gate is worked out from the map before the last convolution, which has a quarter of the channels."""

    def __init__(self, gate: nn.Module, last: FusedConv) -> None:
        super().__init__()
        self.gate, self.last = gate, last

    def forward(self, y_NCHW: Tensor, shortcut_NCHW: Tensor, state: State) -> tuple[Tensor, State]:
        mask, state = self.gate(y_NCHW, state)
        return _add(shortcut_NCHW, mask, self.last(y_NCHW)).relu_(), state


def _add(shortcut_NCHW: Tensor, mask: Tensor, residual_NCHW: Tensor) -> Tensor:
    """`shortcut + mask * residual`, into the shortcut; the mask may be one by group of channels."""
    if mask.dim() == 4:
        return shortcut_NCHW.addcmul_(mask, residual_NCHW)
    return _add_by_group(shortcut_NCHW, mask, residual_NCHW)


def _add_by_group(shortcut_NCHW: Tensor, mask_NG1HW: Tensor, residual_NCHW: Tensor) -> Tensor:
    """`shortcut + mask * residual`, channels last throughout, so that no mask is copied to all channels."""
    batch, channels, height, width = residual_NCHW.shape
    groups = mask_NG1HW.shape[1]
    by_group = (batch, height * width, groups, channels // groups)
    x, shortcut = (t.permute(0, 2, 3, 1).reshape(by_group) for t in (residual_NCHW, shortcut_NCHW))
    mask_NPG1 = mask_NG1HW.permute(0, 3, 4, 1, 2).flatten(1, 2)
    out = shortcut.addcmul_(mask_NPG1, x)
    return out.view(batch, height, width, channels).permute(0, 3, 1, 2)

"""`AttentionResNet` for inference: fused convolutions, and gates worked out from the map before the last of them."""

from __future__ import annotations

import copy
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from backbones.attention import Attention, State
from backbones.attention.dia import DIA
from backbones.attention.se import SE
from backbones.attention.sge import _EPS, SGE
from backbones.blocks import BasicBlock, Bottleneck
from backbones.resnet import AttentionResNet
from transfer.deploy._fused import FusedConv


class DeployedResNet(nn.Module):
    """Puts out what `net`, in eval mode, puts out; holds none of its modules but SAMs and the linear layer.

    It computes in the precision of its weights, and puts out features in that of the pictures.

    Args:
        net: a stand-alone network.
        memory_format: of the feature maps.
        pack: see `FusedConv`.

    Attributes:
        scheme, feature_info, out_indices, num_classes: as in `AttentionResNet`.
    """

    def __init__(self, net: AttentionResNet, memory_format: torch.memory_format, pack: bool) -> None:
        super().__init__()
        self.memory_format = memory_format
        self.scheme, self.feature_info = net.scheme, net.feature_info
        self.out_indices, self.num_classes = net.out_indices, net.num_classes
        self.stem = FusedConv(net.conv1, net.bn1, relu=True, pack=pack)
        self.maxpool = net.maxpool
        self.stages = nn.ModuleList()
        for stage, bits in enumerate(net.scheme.stages[: net.stages_built]):
            blocks = getattr(net, f"layer{stage + 1}")
            sams = [net.sam(stage, block) if bit else None for block, bit in enumerate(bits)]
            made = [_Block(block, sam, pack) for block, sam in zip(blocks, sams, strict=True)]
            made[0].spares_input = stage - 1 in net.out_indices
            self.stages.append(nn.ModuleList(made))
        self.fc = getattr(net, "fc", None)
        self.eval()

    @torch.no_grad()
    def forward(self, x_NCHW: Tensor) -> Any:
        """Returns a tuple of feature maps, one for each of `out_indices`, or logits with `num_classes`."""
        x = x_NCHW.to(self.stem.weight.dtype).contiguous(memory_format=self.memory_format)
        x = self.maxpool(self.stem(x))
        features: list[Tensor] = []
        for stage, blocks in enumerate(self.stages):
            state: State = None
            assert isinstance(blocks, nn.ModuleList)
            for block in blocks:
                x, state = block(x, state)
            if stage in self.out_indices:
                features.append(x.to(x_NCHW.dtype))
        return tuple(features) if self.fc is None else self.fc(x.mean((2, 3))).to(x_NCHW.dtype)


class _Block(nn.Module):
    """A residual block. It writes into its input where that is the shortcut, unless told to spare it."""

    spares_input = False

    def __init__(self, block: BasicBlock | Bottleneck, sam: Attention | None, pack: bool) -> None:
        super().__init__()
        pairs = [(block.conv1, block.bn1), (block.conv2, block.bn2)]
        if isinstance(block, Bottleneck):
            pairs.append((block.conv3, block.bn3))
        self.body = nn.Sequential(*(FusedConv(conv, norm, relu=True, pack=pack) for conv, norm in pairs[:-1]))
        last = FusedConv(*pairs[-1], relu=sam is None, pack=pack)
        self.merge = last if sam is None else _merge(sam, last, pairs[-1][0])
        self.connected = sam is not None
        self.projection = None if block.downsample is None else FusedConv(*block.downsample, pack=pack)

    def forward(self, x_NCHW: Tensor, state: State) -> tuple[Tensor, State]:
        y = self.body(x_NCHW)
        if self.projection is not None:
            shortcut = self.projection(x_NCHW)
        else:
            shortcut = x_NCHW.clone() if self.spares_input else x_NCHW
        return self.merge(y, shortcut, state) if self.connected else (self.merge(y, shortcut), state)


# ---- the last convolution with recalibration, addition and ReLU


def _merge(sam: Attention, last: FusedConv, conv: nn.Conv2d) -> nn.Module:
    """The fastest merge there is for this SAM and this convolution."""
    pointwise = conv.kernel_size == (1, 1) and conv.stride == (1, 1) and conv.padding == (0, 0) and conv.groups == 1
    if pointwise and type(sam) in (SE, DIA):
        return _PooledMerge(sam, last)
    if pointwise and type(sam) is SGE:
        return _GroupwiseMerge(sam, last)
    return _Merge(sam, last)


class _Merge(nn.Module):
    """Any SAM, by its own `merge`."""

    def __init__(self, sam: Attention, last: FusedConv) -> None:
        super().__init__()
        self.sam, self.last = sam, last

    def forward(self, y_NCHW: Tensor, shortcut_NCHW: Tensor, state: State) -> tuple[Tensor, State]:
        return self.sam.merge(self.last(y_NCHW), shortcut_NCHW, state)


class _PooledMerge(_Merge):
    """SAMs whose gate depends on the map's mean only.

    The mean of a pointwise convolution's output is that convolution of the mean: `GAP(W y + b) = W GAP(y) + b`. So
    the map before it is pooled, which has a quarter of the channels, and `W` goes into the layer that reads the mean.
    """

    def __init__(self, sam: Attention, last: FusedConv) -> None:
        super().__init__(_behind(last, sam), last)

    def forward(self, y_NCHW: Tensor, shortcut_NCHW: Tensor, state: State) -> tuple[Tensor, State]:
        mean_NC11 = y_NCHW.mean((2, 3), keepdim=True)
        if state is None and isinstance(self.sam, DIA):  # on its own it would take its width from the mean's
            state = (mean_NC11.new_zeros(len(mean_NC11), self.sam.channels),) * 2
        gate, state = self.sam.gate(mean_NC11, state)
        return shortcut_NCHW.addcmul_(gate, self.last(y_NCHW)).relu_(), state


def _behind(last: FusedConv, sam: Attention) -> Attention:
    """The SAM for means of the last convolution's input: all layers but the first stay shared."""
    sam = _shallow(sam)
    if isinstance(sam, SE):
        sam.fc1 = _composed(sam.fc1, last)
    else:
        assert isinstance(sam, DIA)
        first, *rest = sam.input_gates
        assert isinstance(first, nn.Linear)
        sam.input_gates = nn.Sequential(_composed(first, last), *rest)
    return sam


def _shallow(module: Any) -> Any:
    """A module with the same parameters and children, which may be exchanged."""
    twin = copy.copy(module)
    for kept in ("_modules", "_parameters", "_buffers"):
        twin.__dict__[kept] = dict(module.__dict__[kept])
    return twin


def _composed(linear: nn.Linear, conv: FusedConv) -> nn.Linear:
    """`linear(conv(x))` of a pointwise convolution, as one layer; multiplied in float64."""
    weight, bias = linear.weight.double(), linear.bias.double()
    kernel = conv.weight.flatten(1)
    out = nn.Linear(kernel.shape[1], linear.out_features, device=kernel.device, dtype=kernel.dtype)
    offset = bias if conv.bias is None else bias + weight @ conv.bias.double()
    out.weight = nn.Parameter((weight @ kernel.double()).to(kernel.dtype), requires_grad=False)
    out.bias = nn.Parameter(offset.to(kernel.dtype), requires_grad=False)
    return out


class _GroupwiseMerge(_Merge):
    """SGE, whose similarities are worked out from the map before the last convolution.

    With `x = W y + b` and `m` its mean, a group's similarity at a position is `sum_c m_c x_c`. Less its mean over
    space, that is `(sum_c m_c W_c) (y - mean(y))`: a product of matrices per picture, without the wide map.
    """

    sam: SGE

    def forward(self, y_NCHW: Tensor, shortcut_NCHW: Tensor, state: State) -> tuple[Tensor, State]:
        mask_NPG1 = self._mask(y_NCHW)
        residual = self.last(y_NCHW)
        batch, channels, height, width = residual.shape
        by_group = (batch, height * width, self.sam.groups, channels // self.sam.groups)
        x, shortcut = (t.permute(0, 2, 3, 1).reshape(by_group) for t in (residual, shortcut_NCHW))
        out = shortcut.addcmul_(mask_NPG1, x).relu_()
        return out.view(batch, height, width, channels).permute(0, 3, 1, 2), state

    def _mask(self, y_NCHW: Tensor) -> Tensor:
        """Mask (N, H * W, G, 1)."""
        sge: Any = self.sam
        y_NPC = y_NCHW.permute(0, 2, 3, 1).reshape(len(y_NCHW), -1, y_NCHW.shape[1])
        batch, positions, _ = y_NPC.shape
        if positions == 1:  # as the SAM itself: what is standardised is 0, not its rounding error
            return sge.bias.sigmoid().view(1, 1, -1, 1).expand(batch, 1, -1, 1)
        kernel, mean_N1C = self.last.weight.flatten(1), y_NCHW.mean((2, 3))[:, None]
        wide_GNc = F.linear(mean_N1C[:, 0], kernel, self.last.bias).view(batch, sge.groups, -1).transpose(0, 1)
        weights_NCG = torch.bmm(wide_GNc, kernel.view(sge.groups, -1, kernel.shape[1])).permute(1, 2, 0)
        centred_NPG = torch.baddbmm(-torch.bmm(mean_N1C, weights_NCG), y_NPC, weights_NCG)
        std_N1G = (centred_NPG.square().sum(1, keepdim=True) / (positions - 1)).sqrt_()
        scaled_NPG = centred_NPG.mul_(sge.weight / (std_N1G + _EPS)).add_(sge.bias)
        return scaled_NPG.sigmoid_()[..., None]

"""`AttentionResNet` for inference: fused convolutions, and gates worked out from the map before the last of them."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from backbones.attention import Attention, State
from backbones.blocks import BasicBlock, Bottleneck
from backbones.resnet import AttentionResNet
from transfer.deploy._fused import FusedConv


class DeployedResNet(nn.Module):
    """Puts out what `net`, in eval mode, puts out; holds none of its modules but SAMs and the linear layer.

    It computes in the precision of its weights, and puts out features in that of the images.

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
            assert isinstance(blocks, nn.ModuleList)
            state: State = None
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
        residual = self.last(y_NCHW)
        if mask.dim() == 4:
            return shortcut_NCHW.addcmul_(mask, residual).relu_(), state
        return _add_by_group(shortcut_NCHW, mask, residual), state


def _add_by_group(shortcut_NCHW: Tensor, mask_NG1HW: Tensor, residual_NCHW: Tensor) -> Tensor:
    """`relu(shortcut + mask * residual)`, channels last throughout, so that no mask is copied to all channels."""
    batch, channels, height, width = residual_NCHW.shape
    groups = mask_NG1HW.shape[1]
    by_group = (batch, height * width, groups, channels // groups)
    x, shortcut = (t.permute(0, 2, 3, 1).reshape(by_group) for t in (residual_NCHW, shortcut_NCHW))
    mask_NPG1 = mask_NG1HW.permute(0, 3, 4, 1, 2).flatten(1, 2)
    out = shortcut.addcmul_(mask_NPG1, x).relu_()
    return out.view(batch, height, width, channels).permute(0, 3, 1, 2)

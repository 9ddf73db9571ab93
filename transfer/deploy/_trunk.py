"""A registered backbone's network for inference."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from backbones.attention import State
from backbones.trunk import Trunk
from transfer.deploy._blocks import deployed_block
from transfer.deploy._fused import FusedConv


class DeployedTrunk(nn.Module):
    """Puts out what `net`, in eval mode, puts out; holds none of its modules but SAMs and the linear layer.

    It computes in the precision of its weights, and puts out features in that of the images.

    Args:
        net: a stand-alone network.
        memory_format: of the feature maps.
        pack: see `FusedConv`.

    Attributes:
        scheme, feature_info, out_indices, num_classes: as in `Trunk`.

    Raises:
        UserInputError: blocks that have no form for inference.
    """

    def __init__(self, net: Trunk, memory_format: torch.memory_format, pack: bool) -> None:
        super().__init__()
        self.memory_format = memory_format
        self.scheme, self.feature_info = net.scheme, net.feature_info
        self.out_indices, self.num_classes = net.out_indices, net.num_classes
        self.stem = _stem(net, pack)
        self.maxpool = net.maxpool
        self.stages = nn.ModuleList()
        for stage, bits in enumerate(net.scheme.stages[: net.stages_built]):
            blocks = getattr(net, f"layer{stage + 1}")
            sams = [net.sam(stage, block) if bit else None for block, bit in enumerate(bits)]
            made = [deployed_block(block, sam, pack) for block, sam in zip(blocks, sams, strict=True)]
            made[0].spares_input = stage - 1 in net.out_indices
            self.stages.append(nn.ModuleList(made))
        last = getattr(net, "last", None)  # of a classifier that begins with a convolution
        self.last = nn.Identity() if last is None else FusedConv(last[0], last[1], relu6=True, pack=pack)
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
        return tuple(features) if self.fc is None else self.fc(self.last(x).mean((2, 3))).to(x_NCHW.dtype)


def _stem(net: Trunk, pack: bool) -> FusedConv:
    conv, *norm = net.stem_modules
    activation: Any = getattr(net, "relu", None)
    relu, relu6 = isinstance(activation, nn.ReLU), isinstance(activation, nn.ReLU6)
    return FusedConv(conv, *norm, relu=relu, relu6=relu6, pack=pack)  # type: ignore[arg-type]

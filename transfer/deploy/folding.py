"""A model made ready for inference: the same outputs, in less time."""

from __future__ import annotations

import copy
import functools
from typing import Any

import torch
from torch import Tensor, nn

from backbones.errors import UserInputError
from backbones.memory_format import to_memory_format
from backbones.resnet import AttentionResNet
from backbones.sites import is_gated
from backbones.trunk import Trunk
from transfer.deploy._fused import (
    FusedConv,
    is_conv_module,
    is_plain_conv,
    is_plain_conv_module,
    is_plain_norm,
    is_plain_relu,
)
from transfer.deploy._trunk import DeployedTrunk


def deploy(
    model: nn.Module,
    *,
    channels_last: bool = True,
    compile: bool | str = False,
    dtype: torch.dtype | None = None,
    pack: bool = True,
) -> nn.Module:
    """Returns a copy of a model for inference: the same outputs but for rounding, no gradients, no training.

    - Batch normalisation, synchronised or not, is folded into the convolution before it; ReLU, and in residual
      blocks the addition, run in the convolution's own pass. In searched cells only convolutions and normalisation
      are folded, and normalisation that follows no single convolution stays.
    - A block's gate is worked out from the narrow map before its last convolution.
    - Maps are channels_last.

    It finds what it knows anywhere in the model: registered backbones, mmcv's `ConvModule`, convolutions in
    `nn.Sequential`; modules that it does not know stay as they are. A module that stands in several places is fused in
    each; SAMs shared by a stage stay shared. The model itself keeps its class and its methods.

    Args:
        model: a backbone, counter, classifier or segmentor, on the device and in the precision it shall run in.
        channels_last: memory format of weights and feature maps; False keeps the default one.
        compile: compile the backbones with `torch.compile` at the first call, instead of oneDNN's fused operators. A
            name is its mode: `"reduce-overhead"` runs CUDA graphs on a GPU.
        dtype: what the backbones compute in, if not in the model's own precision, such as `torch.bfloat16` where the
            device has it (`transfer.engine.amp.native_bfloat16`). Their features come out in the model's precision,
            as exact as the type allows.
        pack: on CPUs, use oneDNN's fused operators. False keeps to torch's own, which `torch.export` and
            `torch.onnx.export` understand.

    Raises:
        UserInputError: the model holds a supernet, gates of a width search, or blocks without a form for inference;
            or `compile` or `dtype` for searched cells.
    """
    twin = copy.deepcopy(model).eval().requires_grad_(False)
    memory_format = torch.channels_last if channels_last else torch.contiguous_format
    deployed = _Deployer(memory_format, compile, dtype, pack)(twin)
    to_memory_format(deployed, memory_format)
    deployed.__dict__["train"] = functools.partial(_refuse_training, deployed)
    return deployed


def _refuse_training(model: nn.Module, mode: bool = True) -> nn.Module:
    """Takes the place of `train`: `eval()` still works, since it is `train(False)`."""
    if mode:
        raise RuntimeError("a deployed model cannot be trained: train the model that it was made from, deploy it again")
    return model


class _Deployer:
    """Replaces the modules of a model, from its root down."""

    def __init__(
        self, memory_format: torch.memory_format, compile: bool | str, dtype: torch.dtype | None, pack: bool
    ) -> None:
        self.memory_format, self.compile, self.dtype, self.pack = memory_format, compile, dtype, pack
        self.done: dict[int, tuple[nn.Module, nn.Module]] = {}

    def __call__(self, module: nn.Module) -> nn.Module:
        """What takes the module's place: itself, if only its children change."""
        if id(module) not in self.done:
            # The old one is kept beside it: as long as it lives, nothing else has its id.
            self.done[id(module)] = (module, self._converted(module))
        return self.done[id(module)][1]

    def _converted(self, module: Any) -> nn.Module:
        if isinstance(module, Trunk) and module.supernet:
            raise UserInputError("a supernet cannot be deployed, only one network of it: deploy(net.extract(scheme))")
        if isinstance(module, Trunk) and type(module).forward in (Trunk.forward, AttentionResNet.forward):
            return self._deployed(module)
        if is_plain_conv(module):
            return FusedConv(module, pack=self.pack)
        if is_conv_module(module):
            if not is_plain_conv_module(module):
                return module
            return FusedConv(module.conv, module.norm, relu=module.with_activation, pack=self.pack)
        if type(module).forward is nn.Sequential.forward:
            self._fuse_neighbours(module)
        return self._with_converted_children(module)

    def _with_converted_children(self, module: nn.Module) -> nn.Module:
        for name, child in module.named_children():
            setattr(module, name, self(child))
        return module

    def _deployed(self, net: Trunk) -> nn.Module:
        if is_gated(net):
            raise UserInputError("a network with gates cannot be deployed, only one without: deploy(prune(net, kept))")
        if net.arch.space is not None:
            return self._deployed_cells(net)
        deployed = DeployedTrunk(net, self.memory_format, pack=self.pack and not self.compile)
        if self.dtype is not None:
            deployed.to(self.dtype)
        return _Compiled(deployed, self.compile) if self.compile else deployed

    def _deployed_cells(self, net: Trunk) -> nn.Module:
        """Searched cells keep their graph; normalisation in front of a sum or a concatenation stays where it is."""
        if self.compile or self.dtype is not None:
            raise UserInputError(
                f"the searched cells of {net.arch.name} are folded as they stand, expected neither compile nor dtype; "
                "cast the network before, or compile what deploy returns"
            )
        net.conv1, net.bn1 = FusedConv(net.conv1, net.bn1, pack=self.pack), nn.Identity()  # type: ignore[assignment, arg-type]
        return self._with_converted_children(net)

    def _fuse_neighbours(self, sequence: nn.Sequential) -> None:
        """Convolution, normalisation, ReLU in a row become one; the others' places are kept by `nn.Identity`."""
        layers = [*sequence, nn.Identity(), nn.Identity()]
        for place, conv in enumerate(sequence):
            if not is_plain_conv(conv):
                continue
            norm = layers[place + 1] if is_plain_norm(layers[place + 1]) else None
            after = place + (1 if norm is None else 2)
            relu = is_plain_relu(layers[after])
            sequence[place] = FusedConv(conv, norm, relu=relu, pack=self.pack)
            for gone in range(place + 1, after + relu):
                sequence[gone] = nn.Identity()


class _Compiled(nn.Module):
    """Compiles a network with its weights as constants, so that the compiler may lay them out and fuse convolutions."""

    def __init__(self, net: DeployedTrunk, mode: bool | str) -> None:
        super().__init__()
        self.feature_info, self.out_indices = net.feature_info, net.out_indices
        self.net = torch.compile(net, mode=mode if isinstance(mode, str) else None)
        self.graphs = mode is not True

    def forward(self, x_NCHW: Tensor) -> Any:
        import torch._inductor.config as inductor

        with torch.no_grad(), inductor.patch(freezing=True):
            out = self.net(x_NCHW)
            if not self.graphs:
                return out
            # A CUDA graph writes the next call's outputs where this one's are.
            return out.clone() if isinstance(out, Tensor) else tuple(feature.clone() for feature in out)

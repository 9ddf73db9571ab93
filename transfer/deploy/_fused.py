"""Convolutions for inference that do in the same pass what follows them: normalisation, ReLU, an addition."""

from __future__ import annotations

from typing import Any, TypeGuard

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.utils.fusion import fuse_conv_bn_eval


class FusedConv(nn.Module):
    """`relu(conv(x) + other)`, batch normalisation folded into the weights; ReLU and `other` where asked for.

    ReLU6, `min(relu(conv(x)), 6)`, is done the same way, and stands with no `other`.

    On CPUs oneDNN does all of it while it writes the convolution's output. Which kernel is best, and the layout of
    the weights that it reads, depend on the input's shape: once a shape comes twice running, the weights are packed
    for it, which saves laying them out anew in every call (5 % of ResNet-50 with 8 images, 30 % with one).

    Args:
        conv: an ordinary convolution, see `is_plain_conv`.
        norm: the batch normalisation behind it, with running statistics.
        relu: whether ReLU ends it.
        relu6: whether ReLU6 ends it.
        pack: use oneDNN's operators, where there are any; else torch's, which its compiler and exporters understand.
    """

    weight: Tensor
    bias: Tensor | None
    _packed: Tensor | None
    _packed_for: torch.Size | None
    _last: torch.Size | None

    def __init__(
        self,
        conv: nn.Conv2d,
        norm: _BatchNorm | None = None,
        *,
        relu: bool = False,
        relu6: bool = False,
        pack: bool = True,
    ) -> None:
        super().__init__()
        fused = conv if norm is None else fuse_conv_bn_eval(conv, norm)
        self.stride, self.dilation = list(fused.stride), list(fused.dilation)
        self.padding = [int(side) for side in fused.padding]  # `is_plain_conv` lets no word for it through
        self.groups, self.relu, self.relu6 = fused.groups, relu, relu6
        self.pack = pack and torch.backends.mkldnn.is_available()
        self.register_buffer("weight", fused.weight.detach())
        self.register_buffer("bias", None if fused.bias is None else fused.bias.detach())
        self._forget()

    def forward(self, x_NCHW: Tensor, other_NCHW: Tensor | None = None) -> Tensor:
        """Returns the sum (N, C', H', W'); `other_NCHW`, of the same shape, may be overwritten."""
        if not (self.pack and x_NCHW.device.type == "cpu" and x_NCHW.dtype == self.weight.dtype == torch.float32):
            out = F.conv2d(x_NCHW, self.weight, self.bias, self.stride, self.padding, self.dilation, self.groups)
            out = out if other_NCHW is None else out.add_(other_NCHW)
            return out.clamp_(0, 6) if self.relu6 else out.relu_() if self.relu else out
        where = (self.padding, self.stride, self.dilation, self.groups)
        weight, ops = self._weight_for(x_NCHW.shape), torch.ops.mkldnn
        if other_NCHW is None:
            last = ("hardtanh", [0.0, 6.0], "") if self.relu6 else ("relu" if self.relu else "none", [], "")
            return ops._convolution_pointwise(x_NCHW, weight, self.bias, *where, *last)
        then: tuple[Any, ...] = ("add", 1.0, "relu" if self.relu else None, [], "")
        return ops._convolution_pointwise_.binary(other_NCHW, x_NCHW, weight, self.bias, *where, *then)

    def _weight_for(self, shape: torch.Size) -> Tensor:
        """The weights, packed for inputs of `shape` if the last ones had it too. Any will do, only not as fast."""
        if self._packed is not None and shape == self._packed_for:
            return self._packed
        if shape != self._last:
            self._last = shape
            return self.weight
        order = (self.padding, self.stride, self.dilation, self.groups, list(shape))
        self._packed, self._packed_for = torch.ops.mkldnn._reorder_convolution_weight(self.weight, *order), shape
        return self._packed

    def _forget(self) -> None:
        self._packed, self._packed_for, self._last = None, None, None

    def _apply(self, *args: Any, **kwargs: Any) -> FusedConv:
        """Moved or cast weights are packed anew."""
        self._forget()
        return super()._apply(*args, **kwargs)

    def __getstate__(self) -> dict[str, Any]:
        """Packed weights are oneDNN's own matter: they are neither copied nor pickled."""
        return {**self.__dict__, "_packed": None, "_packed_for": None, "_last": None}


def is_plain_conv(module: nn.Module) -> TypeGuard[nn.Conv2d]:
    """Whether nothing but `F.conv2d` with zero padding and the module's own weights stands behind a convolution."""
    known = type(module) is nn.Conv2d or _is_of(module, "mmcv.", "Conv2d")
    return (
        known
        and isinstance(module, nn.Conv2d)
        and module.padding_mode == "zeros"
        and not isinstance(module.padding, str)
        and not _hooked(module)
    )


def is_plain_norm(module: nn.Module) -> TypeGuard[_BatchNorm]:
    """Whether a module is batch normalisation by fixed statistics, synchronised in training or not."""
    return isinstance(module, _BatchNorm) and module.running_mean is not None and not _hooked(module)


def is_plain_relu(module: nn.Module) -> bool:
    """Whether a module is ReLU and nothing else."""
    return type(module) is nn.ReLU and not _hooked(module)


def is_conv_module(module: nn.Module) -> bool:
    """Whether a module is mmcv's `ConvModule`."""
    return _is_of(module, "mmcv.", "ConvModule")


def is_plain_conv_module(module: Any) -> bool:
    """Whether a `ConvModule` is a plain convolution, normalisation or none, ReLU or none, in this order."""
    return (
        module.order == ("conv", "norm", "act")
        and not module.with_explicit_padding
        and is_plain_conv(module.conv)
        and (not module.with_norm or is_plain_norm(module.norm))
        and (not module.with_activation or is_plain_relu(module.activate))
        and not _hooked(module)
    )


def _is_of(module: nn.Module, package: str, name: str) -> bool:
    """Compares by name, so that the package need not be imported, nor installed."""
    return type(module).__name__ == name and type(module).__module__.startswith(package)


def _hooked(module: nn.Module) -> bool:
    return bool(module._forward_hooks or module._forward_pre_hooks)

"""ResNets whose self-attention modules are plugged into the blocks that a connection scheme names."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from backbones.arch import ArchSpec, get_arch
from backbones.attention import Attention, create_attention
from backbones.attention.base import he_init_
from backbones.blocks import BLOCKS, Stage
from backbones.errors import UserInputError
from backbones.memory_format import to_memory_format
from backbones.options import FeatureInfo as FeatureInfo
from backbones.options import TrunkOptions
from backbones.scheme import ConnectionScheme

SHARING = ("stage", "block")


class AttentionResNet(nn.Module):
    """A ResNet with SAMs in some of its blocks (EAN, AAAI; LTH4SA).

    The trunk's parameters are called as torchvision's (`conv1.weight`, `layer1.0.conv1.weight`, ...); everything
    under `attention.` belongs to SAMs: `attention.layer1.*` shared by a stage, `attention.layer1.0.*` one a block.

    Args:
        arch: a name of `backbones.arch.ARCHITECTURES`.
        attention: name of a SAM, or None for the plain ResNet.
        attention_args: the SAM's own arguments.
        sharing: `"stage"`, one module per stage (Full-Share, Share-EAN); `"block"`, one a block (Full-SA, EAN).
        scheme: which blocks are connected; default all of them where there is attention.
        supernet: hold the modules of all blocks, whatever the scheme; it may then change at any time.
        num_classes: put out logits (N, num_classes) instead of features.
        in_channels: channels of the image.
        out_indices: 0-based stages to put out, or from the last (-1), default the last. Later stages are not built.
        output_stride: greatest stride; later stages dilate instead, by torchvision's rule.
        strides: stride of each stage, without dilation; default (1, 2, 2, ...).
        stem_stride: 1, 2 or 4; default 4 with the ImageNet stem, 1 with the CIFAR stem.
        conv_bias: give every convolution a bias, as the authors' FBResNet does.
        frozen_stages: -1 none, 0 the stem, i also stages 1..i: no gradients, batch normalisation in eval mode.
        norm_eval: keep all batch normalisation in eval mode while training.
        with_cp: recompute blocks in the backward pass instead of keeping their activations.
        channels_last: memory format of weights and maps; on CPUs about half the time of a training step, as long as
            what follows takes its input as it comes (mmsegmentation's heads do).

    Raises:
        UserInputError: names what does not fit.
    """

    def __init__(
        self,
        arch: str,
        *,
        attention: str | None = None,
        attention_args: dict[str, Any] | None = None,
        sharing: str = "stage",
        scheme: ConnectionScheme | str | None = None,
        supernet: bool = False,
        num_classes: int | None = None,
        in_channels: int = 3,
        out_indices: Sequence[int] | None = None,
        output_stride: int | None = None,
        strides: Sequence[int] | None = None,
        stem_stride: int | None = None,
        conv_bias: bool = False,
        frozen_stages: int = -1,
        norm_eval: bool = False,
        with_cp: bool = False,
        channels_last: bool = False,
    ) -> None:
        super().__init__()
        self.arch: ArchSpec = get_arch(arch)
        options = TrunkOptions(self.arch, out_indices, output_stride, strides, stem_stride, num_classes, frozen_stages)
        self.out_indices = options.out_indices
        self.num_classes = num_classes
        self.frozen_stages, self.norm_eval, self.with_cp = frozen_stages, norm_eval, with_cp
        self.supernet = supernet
        self.feature_info = options.feature_info
        self._build_stem(in_channels, options.stem_stride, conv_bias)
        self._build_stages(options, conv_bias)
        if num_classes is not None:
            self.fc = nn.Linear(self.arch.channels[-1], num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                he_init_(module)
        if sharing not in SHARING:
            raise UserInputError(f"sharing={sharing!r}: expected one of {', '.join(map(repr, SHARING))}")
        self.sharing = sharing
        self._scheme = self._read_scheme(scheme, attention)
        if attention is not None:
            self.attention = self._build_attention(attention, attention_args or {})
        self._freeze()
        self.memory_format = torch.channels_last if channels_last else torch.preserve_format
        to_memory_format(self, self.memory_format)

    # ---- construction

    def _build_stem(self, in_channels: int, stride: int, bias: bool) -> None:
        channels = self.arch.stem_channels
        kernel = 7 if self.arch.stem == "imagenet" else 3
        self.conv1 = nn.Conv2d(in_channels, channels, kernel, stride=min(stride, 2), padding=kernel // 2, bias=bias)
        self.bn1 = nn.BatchNorm2d(channels)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1) if stride == 4 else nn.Identity()

    def _build_stages(self, options: TrunkOptions, bias: bool) -> None:
        block = BLOCKS[self.arch.block]
        in_channels = self.arch.stem_channels
        for stage in range(options.stages_built):
            width, dilation = self.arch.widths[stage], options.dilations[stage]
            first = block(
                in_channels,
                width,
                stride=options.strides[stage],
                dilations=(options.dilations[stage - 1] if stage else 1, dilation),
                bias=bias,
            )
            in_channels = width * block.expansion
            rest = [
                block(in_channels, width, dilations=(dilation, dilation), bias=bias)
                for _ in range(self.arch.depths[stage] - 1)
            ]
            setattr(self, f"layer{stage + 1}", Stage(first, *rest))
        self.stages_built = options.stages_built

    def _read_scheme(self, scheme: ConnectionScheme | str | None, attention: str | None) -> ConnectionScheme:
        depths = self.arch.depths
        if scheme is None:
            return ConnectionScheme.full(depths) if attention else ConnectionScheme.empty(depths)
        parsed = ConnectionScheme.parse(scheme, depths) if isinstance(scheme, str) else scheme.check_depths(depths)
        if attention is None and parsed.connected:
            raise UserInputError(f"connection scheme {parsed} connects blocks, but attention is None: name a SAM")
        return parsed

    def _build_attention(self, name: str, args: dict[str, Any]) -> nn.ModuleDict:
        """Builds the modules that the scheme reaches; all of them in a supernet."""
        modules = nn.ModuleDict()
        for stage, bits in enumerate(self._scheme.stages[: self.stages_built]):
            channels, key = self.arch.channels[stage], f"layer{stage + 1}"
            wanted = range(len(bits)) if self.supernet else [block for block, bit in enumerate(bits) if bit]
            if not wanted:
                continue
            if self.sharing == "stage":
                modules[key] = create_attention(name, channels, **args)
            else:
                modules[key] = nn.ModuleDict({str(b): create_attention(name, channels, **args) for b in wanted})
        return modules

    def _freeze(self) -> None:
        for module in self._frozen_modules():
            module.requires_grad_(False)

    def _frozen_modules(self) -> Iterator[nn.Module]:
        if self.frozen_stages >= 0:
            yield from (self.conv1, self.bn1)
        for stage in range(min(self.frozen_stages, self.stages_built)):
            key = f"layer{stage + 1}"
            yield getattr(self, key)
            if hasattr(self, "attention") and key in self.attention:
                yield self.attention[key]

    def train(self, mode: bool = True) -> AttentionResNet:
        """As `nn.Module.train`, but frozen stages (and with `norm_eval` all normalisation) stay in eval mode."""
        super().train(mode)
        if mode:
            for module in self._frozen_modules():
                module.eval()
            if self.norm_eval:
                for module in self.modules():
                    if isinstance(module, nn.modules.batchnorm._BatchNorm):
                        module.eval()
        return self

    # ---- scheme

    @property
    def scheme(self) -> ConnectionScheme:
        """The connection scheme in force. A supernet may be given another one at any time."""
        return self._scheme

    @scheme.setter
    def scheme(self, scheme: ConnectionScheme) -> None:
        scheme.check_depths(self.arch.depths)
        for stage, bits in enumerate(scheme.stages[: self.stages_built]):
            for block, bit in enumerate(bits):
                if bit and self.sam(stage, block) is None:
                    raise UserInputError(
                        f"connection scheme {scheme}: this network holds no module for block {block + 1} of stage "
                        f"{stage + 1}; build it with supernet=True to change its scheme"
                    )
        self._scheme = scheme

    def sam(self, stage: int, block: int) -> Attention | None:
        """The module of a block (0-based stage and block), whether connected or not; None where none is held."""
        held: Any = self.attention if hasattr(self, "attention") else {}
        key = f"layer{stage + 1}"
        if key not in held:
            return None
        if self.sharing == "stage":
            return held[key]
        return dict(held[key].items()).get(str(block))

    def extract(self, scheme: ConnectionScheme | str) -> AttentionResNet:
        """Returns the stand-alone network of `scheme`: a copy of the weights, only the modules that it reaches."""
        net = copy.deepcopy(self)
        net.scheme = ConnectionScheme.parse(scheme, self.arch.depths) if isinstance(scheme, str) else scheme
        net.supernet = False
        net._drop_unreached()
        return net

    def _drop_unreached(self) -> None:
        held: Any = self.attention if hasattr(self, "attention") else {}
        for key, bits in zip([f"layer{i + 1}" for i in range(self.stages_built)], self.scheme.stages, strict=False):
            if key in held and not any(bits):
                del held[key]
            elif key in held and self.sharing == "block":
                for name in [name for name in held[key] if not bits[int(name)]]:
                    del held[key][name]

    # ---- forward

    def stem(self, x_NCHW: Tensor) -> Tensor:
        """Everything before the first block."""
        return self.maxpool(self.relu(self.bn1(self.conv1(x_NCHW))))

    def _connections(self, stage: int, weights_m: Tensor | None) -> list[tuple[Attention, Tensor | None] | None]:
        """SAM and soft weight of each of a stage's blocks, None where it is plain."""
        first, found = sum(self.arch.depths[:stage]), []
        for block, bit in enumerate(self._scheme.stages[stage]):
            sam = self.sam(stage, block) if bit or weights_m is not None else None
            weight = None if weights_m is None else weights_m[first + block]
            found.append(None if sam is None else (sam, weight))
        return found

    def head(self, x_NCHW: Tensor) -> Tensor:
        """Logits (N, num_classes) of the last stage's map."""
        return self.fc(F.adaptive_avg_pool2d(x_NCHW, 1).flatten(1))

    def forward(self, x_NCHW: Tensor, weights: Tensor | None = None) -> Any:
        """Returns a tuple of feature maps, one for each of `out_indices`, or logits with `num_classes`.

        Args:
            x_NCHW: normalised images.
            weights: soft connections (m,), one a block in network order; they take the scheme's place (supernet).
        """
        x, features = self.stem(x_NCHW.to(memory_format=self.memory_format)), []
        recompute = self.with_cp and torch.is_grad_enabled()
        for stage in range(self.stages_built):
            layer: Stage = getattr(self, f"layer{stage + 1}")
            x = layer(x, connections=self._connections(stage, weights), recompute=recompute)
            if stage in self.out_indices:
                features.append(x)
        return tuple(features) if self.num_classes is None else self.head(x)

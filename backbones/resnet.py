"""ResNets whose self-attention modules are plugged into the blocks that a connection scheme names."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from backbones.attention import Attention, create_attention
from backbones.blocks import BLOCKS, Block, Stage
from backbones.errors import UserInputError
from backbones.options import FeatureInfo as FeatureInfo
from backbones.scheme import ConnectionScheme
from backbones.trunk import Trunk
from backbones.widths import WidthPlan

SHARING = ("stage", "block")


class AttentionResNet(Trunk):
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
        widths, num_classes, in_channels, ...: see `Trunk`.

    Raises:
        UserInputError: names what does not fit.
    """

    family = "resnet"

    def __init__(
        self,
        arch: str,
        *,
        attention: str | None = None,
        attention_args: dict[str, Any] | None = None,
        sharing: str = "stage",
        scheme: ConnectionScheme | str | None = None,
        supernet: bool = False,
        widths: WidthPlan | str | None = None,
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
        super().__init__(
            arch,
            widths=widths,
            num_classes=num_classes,
            in_channels=in_channels,
            out_indices=out_indices,
            output_stride=output_stride,
            strides=strides,
            stem_stride=stem_stride,
            conv_bias=conv_bias,
            frozen_stages=frozen_stages,
            norm_eval=norm_eval,
            with_cp=with_cp,
            channels_last=channels_last,
        )
        if sharing not in SHARING:
            raise UserInputError(f"sharing={sharing!r}: expected one of {', '.join(map(repr, SHARING))}")
        self.supernet, self.sharing = supernet, sharing
        self._scheme = self._read_scheme(scheme, attention)
        if attention is not None:
            self.attention = self._build_attention(attention, attention_args or {})
        self._finish()

    # ---- construction

    def _build_stem(self, in_channels: int, stride: int, bias: bool) -> None:
        channels = self.arch.stem_channels
        kernel = 7 if self.arch.stem == "imagenet" else 3
        self.conv1 = nn.Conv2d(in_channels, channels, kernel, stride=min(stride, 2), padding=kernel // 2, bias=bias)
        self.bn1 = nn.BatchNorm2d(channels)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1) if stride == 4 else nn.Identity()

    def _block(self, stage: int, block: int, in_channels: int, **options: Any) -> Block:
        kind = BLOCKS[self.arch.block]
        return kind(in_channels, self.arch.channels[stage], self.widths.stages[stage][block], **options)

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

    @property
    def stem_modules(self) -> tuple[nn.Module, ...]:
        """What has parameters before the first block."""
        return self.conv1, self.bn1

    def _frozen_modules(self) -> Iterator[nn.Module]:
        yield from super()._frozen_modules()
        held: Any = getattr(self, "attention", {})
        for stage in range(min(self.frozen_stages, self.stages_built)):
            if (key := f"layer{stage + 1}") in held:
                yield held[key]

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

    def stem_map(self, x_NCHW: Tensor) -> Tensor:
        """The stem but for its pooling."""
        return self.relu(self.bn1(self.conv1(x_NCHW)))

    def _connections(self, stage: int, weights_m: Tensor | None) -> list[tuple[Attention, Tensor | None] | None]:
        """SAM and soft weight of each of a stage's blocks, None where it is plain."""
        first, found = sum(self.arch.depths[:stage]), []
        for block, bit in enumerate(self._scheme.stages[stage]):
            sam = self.sam(stage, block) if bit or weights_m is not None else None
            weight = None if weights_m is None else weights_m[first + block]
            found.append(None if sam is None else (sam, weight))
        return found

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

"""What the networks of all families share: stem, stages, features at strides, and a classifier where one is wanted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, ClassVar, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from backbones.arch import ArchSpec, get_arch
from backbones.attention import Attention
from backbones.attention.base import he_init_
from backbones.blocks import Block, Place, Stage
from backbones.errors import UserInputError
from backbones.memory_format import to_memory_format
from backbones.options import TrunkOptions
from backbones.scheme import ConnectionScheme
from backbones.widths import WidthPlan


class Trunk(nn.Module):
    """A network whose stages are `layer1`, `layer2`, ..., each a `Stage` of `Block`s.

    A family's class says how stem and blocks are built; it may add a classifier's own layers, and SAMs.

    Args:
        arch: a name of `backbones.arch.ARCHITECTURES`, of this family.
        widths: channels left inside the blocks, as a plan or as text; default all of them.
        num_classes: put out logits (N, num_classes) instead of features.
        in_channels: channels of the image.
        out_indices: 0-based stages to put out, or from the last (-1), default the last. Later stages are not built.
        output_stride: greatest stride; later stages dilate instead, by torchvision's rule.
        strides: stride of each stage, without dilation; default (1, 2, 2, ...).
        stem_stride: 1, 2 or 4; default the architecture's own.
        conv_bias: give every convolution a bias, as the authors' FBResNet does.
        frozen_stages: -1 none, 0 the stem, i also stages 1..i: no gradients, batch normalisation in eval mode.
        norm_eval: keep all batch normalisation in eval mode while training.
        with_cp: recompute blocks in the backward pass instead of keeping their activations.
        channels_last: memory format of weights and maps; on CPUs about half the time of a training step, as long as
            what follows takes its input as it comes (mmsegmentation's heads do).

    Attributes:
        family: the family's name.
        head_prefixes: what keys of a classifier's parameters begin with.
        norm_follows_conv: `bnN` follows each `convN`, so that a convolution's bias can be folded into its mean.
        widths: see above; changed by `backbones.sites.prune` alone.

    Raises:
        UserInputError: names what does not fit.
    """

    family: ClassVar[str]
    head_prefixes: ClassVar[tuple[str, ...]] = ("fc.",)
    norm_follows_conv: ClassVar[bool] = True
    supernet = False
    conv1: nn.Conv2d
    maxpool: nn.Module
    fc: nn.Linear

    def __init__(
        self,
        arch: str,
        *,
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
        super().__init__()
        self.arch = self._own_arch(arch)
        options = TrunkOptions(self.arch, out_indices, output_stride, strides, stem_stride, num_classes, frozen_stages)
        self.widths = self._read_widths(widths)
        self.out_indices, self.stages_built = options.out_indices, options.stages_built
        self.num_classes = num_classes
        self.frozen_stages, self.norm_eval, self.with_cp = frozen_stages, norm_eval, with_cp
        self.feature_info = options.feature_info
        self.memory_format = torch.channels_last if channels_last else torch.preserve_format
        self._build_stem(in_channels, options.stem_stride, conv_bias)
        self._build_stages(options, conv_bias)
        if num_classes is not None:
            self._build_head(num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                he_init_(module)
        self._finish()

    # ---- construction

    def _own_arch(self, name: str) -> ArchSpec:
        arch = get_arch(name)
        if arch.family != self.family:
            raise UserInputError(
                f"architecture {name!r} is one of {arch.family}, and {type(self).__name__} builds those of "
                f"{self.family}; backbones.create_backbone finds the class of each"
            )
        return arch

    def _read_widths(self, widths: WidthPlan | str | None) -> WidthPlan:
        if widths is None:
            return WidthPlan.full(self.arch.inner)
        return WidthPlan.parse(widths, self.arch.inner) if isinstance(widths, str) else widths.check(self.arch.inner)

    def _build_stem(self, in_channels: int, stride: int, bias: bool) -> None:
        raise NotImplementedError

    def _build_stages(self, options: TrunkOptions, bias: bool) -> None:
        channels = self.conv1.out_channels
        for stage, depth in enumerate(self.arch.depths[: self.stages_built]):
            dilation, blocks = options.dilations[stage], []
            for place in range(depth):
                before = options.dilations[stage - 1] if stage and not place else dilation
                stride = 1 if place else options.strides[stage]
                blocks.append(
                    self._block(stage, place, channels, stride=stride, dilations=(before, dilation), bias=bias)
                )
                channels = self.arch.block_channels(stage, place)
            setattr(self, f"layer{stage + 1}", Stage(*blocks))

    def _block(self, stage: int, block: int, in_channels: int, **options: Any) -> Block:
        """A block (0-based stage and place in it); `options` are stride, dilations and bias."""
        raise NotImplementedError

    def _build_head(self, num_classes: int) -> None:
        self.fc = nn.Linear(self._build_last(), num_classes)

    def _build_last(self) -> int:
        """Builds what a classifier has before its pooling; returns the channels that are pooled."""
        return self.arch.pooled_channels

    def _finish(self) -> None:
        """Freezes stages and lays out the weights, once all modules are there."""
        for module in self._frozen_modules():
            module.requires_grad_(False)
        to_memory_format(self, self.memory_format)

    # ---- parts

    @property
    def scheme(self) -> ConnectionScheme:
        """Which blocks are connected to SAMs: none, unless a family says otherwise."""
        return ConnectionScheme.empty(self.arch.depths)

    def sam(self, stage: int, block: int) -> Attention | None:
        """The SAM of a block (0-based stage and block), whether connected or not; None where none is held."""
        return None

    @property
    def stem_modules(self) -> tuple[nn.Module, ...]:
        """What has parameters before the first block."""
        return (self.conv1,)

    def places(self, stage: int, block: int) -> tuple[Place, ...]:
        """The places inside a block (0-based stage and block), by names in the network."""
        prefix = f"layer{stage + 1}.{block}."
        inside: Block = self.get_submodule(prefix[:-1])  # type: ignore[assignment]
        return tuple(
            Place(prefix + place.producer, tuple(prefix + name for name in place.carried), prefix + place.consumer)
            for place in inside.places
        )

    def _frozen_modules(self) -> Iterator[nn.Module]:
        if self.frozen_stages >= 0:
            yield from self.stem_modules
        for stage in range(min(self.frozen_stages, self.stages_built)):
            yield getattr(self, f"layer{stage + 1}")

    def train(self, mode: bool = True) -> Self:
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

    # ---- forward

    def stem(self, x_NCHW: Tensor) -> Tensor:
        """Everything before the first block."""
        return self.maxpool(self.stem_map(x_NCHW))

    def stem_map(self, x_NCHW: Tensor) -> Tensor:
        """The stem but for its pooling."""
        raise NotImplementedError

    @staticmethod
    def feature(x: Any) -> Tensor:
        """The feature map in what a block hands on: all of it, unless a family's blocks hand on more than one map."""
        return x

    def before_pool(self, x_NCHW: Tensor) -> Tensor:
        """What a classifier pools of the last stage's map."""
        return x_NCHW

    def head(self, x_NCHW: Tensor) -> Tensor:
        """Logits (N, num_classes) of the last stage's map."""
        return self.fc(F.adaptive_avg_pool2d(self.before_pool(x_NCHW), 1).flatten(1))

    def _connections(self, stage: int, weights_m: Tensor | None) -> Any:
        """SAM and soft weight of each of a stage's blocks, None where it is plain; None: all are."""
        return None

    def forward(self, x_NCHW: Tensor) -> Any:
        """Returns a tuple of feature maps, one for each of `out_indices`, or logits with `num_classes`.

        Args:
            x_NCHW: normalised images.
        """
        x, features = self.stem(x_NCHW.to(memory_format=self.memory_format)), []
        recompute = self.with_cp and torch.is_grad_enabled()
        for stage in range(self.stages_built):
            layer: Stage = getattr(self, f"layer{stage + 1}")
            x = layer(x, recompute=recompute)
            if stage in self.out_indices:
                features.append(self.feature(x))
        return tuple(features) if self.num_classes is None else self.head(x)

"""Checks a ResNet's geometry options and works out strides and dilations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from backbones.arch import ArchSpec
from backbones.errors import UserInputError


class FeatureInfo(NamedTuple):
    """One feature map that the network puts out: 0-based stage, channels, stride against the image.

    By timm's keys too: `["num_chs"]`, `["reduction"]`, `["module"]`.
    """

    stage: int
    channels: int
    stride: int

    def __getitem__(self, key: Any) -> Any:
        """By position, or by one of timm's keys; raises `KeyError` where there is no such key."""
        if isinstance(key, str):
            return {"num_chs": self.channels, "reduction": self.stride, "module": f"layer{self.stage + 1}"}[key]
        return tuple.__getitem__(self, key)  # a NamedTuple's methods have no super()


class FeatureInfos(tuple[FeatureInfo, ...]):
    """The feature maps that a network puts out, in order; answers as timm's `feature_info` does."""

    __slots__ = ()

    def channels(self, idx: int | None = None) -> Any:
        """Channels of each map, or of the one at `idx`."""
        return [info.channels for info in self] if idx is None else self[idx].channels

    def reduction(self, idx: int | None = None) -> Any:
        """Stride of each map against the image, or of the one at `idx`."""
        return [info.stride for info in self] if idx is None else self[idx].stride


class TrunkOptions:
    """Strides, dilations and stages to build, from what the user asked for.

    Attributes:
        out_indices: 0-based stages to put out.
        stages_built: number of stages that are needed for them.
        stem_stride: 1, 2 or 4.
        strides: stride of each stage built.
        dilations: dilation of each stage built.
        feature_info: stage, channels and stride of each feature map put out.
    """

    def __init__(
        self,
        arch: ArchSpec,
        out_indices: Sequence[int] | None = None,
        output_stride: int | None = None,
        strides: Sequence[int] | None = None,
        stem_stride: int | None = None,
        num_classes: int | None = None,
        frozen_stages: int = -1,
    ) -> None:
        total = len(arch.depths)
        self.out_indices = _out_indices(arch, out_indices, num_classes)
        self.stages_built = max(self.out_indices) + 1
        self.stem_stride = arch.stem_stride if stem_stride is None else stem_stride
        if self.stem_stride not in (1, 2, 4):
            raise UserInputError(f"stem_stride={stem_stride}: expected 1, 2 or 4")
        if not -1 <= frozen_stages <= total:
            raise UserInputError(f"frozen_stages={frozen_stages}: expected -1 (none) to {total} for {arch.name}")
        if strides is not None and output_stride is not None:
            raise UserInputError("strides and output_stride exclude each other: strides never dilates, give one")
        wanted = _strides(arch, strides, self.stages_built)
        self.strides, self.dilations, reached = _dilate(wanted, self.stem_stride, output_stride)
        self.feature_info = FeatureInfos(FeatureInfo(i, arch.channels[i], reached[i]) for i in self.out_indices)


def _out_indices(arch: ArchSpec, out_indices: Sequence[int] | None, num_classes: int | None) -> tuple[int, ...]:
    total = len(arch.depths)
    last = total - 1
    if num_classes is not None:
        if num_classes < 1:
            raise UserInputError(f"num_classes={num_classes}: expected 1 or more")
        if out_indices is not None:
            raise UserInputError("out_indices and num_classes exclude each other: a classifier puts out logits")
        return (last,)
    indices = (last,) if out_indices is None else tuple(i + total if -total <= i < 0 else i for i in out_indices)
    if not indices or list(indices) != sorted(set(indices)) or not all(0 <= i <= last for i in indices):
        raise UserInputError(
            f"out_indices={tuple(out_indices or ())}: expected rising 0-based stages of {arch.name}, 0 to {last}, or "
            f"counted from the last, -{total} to -1"
        )
    return indices


def _strides(arch: ArchSpec, strides: Sequence[int] | None, built: int) -> list[int]:
    total = len(arch.depths)
    if strides is None:
        return [1, *[2] * (total - 1)][:built]
    if len(strides) not in (built, total) or any(stride not in (1, 2) for stride in strides):
        raise UserInputError(f"strides={tuple(strides)}: expected {built} numbers, each 1 or 2, one a stage")
    return list(strides)[:built]


def _dilate(
    wanted: list[int], stem_stride: int, output_stride: int | None
) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
    """Replaces strides past `output_stride` by dilation, as torchvision's `replace_stride_with_dilation` does."""
    if output_stride is not None and (output_stride < stem_stride or output_stride & (output_stride - 1)):
        raise UserInputError(
            f"output_stride={output_stride}: expected a power of 2, at least the stem's stride {stem_stride}"
        )
    strides, dilations, cumulative = [], [], []
    total, dilation = stem_stride, 1
    for stride in wanted:
        if output_stride is not None and total * stride > output_stride:
            dilation, stride = dilation * stride, 1
        total *= stride
        strides.append(stride)
        dilations.append(dilation)
        cumulative.append(total)
    return tuple(strides), tuple(dilations), tuple(cumulative)

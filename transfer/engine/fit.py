"""What a task needs of a backbone, as options of the network: so that a config works with any backbone's name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from backbones.arch import ArchSpec, get_arch
from backbones.card import BackboneCard
from backbones.errors import UserInputError
from backbones.fetch import TRUNK_FILES
from backbones.options import FeatureInfo, TrunkOptions

_GEOMETRY = ("out_indices", "output_stride", "strides", "stem_stride", "num_classes", "frozen_stages")


def fit_stride(arch: ArchSpec, stride: int | None, dilate: bool = False, **options: Any) -> dict[str, Any]:
    """Completes the options of a network so that the last stage that it puts out has `stride`.

    A network of finer maps gets a stem of greater stride. One of coarser maps leaves out strides, from the last stage
    backwards, and dilates instead if told to.

    Args:
        arch: the network.
        stride: against the image; None leaves the options as they are.
        dilate: see above; CSRNet and C-3-Framework do not, PSPNet and DeepLab do.
        options: of the network; `strides`, `stem_stride` and `output_stride` are taken as given, if any is.

    Raises:
        UserInputError: the network cannot have this stride, or has another with the options given.
    """
    if stride is None:
        return options
    geometry = {key: value for key, value in options.items() if key in _GEOMETRY and value is not None}
    if not {"strides", "stem_stride", "output_stride"} & geometry.keys():
        last = TrunkOptions(arch, **geometry).stages_built - 1
        fitted = _fitted(arch.stem_stride, last, stride, dilate)
        if fitted is None:
            raise UserInputError(
                f"RegisteredBackbone: stride={stride}: stage {last + 1} of {arch.name} has stride "
                f"{arch.stem_stride * 2**last}, expected a power of 2 up to {4 * 2**last}"
            )
        options, geometry = {**options, **fitted}, {**geometry, **fitted}
    reached = TrunkOptions(arch, **geometry).feature_info[-1].stride
    if reached != stride:
        raise UserInputError(
            f"RegisteredBackbone: stride={stride}, but strides, stem_stride or output_stride give {arch.name} stride "
            f"{reached}; leave them out, or stride"
        )
    return options


def _fitted(stem: int, last: int, stride: int, dilate: bool) -> dict[str, Any] | None:
    """Stem and stages up to `last` for a stride, None where there is no way."""
    if stride < 1 or stride & (stride - 1) or stride > 4 * 2**last:
        return None
    if stem * 2**last <= stride:
        return {"stem_stride": stride // 2**last}
    stem = min(stem, stride)
    if dilate:
        return {"stem_stride": stem, "output_stride": stride}
    halvings = (stride // stem).bit_length() - 1  # by the stages after the first, which has none
    return {"stem_stride": stem, "strides": tuple(2 if 1 <= stage <= halvings else 1 for stage in range(last + 1))}


def features_of(
    card: BackboneCard,
    *,
    out_indices: Sequence[int] | None = None,
    stride: int | None = None,
    dilate: bool = False,
    **options: Any,
) -> tuple[FeatureInfo, ...]:
    """The feature maps that a registered backbone of these config keys puts out; nothing is built."""
    arch = get_arch(card.arch)
    options = fit_stride(arch, stride, dilate, out_indices=out_indices, **options)
    return TrunkOptions(arch, **{key: options[key] for key in _GEOMETRY if options.get(key) is not None}).feature_info


def possible_init(card: BackboneCard, init: str) -> str:
    """Where a backbone starts from: `init`, or what takes its place where this card has no such thing.

    `"auto"` stands for the card's own weights, else the trunk's, else none. There are no trunk weights of CIFAR's
    networks: `"trunk"` then means the same as `"auto"`. None fit pruned widths, which refuse `"trunk"` where there are.
    """
    if init not in ("auto", "trunk") or (init == "trunk" and card.arch in TRUNK_FILES):
        return init
    if card.weights is not None:
        return "full"
    return "trunk" if card.arch in TRUNK_FILES and card.widths is None else "scratch"

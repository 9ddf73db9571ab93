"""Fits mmsegmentation's segmentors to the registered backbone that they are given, before anything is built.

Importing it makes `EncoderDecoder`, and what is derived from it, complete its own config by `fit_segmentor`.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from mmengine.config import ConfigDict
from mmseg.models.segmentors import EncoderDecoder

from backbones.arch import get_arch
from backbones.card import BackboneCard
from backbones.errors import UserInputError
from backbones.registry import get_card
from backbones.resnet import FeatureInfo
from transfer.engine.fit import features_of

_HEADS = ("decode_head", "auxiliary_head")
_NOT_OF_THE_NETWORK = frozenset({"type", "name", "init", "weights", "pretrained", "init_cfg", "_scope_"})


class Reader(NamedTuple):
    """A head, and what its config says that it reads of the backbone's feature maps.

    Attributes:
        key: its key in the config, such as `model.decode_head`.
        indices: places among the feature maps.
        channels: of each of them; None where the config leaves them to the backbone.
        several: whether it reads a list of maps.
        low: channels of the first map, which `DepthwiseSeparableASPPHead` reads as well; 0 for other heads.
    """

    key: str
    indices: tuple[int, ...]
    channels: tuple[int, ...] | None
    several: bool
    low: int = 0

    def fits(self, features: Sequence[FeatureInfo]) -> bool:
        """Whether these feature maps are what it reads."""
        count = len(features)
        if not all(-count <= index < count for index in self.indices):
            return False
        found = tuple(features[index].channels for index in self.indices)
        return self.channels in (None, found) and self.low in (0, features[0].channels)


def fit_segmentor(model: Mapping[str, Any]) -> dict[str, Any]:
    """Completes the arguments of a segmentor by what follows from its registered backbone; others stay as they are.

    - `backbone.out_indices`: if nothing is said, the last stage, or where heads or neck read more, all of theirs.
    - `in_channels` of heads that leave it out.
    - `mean` and `std` of a `SegDataPreProcessor` that has neither: the card's.

    Args:
        model: arguments of `EncoderDecoder`, or of a class derived from it; they are not changed.

    Raises:
        UserInputError: a head or neck that does not fit the feature maps; the line says which keys to set.
    """
    backbone = model.get("backbone")
    if not isinstance(backbone, Mapping) or not _is_registered(backbone.get("type")) or "name" not in backbone:
        return dict(model)
    card = get_card(backbone["name"])
    readers = [] if model.get("neck") else [_reader(key, head) for key, head in _heads(model)]
    backbone = _with_outputs(card, backbone, readers, model.get("neck"))
    features = _features(card, backbone)
    _check_neck(card, model.get("neck"), features)
    _check_heads(card, readers, features)
    filled = {key: _filled(model.get(key), features) for key in _HEADS if not model.get("neck")}
    return {**model, **filled, "backbone": backbone, **_statistics(card, model.get("data_preprocessor"))}


def _is_registered(kind: Any) -> bool:
    name = kind if isinstance(kind, str) else getattr(kind, "__name__", "")
    return name.rpartition(".")[2] == "RegisteredBackbone"


def _features(card: BackboneCard, backbone: Mapping[str, Any]) -> tuple[FeatureInfo, ...]:
    return features_of(card, **{key: value for key, value in backbone.items() if key not in _NOT_OF_THE_NETWORK})


def _heads(model: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Configs of all heads by their keys; heads that are built already are not looked at."""
    for key in _HEADS:
        found = model.get(key)
        if isinstance(found, Mapping):
            yield f"model.{key}", found
        for place, head in enumerate(found if isinstance(found, (list, tuple)) else ()):
            yield f"model.{key}.{place}", head


def _reader(key: str, head: Mapping[str, Any]) -> Reader:
    channels = head.get("in_channels")
    several = isinstance(channels, (list, tuple))
    index = head.get("in_index", tuple(range(len(channels))) if several else -1)
    indices = tuple(index) if isinstance(index, (list, tuple)) else (index,)
    if channels is not None:
        channels = tuple(channels) if several else (channels,)
    return Reader(key, indices, channels, isinstance(index, (list, tuple)), head.get("c1_in_channels") or 0)


def _with_outputs(
    card: BackboneCard, backbone: Mapping[str, Any], readers: Sequence[Reader], neck: Mapping[str, Any] | None
) -> Mapping[str, Any]:
    """The backbone's config with `out_indices`, if nothing is said."""
    if backbone.get("out_indices") is not None:
        return backbone
    stages = len(get_arch(card.arch).depths)
    last = _features(card, {**backbone, "out_indices": (-1,)})
    if neck:
        wanted = min(stages, len(neck["in_channels"])) if isinstance(neck.get("in_channels"), (list, tuple)) else stages
    else:
        wanted = 1 if all(reader.fits(last) for reader in readers) else stages
    return ConfigDict(backbone, out_indices=tuple(range(stages - wanted, stages)))


def _filled(heads: Any, features: Sequence[FeatureInfo]) -> Any:
    """Head configs with `in_channels`."""
    if isinstance(heads, (list, tuple)):
        return [_filled(head, features) for head in heads]
    if not isinstance(heads, Mapping) or heads.get("in_channels") is not None:
        return heads
    reader = _reader("", heads)
    channels = [features[index].channels for index in reader.indices]
    return ConfigDict(heads, in_channels=channels if reader.several else channels[0])


def _statistics(card: BackboneCard, preprocessor: Any) -> dict[str, Any]:
    """The card's mean and std, for pixel values up to 255."""
    if not isinstance(preprocessor, Mapping) or "mean" in preprocessor or "std" in preprocessor:
        return {}
    if str(preprocessor.get("type")).rpartition(".")[2] != "SegDataPreProcessor":
        return {}
    scaled = {key: [255 * value for value in values] for key, values in (("mean", card.mean), ("std", card.std))}
    return {"data_preprocessor": ConfigDict(preprocessor, **scaled)}


# ---- what does not fit


def _check_heads(card: BackboneCard, readers: Sequence[Reader], features: Sequence[FeatureInfo]) -> None:
    wrong = [reader for reader in readers if not reader.fits(features)]
    if not wrong:
        return
    said = ", ".join(f"{reader.key} reads {_described(reader)}" for reader in wrong)
    beyond = max(0, max(index for reader in readers for index in reader.indices) - (len(features) - 1))
    mended = " ".join(_mended(reader, features, beyond) for reader in wrong)
    raise UserInputError(f"{_put_out(card, features)}, but {said}; set {mended}")


def _check_neck(card: BackboneCard, neck: Mapping[str, Any] | None, features: Sequence[FeatureInfo]) -> None:
    channels, found = (neck or {}).get("in_channels"), [feature.channels for feature in features]
    if isinstance(channels, (list, tuple)) and list(channels) != found:
        raise UserInputError(
            f"{_put_out(card, features)}, but model.neck.in_channels={list(channels)}; set "
            f"model.neck.in_channels={_listed(found)}"
        )


def _put_out(card: BackboneCard, features: Sequence[FeatureInfo]) -> str:
    channels = ", ".join(str(feature.channels) for feature in features)
    return f"config key model.backbone: {card.name!r} puts out {len(features)} feature map(s), of {channels} channels"


def _described(reader: Reader) -> str:
    index = list(reader.indices) if reader.several else reader.indices[0]
    channels = "" if reader.channels is None else f" of {', '.join(map(str, reader.channels))} channels"
    return f"in_index={index}{channels}" + (f", and a first map of {reader.low}" if reader.low else "")


def _mended(reader: Reader, features: Sequence[FeatureInfo], beyond: int) -> str:
    """The options that mend a head: the same maps counted from the last, or the first where there are not as many."""
    count = len(features)
    if reader.several:
        moved = [index - beyond for index in reader.indices if index >= beyond] or [count - 1]
    else:
        moved = [max(index, -count) if index < 0 else max(index - beyond, 0) for index in reader.indices]
    channels = [features[index].channels for index in moved]
    values = {"in_index": _listed(moved), "in_channels": _listed(channels)}
    if not reader.several:
        values = {"in_index": str(moved[0]), "in_channels": str(channels[0])}
    if reader.low:
        values["c1_in_channels"] = str(features[0].channels)
    return " ".join(f"{reader.key}.{name}={value}" for name, value in values.items())


def _listed(values: Sequence[int]) -> str:
    """As `--cfg-options` takes a list."""
    return f"[{','.join(map(str, values))}]"


# ---- mmsegmentation


def _fitting(construct: Callable[..., None]) -> Callable[..., None]:
    signature = inspect.signature(construct)

    @functools.wraps(construct)
    def fitted(self: Any, *args: Any, **kwargs: Any) -> None:
        given = dict(signature.bind(self, *args, **kwargs).arguments)
        construct(given.pop("self"), **fit_segmentor(given))

    return fitted


EncoderDecoder.__init__ = _fitting(EncoderDecoder.__init__)

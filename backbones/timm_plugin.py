"""The registered backbones as models of timm; importing this module registers them.

    import timm, backbones.timm_plugin

    timm.create_model("resnet50_share_ean_sge.imagenet", features_only=True, output_stride=8)

A name is the card's own, with or without its tag. Where timm has another network of that name (its own `resnet50`),
ours is called `ean_` and the name. Unlike timm's, the tag may name another connection scheme, not weights alone.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from backbones.arch import FAMILIES, get_arch
from backbones.card import BackboneCard
from backbones.compat import guard_torchvision
from backbones.errors import UserInputError
from backbones.hub import CARD, read_folder
from backbones.key_mapping import match_conv_biases, own_keys
from backbones.registry import STORE, get_card, network_options
from backbones.trunk import Trunk
from backbones.weights import check_finite

guard_torchvision()  # before timm imports it

from timm import models  # noqa: E402
from timm.layers import create_classifier  # noqa: E402
from timm.models._features import feature_take_indices  # noqa: E402

FEATURE_CLASSES = ("getter", "hook")
"""timm's ways of taking features that run the network as it is; the others take its stages out, without their SAMs."""

_PREFIX = "ean_"
_CROP = {"imagenet": 0.875, "cifar": 1.0}
"""Side of the centre crop against the image, by the kind of stem, as the published figures have it."""

_log = logging.getLogger(__name__)

default_cfgs: dict[str, Any] = {}
"""timm's `DefaultCfg` by name without the tag; `timm.models.register_model` looks for it under this name."""


class TimmBackbone(Trunk):
    """A registered backbone with the methods of timm's models; its parameters are called as `create_backbone`'s are.

    It comes before a family's class, see `CLASSES`.

    Args:
        card: which one.
        num_classes: size of the classifier; 0: the pooled map of the last stage.
        in_chans: channels of the image.
        output_stride: see `Trunk`.
        global_pool: timm's name of a pooling (`avg`, `max`, ...); empty: none, with `num_classes=0`.
        drop_rate: dropout before the classifier.
        options: further arguments of the family's class.

    Raises:
        UserInputError: names what does not fit.
    """

    global_pool: Any

    def __init__(
        self,
        card: BackboneCard,
        *,
        num_classes: int = 0,
        in_chans: int = 3,
        output_stride: int | None = None,
        global_pool: str = "avg",
        drop_rate: float = 0.0,
        **options: Any,
    ) -> None:
        if "out_indices" in options:
            raise UserInputError(f"backbone {card.name!r}: out_indices is given beside features_only=True alone")
        stages = range(len(get_arch(card.arch).depths))
        own = {"in_channels": in_chans, "output_stride": output_stride, "out_indices": stages}
        super().__init__(card.arch, **network_options(card, {**own, **options}))
        self.in_chans, self.drop_rate = in_chans, drop_rate
        self.num_features = self._build_last()
        keys = ("num_chs", "reduction", "module")
        self.feature_info: Any = [{key: info[key] for key in keys} for info in self.feature_info]
        self.stem_maps = 0 if isinstance(self.maxpool, nn.Identity) else 1
        if self.stem_maps:
            module = next(name for name in ("relu", "bn1", "conv1") if hasattr(self, name))
            stem = {"num_chs": self.conv1.out_channels, "reduction": self.conv1.stride[0], "module": module}
            self.feature_info.insert(0, stem)
        self.reset_classifier(num_classes, global_pool)

    # ---- the classifier

    def get_classifier(self, name_only: bool = False) -> nn.Module | str:
        """The last layer, or its name."""
        return "fc" if name_only else self.fc

    def reset_classifier(self, num_classes: int, global_pool: str | None = None) -> None:
        """Puts a fresh classifier in; `global_pool` stays as it is where it is None."""
        if global_pool is None:
            global_pool = self.global_pool.pool_type
        self.num_classes = num_classes
        self.global_pool, fc = create_classifier(self.num_features, num_classes, pool_type=global_pool)
        self.fc = fc.to(self.conv1.weight)
        self.head_hidden_size = self.num_features * self.global_pool.feat_mult()
        self.global_pool.train(self.training)
        self.fc.train(self.training)

    # ---- parameters

    def set_grad_checkpointing(self, enable: bool = True) -> None:
        """Recompute activations in the backward pass, or keep them."""
        self.with_cp = enable

    def group_matcher(self, coarse: bool = False) -> dict[str, Any]:
        """Parameters by depth: a stage's SAM goes with its stage, behind its blocks; that of a block with the block."""
        if coarse:
            return {"stem": r"^conv1|bn1", "blocks": r"^(?:attention\.)?layer(\d+)"}
        block, shared = r"^(?:attention\.)?layer(\d+)\.(\d+)\.", r"^attention\.layer(\d+)\.(?!\d+\.)"
        return {"stem": r"^conv1|bn1", "blocks": [(block, None), (shared, (99999,))]}

    def no_weight_decay(self) -> set[str]:
        """None by name; timm leaves out biases and all else of one dimension anyway."""
        return set()

    # ---- forward

    def forward(self, x_NCHW: Tensor, weights: Tensor | None = None) -> Any:
        """Logits (N, num_classes), or with `num_classes=0` the pooled map."""
        return self.forward_head(self.forward_features(x_NCHW, weights))

    def forward_features(self, x_NCHW: Tensor, weights: Tensor | None = None) -> Tensor:
        """What is pooled: the last stage's map, or what a family makes of it."""
        return self.before_pool(self._run(x_NCHW, (), self.stages_built, weights)[0])

    def forward_head(self, x_NCHW: Tensor, pre_logits: bool = False) -> Tensor:
        """Pooling, dropout, classifier; without the last with `pre_logits`."""
        x = F.dropout(self.global_pool(x_NCHW), self.drop_rate, self.training)
        return x if pre_logits else self.fc(x)

    head = forward_head

    def forward_intermediates(
        self,
        x_NCHW: Tensor,
        indices: int | list[int] | None = None,
        norm: bool = False,
        stop_early: bool = False,
        output_fmt: str = "NCHW",
        intermediates_only: bool = False,
    ) -> Any:
        """The last map and those that `indices` ask for, or the latter only.

        Args:
            x_NCHW: normalised images.
            indices: positions in `feature_info`; a number: so many of the last; None: all.
            norm: changes nothing, the maps are normalised already.
            stop_early: run no stage behind the last of `indices`.
            output_fmt: `NCHW`.
            intermediates_only: leave the last map out.
        """
        if output_fmt != "NCHW":
            raise UserInputError(f"output_fmt={output_fmt!r}: expected 'NCHW'")
        taken, last = feature_take_indices(len(self.feature_info), indices)
        x, maps = self._run(x_NCHW, taken, last + 1 - self.stem_maps if stop_early else self.stages_built)
        return maps if intermediates_only else (x, maps)

    def _run(
        self, x: Tensor, taken: Sequence[int], stages: int, weights: Tensor | None = None
    ) -> tuple[Tensor, list[Tensor]]:
        """The map behind so many stages, and those of `feature_info` that are taken."""
        x = self.stem_map(x.to(memory_format=self.memory_format))
        maps = [x] if self.stem_maps and 0 in taken else []
        x = self.maxpool(x)
        for stage in range(min(stages, self.stages_built)):
            connections = self._connections(stage, weights)
            recompute = self.with_cp and torch.is_grad_enabled()
            x = getattr(self, f"layer{stage + 1}")(x, connections=connections, recompute=recompute)
            if stage + self.stem_maps in taken:
                maps.append(self.feature(x))
        return self.feature(x), maps

    def prune_intermediate_layers(
        self, indices: int | list[int] = 1, prune_norm: bool = False, prune_head: bool = True
    ) -> list[int]:
        """Drops the stages behind the last of `indices`, and the classifier; returns the indices from the first on."""
        taken, last = feature_take_indices(len(self.feature_info), indices)
        kept = last + 1 - self.stem_maps
        held: Any = getattr(self, "attention", {})
        for key in [f"layer{stage + 1}" for stage in range(kept, self.stages_built)]:
            delattr(self, key)
            if key in held:
                del held[key]
        if kept < self.stages_built:
            self.stages_built, prune_head = kept, True
        if prune_head:
            self.num_features = self.feature_info[last]["num_chs"]
            if hasattr(self, "last"):
                del self.last
            self.reset_classifier(0, "")
        return taken


CLASSES: dict[str, Any] = {
    name: type(f"Timm{family.network().__name__}", (TimmBackbone, family.network()), {"__module__": __name__})
    for name, family in FAMILIES.items()
}
"""The class of each family; copies and pickles find it in this module by its name."""
globals().update({made.__name__: made for made in CLASSES.values()})


# ---- registering


def timm_name(card: BackboneCard) -> str:
    """What timm knows a card by, tag included."""
    stem = card.name.partition(".")[0]
    foreign = models.is_model(stem) and stem not in default_cfgs
    return f"{_PREFIX if foreign else ''}{card.name}"


def register_backbones() -> list[str]:
    """Registers every card in timm, those of `TRANSFER_CARDS` too, and returns their names there.

    Importing the module does it once; call it again for cards that came later. A broken card is logged and left out.
    """
    cards, broken = STORE.readable()
    for line in broken:
        _log.warning(line)
    cards = sorted(cards, key=lambda card: not card.default)
    names = {timm_name(card): card for card in cards}
    configs = {f"{name}{'*' if card.default else ''}": timm_cfg(card) for name, card in names.items()}
    default_cfgs.update(models.generate_default_cfgs(configs))
    for name, card in {name.partition(".")[0]: card for name, card in names.items()}.items():
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Overwriting .* in registry")  # by itself
            models.register_model(_entrypoint(name, card.name.partition(".")[0]))
    return sorted(names)


def timm_cfg(card: BackboneCard) -> Any:
    """What timm must know of a card: its weights, if it has any, and its images."""
    arch, weights, size = get_arch(card.arch), card.weights, card.input.size
    stride = arch.stem_stride * 2 ** (len(arch.depths) - 1)
    beside = _beside(card)
    return models.PretrainedCfg(
        file=str(beside) if beside is not None else None,
        url=weights.url if weights is not None else None,
        tag=card.name.partition(".")[2],
        input_size=(3, size, size),
        interpolation="bilinear",
        crop_pct=_CROP[arch.stem],
        mean=card.mean,
        std=card.std,
        num_classes=_classes(card),
        pool_size=(size // stride, size // stride),
        first_conv="conv1",
        classifier="fc",
        license=weights.licence if weights is not None else None,
        description=card.summary or None,
    )


def hub_config(card: BackboneCard) -> dict[str, Any]:
    """The `config.json` of a folder that `timm.create_model("local-dir:FOLDER")` loads."""
    config = timm_cfg(card).to_dict(remove_source=True)
    return {
        "architecture": timm_name(card).partition(".")[0],
        "num_classes": config["num_classes"],
        "num_features": get_arch(card.arch).pooled_channels,
        "global_pool": "avg",
        "pretrained_cfg": config,
    }


def _beside(card: BackboneCard) -> Path | None:
    """The weights file that lies beside a card."""
    if card.weights is None or card.weights.file is None or card.path is None:
        return None
    return card.path.with_name(card.weights.file)


def _classes(card: BackboneCard) -> int:
    """Of the classifier in the card's weights; without weights, of that by which its parameters were counted."""
    from safetensors import SafetensorError, safe_open

    if (beside := _beside(card)) is not None:
        try:
            with safe_open(beside, framework="pt") as file:
                return file.get_slice("fc.weight").get_shape()[0] if "fc.weight" in file.keys() else 0  # noqa: SIM118
        except (OSError, SafetensorError):
            pass  # loading them will say what is wrong
    return (card.parameters.num_classes or 0) if card.parameters is not None else 0


# ---- creating


def _entrypoint(name: str, stem: str) -> Any:
    """The function that timm calls for `timm.create_model("name.tag")`; a card's name begins with `stem`."""

    def create(pretrained: bool = False, pretrained_cfg: Any = None, **options: Any) -> nn.Module:
        return _create(name, _chosen(name, stem, pretrained_cfg), pretrained, pretrained_cfg, **options)

    create.__name__ = create.__qualname__ = name
    return create


def _create(
    name: str, card: BackboneCard, pretrained: bool, config: Any, pretrained_cfg_overlay: Any = None, **options: Any
) -> nn.Module:
    """As timm's own models are built."""
    wanted = options.get("feature_cls", FEATURE_CLASSES[0])
    if wanted not in FEATURE_CLASSES:
        raise UserInputError(f"feature_cls={wanted!r}: expected {' or '.join(map(repr, FEATURE_CLASSES))}")
    overlay = dict(pretrained_cfg_overlay or {})
    if pretrained and not isinstance(config, (dict, models.PretrainedCfg)) and not overlay.keys() & _SOURCES:
        overlay["file"] = str(_weights_path(card))
    if config is None or isinstance(config, str):
        config = timm_cfg(card)
    arch = get_arch(card.arch)
    maps = len(arch.depths) + ((options.get("stem_stride") or arch.stem_stride) == 4)
    return models.build_model_with_cfg(
        partial(CLASSES[arch.family], card),
        name,
        pretrained,
        pretrained_cfg=config,
        pretrained_cfg_overlay=overlay,
        pretrained_filter_fn=_fitting,
        feature_cfg={"out_indices": tuple(range(maps)), "feature_cls": wanted},
        **options,
    )


_SOURCES = {"file", "url", "hf_hub_id", "state_dict"}


def _chosen(name: str, stem: str, config: Any) -> BackboneCard:
    """The card that a tag, or what `timm.models.save_for_hf` wrote of a model, means; else timm's default."""
    said = config if isinstance(config, dict) else vars(config) if isinstance(config, models.PretrainedCfg) else {}
    folder = Path(said["file"]) if said.get("source") == "local-dir" else None
    if folder is not None and (folder / CARD).exists():
        return read_folder(folder, BackboneCard)
    tag = config if isinstance(config, str) else said.get("tag")
    default: Any = models.get_pretrained_cfg(name)
    return get_card(f"{stem}.{tag or default.tag}")


def _weights_path(card: BackboneCard) -> Path:
    if card.weights is None:
        raise UserInputError(
            f"backbone {card.name!r} comes without weights, expected pretrained=False; `backbones.load_weights(model, "
            "FILE, init='trunk')` loads a ResNet's, `tools/backbones.py register --weights FILE` makes a card with some"
        )
    return card.weights_path()


def _fitting(state: dict[str, Tensor], model: Trunk) -> dict[str, Tensor]:
    """Weights in our keys; raises `UserInputError` where they are of another network, or not finite."""
    state, _ = own_keys(state)
    own = model.state_dict()
    if model.norm_follows_conv:
        match_conv_biases(state, own)
    whose = f"weights of {model.arch.name}, scheme {model.scheme}"
    for key in sorted(own.keys() ^ state.keys()):
        if not key.startswith(model.head_prefixes):
            raise UserInputError(f"{whose}: {key!r} {'is missing' if key in own else 'has no place in it'}")
    check_finite(state, whose)
    return state


register_backbones()

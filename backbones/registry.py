"""The registered backbones by name: the cards shipped with the package and the user's own. torch only to build one."""

from __future__ import annotations

import inspect
import logging
import os
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from backbones import macs
from backbones.arch import family_of
from backbones.card import BackboneCard, ParameterCount, Weights
from backbones.card_store import CardStore
from backbones.errors import UserInputError, did_you_mean

if TYPE_CHECKING:
    from backbones.trunk import Trunk

INITS = ("scratch", "trunk", "full")
"""Where a network starts: initial values, the trunk of a plain ResNet's file, the card's own weights."""

OF_SAMS = ("attention", "attention_args", "sharing", "scheme", "supernet")
"""Options that only families with SAMs have."""

_log = logging.getLogger(__name__)


def shipped_folder() -> Path:
    """The cards that come with the package."""
    return Path(__file__).with_name("cards")


def user_folder() -> Path:
    """The user's own cards: `TRANSFER_CARDS`, else the user data folder of the platform."""
    if own := os.environ.get("TRANSFER_CARDS"):
        return Path(own).expanduser()
    import platformdirs

    return Path(platformdirs.user_data_dir("ean-transfer", appauthor=False)) / "cards"


def _stem(card: BackboneCard) -> str:
    return card.name.partition(".")[0]


STORE = CardStore("backbone", BackboneCard.read, _stem, shipped_folder(), user_folder)
"""All registered backbones; a name without its tag means the default of those that it begins."""


def list_backbones(pattern: str = "*", pretrained: bool | None = None) -> list[str]:
    """Returns the names that fit `pattern` (`*`, `?`, `[...]`), sorted.

    Args:
        pattern: shell pattern over the whole name.
        pretrained: True: only those with weights of their own; False: only those without; None: all.
    """
    names = STORE.names(pattern)
    if pretrained is None:
        return names
    return [name for name in names if (get_card(name).weights is not None) == pretrained]


def get_card(name: str) -> BackboneCard:
    """Returns the card called `name`, or without its tag the default one, as `resnet50` means `resnet50.imagenet`.

    Raises:
        UserInputError: unknown name (with close matches), a broken card, two cards of one name, or no default.
    """
    tagged = [] if "." in name else STORE.names(f"{name}.*")
    if not tagged:
        return STORE.get(name)
    card = STORE.default(map(STORE.get, tagged), name)
    if card is None:
        raise UserInputError(
            f"backbone {name!r} has no default, expected one of {', '.join(tagged)}, or default = true in one's card"
        )
    return card


def create_backbone(
    name: str,
    *,
    pretrained: bool | str = False,
    init: str | None = None,
    num_classes: int | None = None,
    **overrides: Any,
) -> Trunk:
    """Builds the registered backbone `name`: features by default, a classifier with `num_classes`.

    Args:
        name: a name of `list_backbones`, or one without its tag, which means the default card.
        pretrained: True is short for `init="full"`; `"trunk"` and `"full"` are taken too.
        init: as in configs: `"scratch"`: initial values; `"trunk"`: the trunk from torchvision's file; `"full"`: the
            card's own weights. What became of every tensor is logged.
        num_classes: size of the classifier.
        overrides: arguments of the family's class, such as `out_indices`, `output_stride`, and of ResNets `supernet`
            or `scheme`; see `backbones.trunk.Trunk` and `backbones.resnet.AttentionResNet`.

    Raises:
        UserInputError: unknown name or override (with close matches), weights that are missing or do not fit.
    """
    return build(get_card(name), pretrained=pretrained, init=init, num_classes=num_classes, **overrides)


def build(
    card: BackboneCard,
    *,
    pretrained: bool | str = False,
    init: str | None = None,
    num_classes: int | None = None,
    **overrides: Any,
) -> Trunk:
    """As `create_backbone`, from a card that need not be registered."""
    options, init = network_options(card, overrides), _init(pretrained, init)
    model = family_of(card.arch).network()(card.arch, num_classes=num_classes, **options)
    if init != "scratch":
        _load(model, card, init)
    return model


def network_options(card: BackboneCard, overrides: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of the card's network, after `arch`, some of them replaced.

    Raises:
        UserInputError: an override that is no such argument (with close matches).
    """
    family = family_of(card.arch)
    known = [p for p in inspect.signature(family.network()).parameters if p not in ("arch", "num_classes")]
    for key in overrides:
        if key not in known and key in OF_SAMS and not family.sams:
            raise UserInputError(
                f"backbone {card.name!r}: option {key!r} is of self-attention modules, which {card.arch} does not "
                "take; leave it out"
            )
        if key not in known:
            raise UserInputError(
                f"backbone {card.name!r}: option {key!r} is unknown, expected one of {', '.join(known)}."
                f"{did_you_mean(key, known)}"
            )
    options = card.network_options
    if family.sams and "attention" in overrides and overrides["attention"] != card.attention:
        options["attention_args"] = {}
        if overrides["attention"] is None:
            options["scheme"] = None
    return {**options, **overrides}


def _init(pretrained: bool | str, init: str | None) -> str:
    """The one word for where a network starts."""
    if pretrained not in (False, True, "trunk", "full"):
        raise UserInputError(f"pretrained={pretrained!r}: expected True, False, 'trunk' or 'full'")
    if init is not None and pretrained:
        raise UserInputError("init and pretrained exclude each other; pretrained=True is init='full'")
    if init not in (None, *INITS):
        raise UserInputError(
            f"init={init!r}: expected one of {', '.join(map(repr, INITS))}.{did_you_mean(str(init), INITS)}"
        )
    if isinstance(pretrained, str):
        return pretrained
    return init or ("full" if pretrained else "scratch")


def _load(model: Trunk, card: BackboneCard, init: str) -> None:
    from backbones.weights import check_full_widths, find_trunk_weights, load_weights

    if init == "trunk":
        check_full_widths(model)
    source = find_trunk_weights(card.arch) if init == "trunk" else card.weights_path()
    report = load_weights(model, source, init=init)
    _log.log(logging.INFO if report.clean else logging.WARNING, "%s: %s", card.name, report)


def register_backbone(
    card: BackboneCard,
    *,
    weights: str | Path | Mapping[str, Any] | None = None,
    licence: str = "unstated",
    weights_source: str = "",
    directory: str | Path | None = None,
) -> BackboneCard:
    """Writes `card`, and its weights beside it, so that `card.name` works everywhere; either all of it or nothing.

    The network is built, and the weights are loaded into it, before anything is written.

    Args:
        card: what to register. Its own weights, if it names any, are checked and copied along.
        weights: a file or state dict in any of the forms that `load_weights` reads; stored as safetensors.
        licence: of `weights`.
        weights_source: where `weights` come from, in words.
        directory: default the user's own cards.

    Returns:
        The card as registered: with its path, the exact numbers of parameters and of MACs, and its weights.

    Raises:
        UserInputError: the name is taken, the card does not build, or the weights are not its own.
    """
    STORE.place(card, directory)
    if weights is None and card.weights is not None and card.weights.file is not None:
        weights = card.weights_path()
        licence, weights_source = card.weights.licence, card.weights.source
    card = _counted(card)
    store = partial(_store, card, weights, licence, weights_source) if weights is not None else None
    return STORE.write(card, directory, store)


def _counted(card: BackboneCard) -> BackboneCard:
    """The card with its parameters and MACs, after comparing what it says of them."""
    parameters, counted = count_parameters(card), count_macs(card)
    for key, said, found in (
        ("parameters.count", card.parameters and card.parameters.count, parameters),
        ("measured.macs_billion", macs.on_card(card), counted),
    ):
        if said is not None and said != found:
            raise UserInputError(f"backbone {card.name!r}: key '{key}' is {said:,}, but {found:,} were counted")
    card = replace(card, parameters=card.parameters or ParameterCount(parameters))
    return card if macs.on_card(card) else macs.with_macs(card, counted)


def _store(card: BackboneCard, source: Any, licence: str, origin: str, path: Path) -> Weights:
    """Loads the weights into the network that they fit, and writes what it then holds."""
    from backbones.key_mapping import own_keys
    from backbones.weights import load_weights, read_checkpoint, save_safetensors, sha256_file, state_dict_of

    raw = read_checkpoint(source) if isinstance(source, (str, Path)) else state_dict_of(source)
    state, _ = own_keys(raw)
    classes = state["fc.weight"].shape[0] if "fc.weight" in state else None
    model = build(card, num_classes=classes, conv_bias="conv1.bias" in state)
    report = load_weights(model, state, init="full")
    _log.info("%s: %s", card.name, report)
    save_safetensors(model.state_dict(), path)
    return Weights(sha256=sha256_file(path), file=path.name, bytes=path.stat().st_size, licence=licence, source=origin)


def count_parameters(card: BackboneCard) -> int:
    """Parameters of the card's stand-alone network, which is built without memory for them.

    Raises:
        UserInputError: the card does not build.
    """
    wanted = card.parameters or ParameterCount(0)
    model = _without_memory(card, num_classes=wanted.num_classes, conv_bias=wanted.conv_bias)
    return sum(parameter.numel() for parameter in model.parameters())


def count_macs(card: BackboneCard) -> int:
    """Multiply-accumulates of the card's stand-alone network for one image of its input size; see `backbones.macs`.

    Of the network as `create_backbone(name)` builds it, up to its last feature map: a classifier is not counted.

    Raises:
        UserInputError: the card does not build, or its network takes no image of that size.
    """
    model, size = _without_memory(card), card.input.size
    try:
        return macs.count(model, size)
    except (AssertionError, RuntimeError, ValueError) as error:
        raise UserInputError(
            f"backbone {card.name!r}: its network does not run on an image of {size} px (key 'input.size'): "
            f"{type(error).__name__} {error}"
        ) from error


def _without_memory(card: BackboneCard, **options: Any) -> Trunk:
    import torch

    try:
        with torch.device("meta"):
            return build(card, **options)
    except TypeError as error:
        raise UserInputError(
            f"backbone {card.name!r}: 'network.attention_args' {dict(card.attention_args)} do not fit "
            f"{card.attention!r}: {error}"
        ) from error


def remove_backbone(name: str) -> list[Path]:
    """Deletes one of the user's own cards and its weights; returns the files that are gone.

    Raises:
        UserInputError: unknown name, or a card that comes with the package.
    """
    return STORE.remove(name)

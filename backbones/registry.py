"""The registered backbones by name: the cards shipped with the package and the user's own. torch only to build one."""

from __future__ import annotations

import fnmatch
import inspect
import logging
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from backbones.card import BackboneCard, ParameterCount, Weights
from backbones.errors import UserInputError, did_you_mean
from backbones.files import atomic_path

if TYPE_CHECKING:
    from backbones.resnet import AttentionResNet

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


def list_backbones(pattern: str = "*", pretrained: bool | None = None) -> list[str]:
    """Returns the names that fit `pattern` (`*`, `?`, `[...]`), sorted.

    Args:
        pattern: shell pattern over the whole name.
        pretrained: True: only those with weights of their own; False: only those without; None: all.
    """
    names = sorted(name for name in _files() if fnmatch.fnmatchcase(name, pattern))
    if pretrained is None:
        return names
    return [name for name in names if (get_card(name).weights is not None) == pretrained]


def get_card(name: str) -> BackboneCard:
    """Returns the card called `name`.

    Raises:
        UserInputError: unknown name (with close matches), a broken card, or two cards of one name.
    """
    files = _files().get(name)
    if not files:
        raise UserInputError(_unknown(name))
    if len(files) > 1:
        raise UserInputError(f"backbone {name!r} is registered twice, in {files[0]} and {files[1]}; rename your own")
    card = BackboneCard.read(files[0])
    if card.name != name:
        raise UserInputError(f"{files[0]}: key 'name' is {card.name!r}, expected {name!r} as the file is called")
    return card


def _files() -> dict[str, list[Path]]:
    """All cards' files by name."""
    found: dict[str, list[Path]] = {}
    folders = dict.fromkeys(folder.resolve() for folder in (shipped_folder(), user_folder()))
    for folder in folders:
        for path in folder.glob("*.toml"):
            found.setdefault(path.stem, []).append(path)
    return found


def _unknown(name: str) -> str:
    known = list_backbones()
    return f"backbone {name!r} is not registered, see `tools/backbones.py list`.{did_you_mean(name, known)}"


def create_backbone(
    name: str, *, pretrained: bool | str = False, num_classes: int | None = None, **overrides: Any
) -> AttentionResNet:
    """Builds the registered backbone `name`: features by default, a classifier with `num_classes`.

    Args:
        name: a name of `list_backbones`.
        pretrained: False: initial values; `"trunk"`: the trunk from torchvision's file; True or `"full"`: the card's
            own weights. What became of every tensor is logged.
        num_classes: size of the classifier.
        overrides: arguments of `AttentionResNet`, such as `out_indices`, `output_stride`, `supernet` or `scheme`.

    Raises:
        UserInputError: unknown name or override (with close matches), weights that are missing or do not fit.
    """
    card = get_card(name)
    return build(card, pretrained=pretrained, num_classes=num_classes, **overrides)


def build(
    card: BackboneCard, *, pretrained: bool | str = False, num_classes: int | None = None, **overrides: Any
) -> AttentionResNet:
    """As `create_backbone`, from a card that need not be registered."""
    from backbones.resnet import AttentionResNet

    known = [p for p in inspect.signature(AttentionResNet).parameters if p not in ("arch", "num_classes")]
    for key in overrides:
        if key not in known:
            raise UserInputError(
                f"backbone {card.name!r}: option {key!r} is unknown, expected one of {', '.join(known)}."
                f"{did_you_mean(key, known)}"
            )
    if pretrained not in (False, True, "trunk", "full"):
        raise UserInputError(f"pretrained={pretrained!r}: expected True, False, 'trunk' or 'full'")
    options = card.network_options
    if "attention" in overrides and overrides["attention"] != card.attention:
        options["attention_args"] = {}
        if overrides["attention"] is None:
            options["scheme"] = None
    model = AttentionResNet(card.arch, num_classes=num_classes, **{**options, **overrides})
    if pretrained:
        _load(model, card, "trunk" if pretrained == "trunk" else "full")
    return model


def _load(model: AttentionResNet, card: BackboneCard, init: str) -> None:
    from backbones.weights import find_trunk_weights, load_weights

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
        The card as registered: with its path, the exact number of parameters, and its weights.

    Raises:
        UserInputError: the name is taken, the card does not build, or the weights are not its own.
    """
    folder = user_folder() if directory is None else Path(directory)
    target = folder / f"{card.name}.toml"
    taken = [*_files().get(card.name, []), *([target] if target.exists() else [])]
    if taken:
        raise UserInputError(f"backbone {card.name!r} is registered already, in {taken[0]}; take another name")
    if weights is None and card.weights is not None and card.weights.file is not None:
        weights = card.weights_path()
        licence, weights_source = card.weights.licence, card.weights.source
    counted = count_parameters(card)
    if card.parameters is None:
        card = replace(card, parameters=ParameterCount(counted))
    elif card.parameters.count != counted:
        raise UserInputError(
            f"backbone {card.name!r}: key 'parameters.count' is {card.parameters.count:,}, but {counted:,} were counted"
        )
    with _discarded_on_error(folder / f"{card.name}.safetensors") as stored:
        if weights is not None:
            card = replace(card, weights=_store(card, weights, stored, licence, weights_source))
        card = replace(card, path=target)
        with atomic_path(target) as temporary:
            temporary.write_text(card.to_toml(), encoding="utf-8")
    return card


class _discarded_on_error:
    """Gives a path of a new file; it is deleted when the block fails."""

    def __init__(self, path: Path) -> None:
        if path.exists():
            raise UserInputError(f"{path}: is there already, but belongs to no card; move it away")
        self.path = path

    def __enter__(self) -> Path:
        return self.path

    def __exit__(self, kind: type[BaseException] | None, *rest: Any) -> None:
        if kind is not None:
            self.path.unlink(missing_ok=True)


def _store(card: BackboneCard, source: Any, path: Path, licence: str, origin: str) -> Weights:
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
    """Builds the stand-alone network of the card without memory for its tensors, and counts its parameters.

    Raises:
        UserInputError: the card does not build.
    """
    import torch

    wanted = card.parameters or ParameterCount(0)
    try:
        with torch.device("meta"):
            model = build(card, num_classes=wanted.num_classes, conv_bias=wanted.conv_bias)
    except TypeError as error:
        raise UserInputError(
            f"backbone {card.name!r}: 'network.attention_args' {dict(card.attention_args)} do not fit "
            f"{card.attention!r}: {error}"
        ) from error
    return sum(parameter.numel() for parameter in model.parameters())


def remove_backbone(name: str) -> list[Path]:
    """Deletes one of the user's own cards and its weights; returns the files that are gone.

    Raises:
        UserInputError: unknown name, or a card that comes with the package.
    """
    path = user_folder() / f"{name}.toml"
    if name not in _files():
        raise UserInputError(_unknown(name))
    if not path.is_file():
        raise UserInputError(f"backbone {name!r} comes with the package ({shipped_folder()}) and cannot be removed")
    weights = path.with_name(f"{name}.safetensors")
    gone = [file for file in (path, weights) if file.is_file()]
    for file in gone:
        file.unlink()
    return gone

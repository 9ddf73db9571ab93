"""Does a card tell the truth? It is built, parameters and MACs are counted, its weights are hashed and loaded."""

from __future__ import annotations

from dataclasses import dataclass

from backbones import macs
from backbones.card import BackboneCard
from backbones.errors import UserInputError
from backbones.files import atomic_path
from backbones.registry import build, count_macs, count_parameters, get_card


@dataclass(frozen=True)
class Verification:
    """What was found for one card.

    Attributes:
        name: the backbone.
        parameters: counted, None where the network could not be built.
        expected: the card's count, None where it names none.
        weights: `"none"`; `"verified"` after hash and loading; `"failed"`; `"unknown"` without a readable card.
        problems: one line each; empty where the card holds.
        macs: multiply-accumulates for one image, counted; None where the network could not be built.
        expected_macs: the card's own, None where it names none.
    """

    name: str
    parameters: int | None
    expected: int | None
    weights: str
    problems: tuple[str, ...]
    macs: int | None = None
    expected_macs: int | None = None

    @property
    def ok(self) -> bool:
        """No problem was found."""
        return not self.problems


def verify_backbone(name: str) -> Verification:
    """As `verify_card`, by name; a card that cannot be read, or a name that is unknown, is a problem like any other."""
    try:
        card = get_card(name)
    except UserInputError as error:
        return Verification(name, None, None, "unknown", (str(error),))
    return verify_card(card)


def verify_card(card: BackboneCard) -> Verification:
    """Builds the card's network, compares parameters and MACs, checks the weights; never raises for the card."""
    problems: list[str] = []
    expected, expected_macs = None if card.parameters is None else card.parameters.count, macs.on_card(card)
    counted = counted_macs = None
    try:
        counted = count_parameters(card)
        counted_macs = count_macs(card)
    except UserInputError as error:
        problems.append(str(error))
    for what, found, said in (("parameters", counted, expected), ("MACs", counted_macs, expected_macs)):
        if found is not None and said is not None and found != said:
            problems.append(f"{found:,} {what}, but the card says {said:,}")
    weights = "none" if card.weights is None else "failed"
    if card.weights is not None and counted is not None:
        try:
            _check_weights(card)
            weights = "verified"
        except UserInputError as error:
            problems.append(str(error))
    return Verification(card.name, counted, expected, weights, tuple(problems), counted_macs, expected_macs)


def write_macs(card: BackboneCard) -> BackboneCard:
    """Counts the MACs of a registered card and writes them into its file, where it says none or others.

    Raises:
        UserInputError: the card does not build.
    """
    counted = count_macs(card)
    if counted == macs.on_card(card):
        return card
    path, card = card.path, macs.with_macs(card, counted)
    assert path is not None, "a registered card has a file"
    with atomic_path(path) as temporary:
        temporary.write_text(card.to_toml(), encoding="utf-8")
    return card


def _check_weights(card: BackboneCard) -> None:
    from backbones.key_mapping import own_keys
    from backbones.weights import load_weights, read_checkpoint

    path = card.weights_path()
    size = card.weights.bytes if card.weights else None
    if size is not None and path.stat().st_size != size:
        raise UserInputError(f"{path}: {path.stat().st_size} bytes, but the card says {size}")
    state, _ = own_keys(read_checkpoint(path))
    classes = state["fc.weight"].shape[0] if "fc.weight" in state else None
    load_weights(build(card, num_classes=classes, conv_bias="conv1.bias" in state), state, init="full")

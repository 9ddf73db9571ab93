"""A folder of a model hub that holds a card and its weights, as `backbones.hub_pack` writes it.

`README.md` (a model card), `config.json` and `model.safetensors` are laid out as timm has them, and `card.toml` is the
card, so that nothing is lost. Nothing here uses the network, and nothing that is read is run.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from backbones import schema
from backbones.card import BackboneCard
from backbones.card_store import Card
from backbones.errors import UserInputError
from backbones.files import inside
from backbones.model_card import ModelCard

if TYPE_CHECKING:
    from backbones.trunk import Trunk

README, CONFIG, WEIGHTS, CARD = "README.md", "config.json", "model.safetensors", "card.toml"
"""The files of a folder."""

MARK = "ean_transfer"
"""The key of `config.json` that says which card it belongs to."""

_CARD_BYTES = 1 << 20


def mark_of(card: BackboneCard | ModelCard) -> dict[str, str]:
    """By which a folder's config and card are known to belong together."""
    if isinstance(card, BackboneCard):
        widths = {} if card.widths is None else {"widths": str(card.widths)}
        return {"kind": "backbone", "name": card.name, "scheme": str(card.scheme), **widths}
    return {"kind": "model", "name": card.name, "task": card.task}


def read_folder(folder: str | Path, kind: type[Card]) -> Card:
    """The card that a folder holds; its weights lie beside it, and have been checked.

    Args:
        folder: where it is.
        kind: `BackboneCard` or `ModelCard`.

    Raises:
        UserInputError: no such folder, one of the other kind, files that are missing, damaged, not of one another, or
            links out of it, weights that are not finite.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise UserInputError(f"{folder}: no such folder")
    mark = _read_mark(folder)
    wanted = "backbone" if kind is BackboneCard else "model"
    if mark.get("kind") != wanted:
        raise UserInputError(f"{folder}: holds a {mark.get('kind')}, expected a {wanted}")
    path = folder / CARD
    if path.stat().st_size > _CARD_BYTES:
        raise UserInputError(f"{path}: takes {path.stat().st_size} bytes, expected 1 MiB at most")
    card = kind.read(path)
    if mark_of(card) != mark:
        raise UserInputError(f"{path}: is of {mark_of(card)}, but {CONFIG} beside it of {mark}; get the folder again")
    _check_weights(card)
    return card


def _read_mark(folder: Path) -> dict[str, Any]:
    mend = "expected a folder that `ean pack` or `ean models pack` wrote with `--layout hub`"
    for name in (CONFIG, CARD, WEIGHTS):
        if not inside(folder, name, f"{folder}: a file").is_file():
            raise UserInputError(f"{folder}: holds no {name}; {mend}")
    mark = schema.load_json(folder / CONFIG, missing=mend, mend=mend).get(MARK)
    if not isinstance(mark, dict):
        raise UserInputError(f"{folder / CONFIG}: key {MARK!r} is {mark!r:.80}; {mend}")
    return mark


def _check_weights(card: BackboneCard | ModelCard) -> None:
    from backbones.weights import check_finite, read_checkpoint

    if card.weights is None or card.weights.file != WEIGHTS:
        raise UserInputError(f"{card.path}: names other weights than {WEIGHTS}; get the folder again")
    path = card.weights_path()
    check_finite(read_checkpoint(path), str(path))


def load_backbone(folder: str | Path, *, num_classes: int | None = None, **overrides: Any) -> Trunk:
    """Builds the backbone of a folder, with its weights.

    Args:
        folder: that `ean pack NAME FOLDER --layout hub` wrote.
        num_classes: as in `create_backbone`.
        overrides: as in `create_backbone`.

    Raises:
        UserInputError: as `read_folder`, and weights that do not fit.
    """
    from backbones.registry import build

    return build(read_folder(folder, BackboneCard), init="full", num_classes=num_classes, **overrides)

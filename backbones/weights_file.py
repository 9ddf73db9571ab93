"""The weights file of a card: what the card says of it, and where it lies. No torch."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from backbones.errors import UserInputError
from backbones.files import check_plain_name, inside, sha256_file, weights_folders

_MOST_BYTES = 1 << 50
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Weights:
    """A weights file: `file` beside the card, or `url`; its SHA-256, size in bytes, licence and origin."""

    sha256: str
    file: str | None = None
    url: str | None = None
    bytes: int | None = None
    licence: str = "unstated"
    source: str = ""

    def __post_init__(self) -> None:
        if not _SHA256.fullmatch(self.sha256):
            raise UserInputError(f"key 'sha256' is {self.sha256!r}, expected 64 digits of 0-9 and a-f")
        if (self.file is None) == (self.url is None):
            raise UserInputError("section 'weights' needs either the key 'file' or the key 'url', give one of them")
        if self.bytes is not None and not 0 < self.bytes <= _MOST_BYTES:
            raise UserInputError(f"key 'bytes' is {self.bytes}, expected the file's size, 1 to {_MOST_BYTES:,}")
        if self.url is not None and not re.match(r"(https|file)://", self.url):
            raise UserInputError(f"key 'url' is {self.url!r}, expected https:// or file://")
        check_plain_name(self.file_name, "key 'file'" if self.file else "the last part of key 'weights.url'")

    @property
    def file_name(self) -> str:
        """The file's name, wherever it lies."""
        return self.file if self.file is not None else (self.url or "").rsplit("/", 1)[-1]


def find_weights(weights: Weights, card: Path | None, name: str, *, mend: str) -> Path:
    """Returns the weights file of a card, after checking its SHA-256.

    Args:
        weights: what the card says of it.
        card: the card's own file, None where it has none yet.
        name: the card's.
        mend: how to get a file that is not downloaded yet.

    Raises:
        UserInputError: the file is missing, leaves the card's folder, or is another.
    """
    path = _beside(weights.file, card, name) if weights.file else _downloaded(weights, name, mend)
    found = sha256_file(path)
    if found != weights.sha256:
        raise UserInputError(
            f"{path}: sha256 is {found}, but the card of {name!r} says {weights.sha256}; "
            "the file is damaged or another one, get it again"
        )
    return path


def _beside(file: str, card: Path | None, name: str) -> Path:
    if card is None:
        raise UserInputError(f"card of {name!r}: it lies in no folder yet, so 'weights.file' points nowhere")
    path = inside(card.parent, file, f"{card}: key 'weights.file'")
    if not path.is_file():
        raise UserInputError(f"{path}: no such file, but {card} names it as its weights; put it beside the card")
    return path


def _downloaded(weights: Weights, name: str, mend: str) -> Path:
    folders = weights_folders()
    for folder in folders:
        if (folder / weights.file_name).is_file():
            return folder / weights.file_name
    raise UserInputError(f"weights of {name!r}: {weights.file_name} is not in {' or '.join(map(str, folders))}; {mend}")

"""Where cards of one kind lie: those shipped with the package and the user's own, by name. No torch."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Generic, TypeVar

from backbones.card import BackboneCard
from backbones.errors import UserInputError, did_you_mean
from backbones.files import atomic_path, locked_file, remove_temporary
from backbones.model_card import ModelCard
from backbones.weights_file import Weights

Card = TypeVar("Card", BackboneCard, ModelCard)
_LOCK = ".register.lock"
_WAIT_SECONDS = 60


@dataclass(frozen=True)
class CardStore(Generic[Card]):
    """Cards of one kind; a card is a TOML file that is called as it is, its weights beside it.

    Attributes:
        kind: what its cards are, in a word, such as `backbone`.
        read: reads a card's file.
        group: of a card; at most one of each group is the default among the package's, and one among the user's own,
            which goes first.
        shipped: folder of the package's cards.
        own: gives the folder of the user's own.
    """

    kind: str
    read: Callable[[Path], Card]
    group: Callable[[Card], str]
    shipped: Path
    own: Callable[[], Path]

    def files(self) -> dict[str, list[Path]]:
        """All cards' files by name."""
        found: dict[str, list[Path]] = {}
        for folder in dict.fromkeys(folder.resolve() for folder in (self.shipped, self.own())):
            for path in folder.glob("*.toml"):
                found.setdefault(path.stem, []).append(path)
        return found

    def names(self, pattern: str = "*") -> list[str]:
        """The names that fit `pattern` (`*`, `?`, `[...]`), sorted."""
        return sorted(name for name in self.files() if fnmatch.fnmatchcase(name, pattern))

    def get(self, name: str) -> Card:
        """The card called `name`.

        Raises:
            UserInputError: unknown name (with close matches), a broken card, or two cards of one name.
        """
        files = self.files().get(name)
        if not files:
            raise UserInputError(self.unknown(name))
        if len(files) > 1:
            raise UserInputError(
                f"{self.kind} {name!r} is registered twice, in {files[0]} and {files[1]}; rename your own"
            )
        card = self.read(files[0])
        if card.name != name:
            raise UserInputError(f"{files[0]}: key 'name' is {card.name!r}, expected {name!r} as the file is called")
        return card

    def unknown(self, name: str) -> str:
        """What to say of a name that is not there."""
        return (
            f"{self.kind} {name!r} is not registered, see `tools/{self.kind}s.py list`."
            f"{did_you_mean(name, self.names())}"
        )

    def none_fits(self, pattern: str) -> str:
        """What to say where no name fits `pattern`: names, or patterns that begin as some do, which come close."""
        known: list[str] = self.names()
        if not known:
            return f"no {self.kind} is registered yet"
        plain = re.sub(r"\[.*?\]|[*?]", "", pattern)
        known += sorted({f"{name[: len(plain)]}*" for name in known})
        return f"no {self.kind} fits {pattern!r}.{did_you_mean(plain, known)}"

    def readable(self, pattern: str = "*") -> tuple[list[Card], list[str]]:
        """The cards that can be read, and a line for each that cannot, or that is one default too many."""
        cards: list[Card] = []
        broken: list[str] = []
        for name in self.names(pattern):
            try:
                cards.append(self.get(name))
            except UserInputError as error:
                broken.append(str(error))
        return cards, [*broken, *self.clashes(cards)]

    def default(self, cards: Iterable[Card], group: str) -> Card | None:
        """The card of a group that says `default = true`, the user's own before the package's.

        Raises:
            UserInputError: several of them do.
        """
        found = self.first_defaults(card for card in cards if self.group(card) == group)
        for line in self.clashes(found):
            raise UserInputError(line)
        return found[0] if found else None

    def first_defaults(self, cards: Iterable[Card]) -> list[Card]:
        """Those that say `default = true`: the user's own, or else the package's."""
        found = [card for card in cards if card.default]
        return [card for card in found if not self._is_shipped(card.path)] or found

    def _is_shipped(self, path: Path | None) -> bool:
        return path is not None and path.resolve().parent == self.shipped.resolve()

    def clashes(self, cards: Iterable[Card]) -> list[str]:
        """A line for each group of which more than one card of the package, or of the user, says `default = true`."""
        found: dict[tuple[str, bool], list[Card]] = {}
        for card in cards:
            if card.default:
                found.setdefault((self.group(card), self._is_shipped(card.path)), []).append(card)
        return [
            f"{self.kind}s {', '.join(repr(card.name) for card in several)}: all say default = true for {group!r}, "
            f"expected one; take it out of {' or '.join(str(card.path) for card in several)}"
            for (group, _), several in found.items()
            if len(several) > 1
        ]

    def place(self, card: Card, directory: str | Path | None = None) -> Path:
        """Where a new card goes; raises `UserInputError` where its name is taken, or its group has a default."""
        folder: Path = self.own() if directory is None else Path(directory)
        target: Path = folder / f"{card.name}.toml"
        taken = [*self.files().get(card.name, []), *([target] if target.exists() else [])]
        if taken:
            raise UserInputError(f"{self.kind} {card.name!r} is registered already, in {taken[0]}; take another name")
        beside = (one for one in self.readable()[0] if one.path and one.path.resolve().parent == folder.resolve())
        other = self.default(beside, self.group(card)) if card.default else None
        if other is not None:
            raise UserInputError(
                f"{self.kind} {card.name!r}: {other.name!r} is the default for {self.group(card)!r} already, in "
                f"{other.path}; leave out default"
            )
        return target

    def write(self, card: Card, directory: str | Path | None, make_weights: Callable[[Path], Weights] | None) -> Card:
        """Writes a new card, its weights beside it; either all of it or nothing, one process at a time.

        Args:
            card: what to write.
            directory: default the user's own.
            make_weights: writes the weights file that it is given, and returns what the card is to say of it; None:
                the card stays as it is.

        Returns:
            The card as written, with its path and weights.

        Raises:
            UserInputError: see `place`; another process was faster.
        """
        folder = self.place(card, directory).parent
        folder.mkdir(parents=True, exist_ok=True)
        busy = f"{folder}: another process is registering a {self.kind} there; wait for it"
        with locked_file(folder / _LOCK, busy, wait=_WAIT_SECONDS):
            remove_temporary(folder)
            target = self.place(card, directory)
            with _discarded_on_error(target.with_suffix(".safetensors")) as stored:
                if make_weights is not None:
                    card = replace(card, weights=make_weights(stored))
                card = replace(card, path=target)
                with atomic_path(target) as temporary:
                    temporary.write_text(card.to_toml(), encoding="utf-8")
        return card

    def remove(self, name: str) -> list[Path]:
        """Deletes one of the user's own cards and its weights; returns the files that are gone.

        Raises:
            UserInputError: unknown name, or a card that comes with the package.
        """
        path = self.own() / f"{name}.toml"
        if name not in self.files():
            raise UserInputError(self.unknown(name))
        if not path.is_file():
            raise UserInputError(f"{self.kind} {name!r} comes with the package ({self.shipped}) and cannot be removed")
        weights = path.with_name(f"{name}.safetensors")
        gone = [file for file in (path, weights) if file.is_file()]
        for file in gone:
            file.unlink()
        return gone


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

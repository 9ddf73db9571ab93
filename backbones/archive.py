"""A card and its weights in one archive, to hand to others. Nothing in an archive chooses where it is written."""

from __future__ import annotations

import io
import shutil
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import IO

from backbones.card_store import Card
from backbones.errors import RunError, UserInputError
from backbones.files import atomic_path, check_plain_name
from backbones.limits import PACKED_WEIGHTS

SUFFIXES = (".zip", ".tar")
_EPOCH = (1980, 1, 1, 0, 0, 0)
_CARD_BYTES = 1 << 20
_BROKEN = (zipfile.BadZipFile, tarfile.TarError, EOFError, NotImplementedError, zlib.error, struct.error)


def pack(card: Card, target: str | Path) -> Path:
    """Writes the card and its weights, if it has any, to a `.zip` or `.tar`; the same card gives the same bytes.

    Raises:
        UserInputError: another suffix, an archive that exists, or weights that are missing or damaged.
    """
    target = Path(target)
    if target.suffix not in SUFFIXES:
        raise UserInputError(f"{target}: expected a name that ends in {' or '.join(SUFFIXES)}")
    if target.exists():
        raise UserInputError(f"{target}: is there already; take another name, or delete it")
    weights = None if card.weights is None else card.weights_path()
    if card.weights is not None and weights is not None:
        card = replace(card, weights=replace(card.weights, file=weights.name, url=None, bytes=weights.stat().st_size))
    with atomic_path(target) as temporary:
        write = _write_zip if target.suffix == ".zip" else _write_tar
        write(temporary, f"{card.name}.toml", card.to_toml().encode(), weights)
    return target


def _write_zip(target: Path, name: str, text: bytes, weights: Path | None) -> None:
    with zipfile.ZipFile(target, "w") as archive:
        archive.writestr(zipfile.ZipInfo(name, _EPOCH), text)
        if weights is not None:
            info = zipfile.ZipInfo(weights.name, _EPOCH)
            with archive.open(info, "w", force_zip64=True) as out, weights.open("rb") as file:
                shutil.copyfileobj(file, out)


def _write_tar(target: Path, name: str, text: bytes, weights: Path | None) -> None:
    with tarfile.open(target, "w") as archive:
        info = tarfile.TarInfo(name)
        info.size = len(text)
        archive.addfile(info, io.BytesIO(text))
        if weights is not None:
            info = tarfile.TarInfo(weights.name)
            info.size = weights.stat().st_size
            with weights.open("rb") as file:
                archive.addfile(info, file)


def unpack(source: str | Path, folder: Path, parse: Callable[[str, Path], Card]) -> Card:
    """Reads a pack's card, puts card and weights into `folder`, and returns the card that lies there.

    Only the card and the file that it names are taken out, under their own names.

    Args:
        source: the archive.
        folder: where to.
        parse: `parse` of the kind of card that is expected.

    Raises:
        UserInputError: not such an archive, not exactly one card, a member that leaves the folder or is no plain file,
            weights that are missing, larger than the card says, or than `limits.PACKED_WEIGHTS`.
    """
    source = Path(source)
    with _members(source) as (sizes, read):
        for name in sizes:
            check_plain_name(name, f"{source}: a member")
        cards = [name for name in sizes if name.endswith(".toml")]
        if len(cards) != 1:
            raise UserInputError(f"{source}: holds {len(cards)} cards (.toml), expected one; get the pack again")
        if sizes[cards[0]] > _CARD_BYTES:
            raise UserInputError(
                f"{source}: its card takes {sizes[cards[0]]} bytes, expected 1 MiB at most; get the pack again"
            )
        text = read(cards[0]).read().decode("utf-8", errors="replace")
        try:
            card = parse(text, folder / cards[0])
        except UserInputError as error:
            reason = str(error).replace(f"{folder}/", "")
            raise UserInputError(f"{source}: its card cannot be read: {reason}; get the pack again") from None
        (folder / cards[0]).write_text(text, encoding="utf-8")
        if card.weights is not None and card.weights.file is not None:
            _take_weights(source, card, sizes, read, folder)
    return card


def _take_weights(source: Path, card: Card, sizes: dict[str, int], read: _Read, folder: Path) -> None:
    assert card.weights is not None and card.weights.file is not None
    name, expected = card.weights.file, card.weights.bytes
    if name not in sizes:
        raise UserInputError(
            f"{source}: its card names the weights {name!r}, which are not in it, expected both; get the pack again"
        )
    if expected is not None and sizes[name] != expected:
        raise UserInputError(
            f"{source}: {name} takes {sizes[name]} bytes, but the card says {expected}; get the pack again"
        )
    PACKED_WEIGHTS.check(sizes[name], f"{source}: {name}")
    with (folder / name).open("wb") as out:
        shutil.copyfileobj(read(name), out)


class _Read:
    """Opens a member by its name."""

    def __init__(self, archive: zipfile.ZipFile | tarfile.TarFile) -> None:
        self._archive = archive

    def __call__(self, name: str) -> IO[bytes]:
        if isinstance(self._archive, zipfile.ZipFile):
            return self._archive.open(name)
        member = self._archive.extractfile(name)
        assert member is not None
        return member


@contextmanager
def _members(source: Path) -> Iterator[tuple[dict[str, int], _Read]]:
    """Gives the sizes of an archive's members by name, and a way to open them."""
    if not source.is_file():
        raise UserInputError(f"{source}: no such file, expected a pack ({' or '.join(SUFFIXES)})")
    try:
        with zipfile.ZipFile(source) if source.suffix == ".zip" else tarfile.open(source, "r:") as archive:
            yield _sizes(source, archive), _Read(archive)
    except (UserInputError, RunError):
        raise
    except (*_BROKEN, RuntimeError, ValueError) as error:  # a RuntimeError: encrypted
        raise UserInputError(f"{source}: not a readable pack: {error}; expected one of `pack`, get it again") from None


def _sizes(source: Path, archive: zipfile.ZipFile | tarfile.TarFile) -> dict[str, int]:
    if isinstance(archive, zipfile.ZipFile):
        sizes = {info.filename: info.file_size for info in archive.infolist()}
        count = len(archive.infolist())
    else:
        odd = [member.name for member in archive if not member.isreg()]
        if odd:
            raise UserInputError(
                f"{source}: member {odd[0]!r} is a link, a folder or a device, expected plain files; get the pack again"
            )
        sizes = {member.name: member.size for member in archive}
        count = len(archive.getmembers())
    if count != len(sizes):
        raise UserInputError(
            f"{source}: two of its members have the same name, expected one of each; get the pack again"
        )
    return sizes

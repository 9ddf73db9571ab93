"""Formats that annotation tools write. A file of this package is a format, called by the file's name."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from backbones.errors import UserInputError
from backbones.plugins import check_plugin, load_plugin, plugin_names
from tasks.counting.formats._base import Annotated, Format, Mark

__all__ = ["Annotated", "Format", "Mark", "find_format", "get_format", "known_formats", "list_formats", "read_file"]

MALFORMED = (KeyError, TypeError, ValueError, IndexError, AttributeError)


def list_formats() -> list[str]:
    """Names of the formats, sorted."""
    return plugin_names(__path__)


def get_format(name: str) -> Format:
    """The format called `name`.

    Raises:
        UserInputError: unknown name (with close matches).
    """
    check_plugin(name, list_formats(), "format")
    return load_plugin(f"{__name__}.{name}", Format)()


def find_format(path: Path) -> str | None:
    """The name of the format that a file is in, by its content; None where it is in none of them.

    Raises:
        UserInputError: the file cannot be read, or is cut.
    """
    return next((name for name in list_formats() if _fits(get_format(name), path)), None)


def _fits(form: Format, path: Path) -> bool:
    return path.suffix.lower() in form.endings and form.sniff(path)


def known_formats() -> str:
    """Each format by name and title, for messages."""
    return "; ".join(f"{name}: {get_format(name).title}" for name in list_formats())


def read_file(path: Path, name: str) -> Iterator[Annotated]:
    """Yields what a file says of each image.

    Args:
        path: the file.
        name: of its format.

    Raises:
        UserInputError: it is in another format, or something in it is neither a point nor a box.
    """
    form = get_format(name)
    try:
        for annotated in form.read(path):
            if not isinstance(annotated.image, str):
                raise UserInputError(
                    f"{path}: names an image {annotated.image!r}, expected the text of a file name: export it again"
                )
            yield annotated
    except UserInputError:
        raise
    except MALFORMED as error:
        reason = f"{type(error).__name__}: {error}"
        raise UserInputError(f"{path}: is not in the format {name} ({reason}), expected {form.title}") from error

"""Layouts of counting data. A file of this package is a layout, called by the file's name."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from backbones.errors import UserInputError
from backbones.plugins import check_plugin, load_plugin, plugin_names
from tasks.counting.layouts._base import Entry, Layout, Source, Split
from tasks.counting.layouts._splits import SPLITS, official_splits, select
from transfer.engine.data import find_data

__all__ = [
    "SPLITS",
    "Entry",
    "Layout",
    "Source",
    "Split",
    "find_source",
    "get_layout",
    "list_layouts",
    "official_splits",
    "select",
]


def list_layouts() -> list[str]:
    """Names of the layouts, sorted."""
    return plugin_names(__path__)


def get_layout(name: str) -> Layout:
    """The layout called `name`.

    Raises:
        UserInputError: unknown name (with close matches).
    """
    check_plugin(name, list_layouts(), "layout")
    return load_plugin(f"{__name__}.{name}", Layout)()


def find_source(data_root: str | Path, layout: str) -> Source:
    """Finds a data set and lists its images; `select` then checks the split that is wanted.

    Args:
        data_root: its folder, as it stands or as `find_data` finds it.
        layout: one of `list_layouts()`.

    Raises:
        UserInputError: the folder is missing or laid out otherwise.
    """
    chosen = get_layout(layout)
    root = _find_root(Path(data_root), chosen)
    if not root.is_dir():
        raise UserInputError(f"data_root {root}: is a file, expected the folder of a data set")
    try:
        source = chosen.find(root)
        usable = _has_entries(source)
        hints = [] if usable else list(_hints(root, chosen))
    except OSError as error:
        raise UserInputError(f"data_root {root}: cannot be listed: {error.strerror or error}") from error
    if source is None or (hints and not usable):
        expected = f"is not laid out as layout={layout!r}, looked for {chosen.expected}"
        hints += [chosen.origin] if hints else [chosen.origin, get_layout("folder").origin]
        raise UserInputError("; ".join(filter(None, dict.fromkeys([f"data_root {root}: {expected}", *hints]))))
    return source


def _find_root(wanted: Path, layout: Layout) -> Path:
    others = layout.other_names(wanted)
    try:
        return find_data(wanted)
    except UserInputError as error:
        for other in others:
            try:
                return find_data(other)
            except UserInputError:
                continue
        missing = [f"{other.name} is not there either" for other in others]
        raise UserInputError("; ".join([str(error), *missing, *filter(None, [layout.origin])])) from None


def _hints(root: Path, layout: Layout) -> Iterator[str]:
    """What else `data_root` or `layout` may have been meant to be."""
    if inner := [p.name for p in sorted(root.iterdir()) if p.is_dir() and _fits(layout, p)]:
        yield f"its folder {inner[0]} may be meant"
    if fitting := [f"layout={name!r}" for name in list_layouts() if _fits(get_layout(name), root)]:
        yield f"{' or '.join(fitting)} fits"


def _fits(layout: Layout, root: Path) -> bool:
    try:
        return _has_entries(layout.find(root))
    except (OSError, UserInputError):
        return False


def _has_entries(source: Source | None) -> bool:
    return source is not None and any(split.entries for split in source.splits.values())

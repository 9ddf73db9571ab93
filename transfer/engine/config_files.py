"""Where configs are: files that the user names, and ours, which are installed with the library."""

from __future__ import annotations

from pathlib import Path

from backbones.errors import UserInputError, did_you_mean

_PACKAGE = Path(__file__).resolve().parents[1]
OURS = next((folder for folder in (_PACKAGE / "configs", _PACKAGE.parent / "configs") if folder.is_dir()), None)
"""Our own configs: beside the library where it is installed, at the top of a checkout."""


def find_config(name: str | Path, kind: str = "") -> Path:
    """The config file that `name` is the path of, or else one of ours by its name, such as `shha_ean_se`.

    Args:
        name: a path, or a name relative to the folder of our configs, with or without the ending `.py`.
        kind: a folder of our configs, such as `"search"`, where names are looked for first.

    Raises:
        UserInputError: there is none (with close matches).
    """
    given = Path(name)
    if given.is_file():
        return given
    inside = Path(*given.parts[1:]) if given.parts[:1] == ("configs",) else given
    if OURS is not None and not given.is_absolute() and ".." not in given.parts:
        inside = inside.with_name(f"{inside.name.removesuffix('.py')}.py")
        for file in (OURS / kind / inside, OURS / inside):
            if file.is_file():
                return file
    beside = {path.stem: str(path) for path in sorted(given.parent.glob("*.py"))}
    known = {name: name for name in list_configs(kind)} | beside
    near = did_you_mean(inside.as_posix().removesuffix(".py"), known)
    for stem, path in beside.items():
        near = near.replace(repr(stem), repr(path))
    raise UserInputError(
        f"config {str(name)!r} does not exist, expected a .py file, such as those in configs/, or the name of one of "
        f"ours.{near}"
    )


def list_configs(kind: str = "") -> list[str]:
    """Names of our configs, or of those in the folder `kind`, sorted; those that others are made of are left out."""
    if OURS is None:
        return []
    files = (file.relative_to(OURS / kind) for file in (OURS / kind).rglob("*.py"))
    return sorted(file.with_suffix("").as_posix() for file in files if "_base_" not in file.parts)

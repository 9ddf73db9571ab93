"""Finds data folders and files: under `data/`, or under the folder that `TRANSFER_DATA` names."""

from __future__ import annotations

import os
from pathlib import Path

from backbones.errors import UserInputError

ENVIRONMENT_VARIABLE = "TRANSFER_DATA"


def find_data(path: str | Path) -> Path:
    """Returns where `path` is: as it stands, else under `data/`, else under `$TRANSFER_DATA`.

    Raises:
        UserInputError: it is in none of them; the line says where it was looked for and where data come from.
    """
    wanted = Path(path).expanduser()
    places = [wanted]
    if not wanted.is_absolute():
        places.append(Path("data") / wanted)
        if root := os.environ.get(ENVIRONMENT_VARIABLE):
            places.append(Path(root).expanduser() / wanted)
    for place in places:
        if place.exists():
            return place
    looked = ", ".join(str(place.absolute()) for place in places)
    hint = "" if os.environ.get(ENVIRONMENT_VARIABLE) else f" ({ENVIRONMENT_VARIABLE} is not set)"
    raise UserInputError(
        f"data {str(path)!r} not found, looked for {looked}{hint}: put it under data/ or set {ENVIRONMENT_VARIABLE} to "
        "the folder that holds it; docs/data.md says where to get it"
    )

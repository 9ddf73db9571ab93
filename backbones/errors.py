"""Errors that a command turns into one line and an exit status, and the close matches they offer."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class UserInputError(ValueError):
    """The user's input is wrong (file, key, option): commands print the line and exit with status 2.

    The message is one line: the file or key, what is wrong, what was expected, how to mend it.
    """


class RunError(RuntimeError):
    """The run or its surroundings failed (full disk, busy folder, non-finite loss): exit status 1."""


def did_you_mean(name: str, known: Iterable[str], *, most: int = 3) -> str:
    """Returns `" Did you mean 'a' or 'b'?"`, or an empty string where nothing known resembles `name`."""
    matches = difflib.get_close_matches(str(name), list(known), n=most, cutoff=0.6)
    return f" Did you mean {' or '.join(repr(m) for m in matches)}?" if matches else ""

"""What a case is: files in a folder, a command line or a call, and what must come of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

Call = Callable[[], object]
Made = Sequence[str] | Call
"""A command line without `ean` in front, or what to call instead of one."""


@dataclass(frozen=True)
class Case:
    """One bad input.

    Attributes:
        family: heading of the table.
        name: unique among its family's.
        make: fills the empty current folder, and returns what to run there.
        names: what the line of a refusal must hold: the file's or the key's name.
        handled: the way in which it is dealt with instead of refused; empty: it must be refused.
        says: of a handled case: what its output must hold.
        status: of a refusal; 1 where the surroundings are to blame.
        failed: it failed on 24 Nov 2026; the number of the finding.
        keeps: what was done of the other inputs rightly stays.
        editable: what is wrong can be seen and typed, so that "expected VALUE" says how to mend it.
    """

    family: str
    name: str
    make: Callable[[Path], Made]
    names: str = ""
    handled: str = ""
    says: str = ""
    status: int = 2
    failed: str = ""
    keeps: bool = False
    editable: bool = True

    @property
    def id(self) -> str:
        """Family and name."""
        return f"{self.family}/{self.name}"

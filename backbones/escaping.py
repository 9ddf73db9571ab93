"""Text from elsewhere, such as file names, on its way to a terminal or into a spreadsheet."""

from __future__ import annotations

import re
from typing import Any

_CONTROL = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f"  # what moves the cursor, and begins sequences that set titles and colours
    "\u2028\u2029\u202a-\u202e\u2066-\u2069"  # line ends, and what turns the order of letters around
    "\ud800-\udfff]"  # bytes of a file name that are no UTF-8, and that no stream takes
)
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def printable(text: str) -> str:
    r"""Text without what a terminal would act on; tabs and line breaks stay.

    >>> printable("a\x1b[2Jb")
    'a\\x1b[2Jb'
    """
    return _CONTROL.sub(lambda found: ascii(found[0])[1:-1], text)


def csv_cell(value: Any) -> Any:
    """A cell for a CSV file: text that a spreadsheet would take for a formula gets an apostrophe in front.

    >>> [csv_cell(value) for value in ("=1+1.jpg", "a.jpg", -3.5)]
    ["'=1+1.jpg", 'a.jpg', -3.5]
    """
    if not isinstance(value, str):
        return value
    text = printable(value)
    return f"'{text}" if value.startswith(_FORMULA) else text

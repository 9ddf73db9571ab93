"""What the line of a refusal must say: where, what was found or expected, and how to mend it.

The rule looks for clauses, not for one word: a line that expects something says so by one of the phrases that the
language has for it, and one that helps gives an order ("copy it again"), an example or the choice there is. Of what a
user types, an option or a key of a text file, naming what is expected is the help: it says what to type instead.
"""

from __future__ import annotations

import re

EXPECTED = re.compile(
    r"\bexpected\b|\bat (most|least)\b|\bonly\b|\binstead of\b|\bmust\b|\bneeds?\b|\bone of\b|\bdoes not (take|fit|exist)"
    r"|\bis not (the|what|a)\b|\bnot (valid|a readable|a)\b|\bno such\b|\bchoose from\b|\brequired\b|\bDid you mean\b"
    r"|\bwas .*, now it is\b|\bwithout\b|\bnot registered\b|\bholds no\b|\bhas no\b|\bneither\b|\blooked for\b|\bit knows\b|\bnothing to\b|\bno scheme\b|\bcannot\b|\bas well\b|\btakes\b|\balready\b",
)
"""Says what was expected, or that what was expected is not there."""

_ORDERS = (
    "add allow attach bring change check choose clear close copy correct cut delete download draw drop edit export fetch"
    " free get give install label leave list look make mark move name order pack pass pick place point put raise read"
    " register remove rename repeat replace report resume retry run save say see set show start take train try turn"
    " unpack use wait write"
)
MEND = re.compile(
    rf"(?:^|[;:,(]|\bor|\band|\bthen|\bfirst|\bplease)\s+(?:{'|'.join(_ORDERS.split())})\b"
    r"|\bDid you mean\b|\bsuch as\b|\bchoose from\b|`ean |`tools/|--[a-z]|\bdoes custom_imports\b",
    re.IGNORECASE,
)
"""An order, an example, or the name of the option or command that helps."""


def missing_parts(line: str, names: str, *, editable: bool, usage: bool = False) -> list[str]:
    """Which of "where", "expected" and "mend" a line of refusal lacks.

    Args:
        line: of the refusal.
        names: what "where" means.
        editable: see above.
        usage: the command's usage stands above the line, and says what is expected and how to write it.
    """
    parts = []
    if names not in line:
        parts.append("where")
    if usage:
        return parts
    if not EXPECTED.search(line):
        parts.append("expected")
    if not (MEND.search(line) or (editable and re.search(r"\bexpected \S", line))):
        parts.append("mend")
    return parts

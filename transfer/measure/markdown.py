"""Little pieces of Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any


def table(head: Sequence[str], rows: Iterable[Sequence[Any]], rule: str = "---") -> str:
    """A table; bars inside cells are escaped. The rule below the head aligns the columns, `--:` to the right."""
    lines = [head, [rule] * len(head), *rows]
    return "\n".join("| " + " | ".join(str(cell).replace("|", "\\|") for cell in line) + " |" for line in lines)


def one_line(values: Any) -> str:
    """JSON values on one line, objects inside objects in brackets; nothing for None."""
    if not isinstance(values, Mapping):
        return "" if values is None else str(values)
    told = {key: f"({one_line(v)})" if isinstance(v, Mapping) else one_line(v) for key, v in values.items()}
    return ", ".join(f"{key} {text}" for key, text in told.items() if text not in ("", "()"))


def with_args(name: Any, args: Mapping[str, Any] | None) -> str:
    """A name with its arguments in brackets, if it has any."""
    return f"{name} ({one_line(args)})" if args else str(name)


def code(value: Any) -> str | None:
    """As code; None stays None."""
    return None if value is None else f"`{value}`"


def number(value: float | None, form: str = ".2f", *, none: str = "-") -> str:
    """In a number format, or what stands for no number.

    >>> number(1234.56, ",.1f"), number(None)
    ('1,234.6', '-')
    """
    return none if value is None else f"{value:{form}}"


def interval(ends: Sequence[float] | None, form: str = ".2f", *, none: str = "-") -> str:
    """Both ends in a number format, or what stands for no interval."""
    return " to ".join(f"{end:{form}}" for end in ends) if ends else none

"""Little pieces of Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any


def table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A table; bars inside cells are escaped."""
    lines = [head, ["---"] * len(head), *rows]
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


def number(value: float | None) -> str:
    """With two decimals, or a dash."""
    return "-" if value is None else f"{value:.2f}"


def interval(ends: tuple[float, float], form: str) -> str:
    """Both ends in a number format, such as `.4f`."""
    return f"{ends[0]:{form}} to {ends[1]:{form}}"

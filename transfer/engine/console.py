"""What commands say: lines, durations, and how to go on."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterable
from typing import Any

from mmengine.dist import is_main_process


def say(line: str, stream: Any = None) -> None:
    """Prints a line, in the first process only."""
    if is_main_process():
        print(line, file=stream or sys.stdout, flush=True)


def duration(seconds: float) -> str:
    """Hours, minutes and seconds.

    >>> duration(3725)
    '1:02:05'
    """
    minutes, seconds = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{seconds:02d}"


def repeat_command(extra: Iterable[str] = ()) -> str:
    """The command line as typed, with `extra` behind it."""
    program = sys.argv[0].split() if sys.argv[0].startswith("ean ") else ["python", sys.argv[0]]
    return shlex.join([*program, *sys.argv[1:], *extra])


def resume_command() -> str:
    """The command line that goes on where this one was stopped."""
    return repeat_command(() if "--resume" in sys.argv else ("--resume",))

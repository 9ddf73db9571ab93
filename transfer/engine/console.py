"""What commands say: lines, durations, and how to go on."""

from __future__ import annotations

import shlex
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from mmengine.dist import is_main_process
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from backbones.escaping import printable


def say(line: str, stream: Any = None) -> None:
    """Prints a line, in the first process only."""
    if is_main_process():
        print(printable(line), file=stream or sys.stdout, flush=True)


def duration(seconds: float) -> str:
    """Hours, minutes and seconds.

    >>> duration(3725)
    '1:02:05'
    """
    minutes, seconds = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{seconds:02d}"


@contextmanager
def progress(what: str, total: int, *, every: float = 10.0) -> Iterator[Callable[[int], None]]:
    """Says on standard error how far work has come: a bar on a terminal, else a line now and then.

    Args:
        what: is counted, such as `"images"`.
        total: of them.
        every: seconds between lines where there is no terminal.

    Yields:
        What to call with the number that is done.
    """
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    started = said = time.monotonic()

    def show(done: int) -> None:
        nonlocal said
        bar.update(task, completed=done)
        now = time.monotonic()
        if not console.is_terminal and now - said > every:
            said = now
            left = duration((now - started) * (total - done) / max(done, 1))
            print(f"{done:,} of {total:,} {what}, {left} left", file=sys.stderr, flush=True)

    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(what, total=total)
        yield show


T = TypeVar("T")


def tracked(items: Iterable[T], what: str, total: int) -> Iterator[T]:
    """Hands `items` on, and says with `progress` how many of `total` were taken."""
    with progress(what, total) as show:
        for done, item in enumerate(items, 1):
            yield item
            show(done)


@contextmanager
def working(what: str) -> Iterator[None]:
    """Shows on a terminal that something without steps to count goes on, such as `"tracing the model"`."""
    console = Console(stderr=True)
    if console.is_terminal and is_main_process():
        with console.status(what):
            yield
    else:
        yield


def repeat_command(extra: Iterable[str] = ()) -> str:
    """The command line as typed, with `extra` behind it."""
    program = sys.argv[0].split() if sys.argv[0].startswith("ean ") else ["python", sys.argv[0]]
    return shlex.join([*program, *sys.argv[1:], *extra])


def resume_command() -> str:
    """The command line that goes on where this one was stopped; `standalone` does so by itself."""
    program = sys.argv[0].split()[-1].rpartition("/")[2].removesuffix(".py")
    return repeat_command(() if program == "standalone" or "--resume" in sys.argv else ("--resume",))

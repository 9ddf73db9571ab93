"""How every command ends: one line on stderr and an exit status instead of a traceback. Imports nothing heavy."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from backbones.errors import RunError, UserInputError

WRONG_INPUT = 2
FAILED = 1
INTERRUPTED = 128 + signal.SIGINT
TERMINATED = 128 + signal.SIGTERM


class _Terminated(BaseException):
    """SIGTERM arrived: unwinds the stack so that temporary files go away, caught by no `except Exception`."""


def run_command(main: Callable[..., int | None], argv: list[str] | None = None) -> int:
    """Runs `main(argv)` and returns the exit status.

    0, or what `main` returns; 2 wrong input (`UserInputError`); 1 the run or its surroundings failed (`RunError`, the
    system's own errors, no memory left); 130 and 143 stopped by SIGINT and SIGTERM. For these, stderr gets one line.
    Anything else is a defect of the program, and keeps its traceback.
    """
    try:
        with _sigterm_raises():
            status = main(argv) or 0
            sys.stdout.flush()
            return status
    except UserInputError as error:
        return _say(str(error), WRONG_INPUT)
    except RunError as error:
        return _say(str(error), FAILED)
    except KeyboardInterrupt:
        return _say("stopped by SIGINT", INTERRUPTED)
    except _Terminated:
        return _say("stopped by SIGTERM", TERMINATED)
    except BrokenPipeError:
        # The reader of our output left (`| head`): nothing to tell, and nobody to tell it to.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except OSError as error:
        return _say(_system_error(error), FAILED)
    except (MemoryError, RuntimeError) as error:
        if not _out_of_memory(error):
            raise
        return _say("no memory left; take a smaller batch or smaller crops", FAILED)


def _say(line: str, status: int) -> int:
    print("error:", " ".join(line.split("\n")), file=sys.stderr)
    return status


def _system_error(error: OSError) -> str:
    where = f"{error.filename}: " if error.filename else ""
    return f"{where}{error.strerror or error}"


def _out_of_memory(error: BaseException) -> bool:
    """`MemoryError`, or torch's own error, which is known here by its name only."""
    return isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"


@contextmanager
def _sigterm_raises() -> Iterator[None]:
    """Inside, SIGTERM raises `_Terminated` in this process; in a forked one it ends that process, as it would."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    owner = os.getpid()

    def handle(signum: int, frame: FrameType | None) -> None:
        if os.getpid() == owner:
            raise _Terminated
        signal.signal(signum, signal.SIG_DFL)
        os.kill(os.getpid(), signum)

    before: Any = signal.signal(signal.SIGTERM, handle)
    try:
        yield
    finally:
        if before is not None:
            signal.signal(signal.SIGTERM, before)

"""The command `ean`, what all commands share, and how each of them ends. Imports nothing heavy.

One line on stderr and an exit status take the place of a traceback.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from backbones.errors import RunError, UserInputError, did_you_mean
from backbones.escaping import printable

PACKAGES = ("backbones", "transfer", "tasks")
HOME = Path(__file__).resolve().parents[1]
"""The folder that holds our packages: a checkout, or where the wheel is installed."""

COMMANDS: dict[str, tuple[str, ...]] = {
    "train": ("train",),
    "test": ("test",),
    "predict": ("predict",),
    "explain": ("explain",),
    "check": ("check",),
    "search": ("search",),
    "standalone": ("standalone",),
    "report": ("report",),
    "benchmark": ("benchmark",),
    "scenes": ("scenes",),
    "models": ("models",),
    "export": ("export",),
    "inspect": ("inspect",),
    "app": ("app",),
    "import-points": ("import_points",),
    **{name: ("backbones", name) for name in ("list", "show", "verify", "register", "remove", "fetch", "pack")},
}
"""What `ean NAME` runs: a module of `transfer.commands`, and the words that it gets in front of the others."""

WRONG_INPUT = 2
FAILED = 1
INTERRUPTED = 128 + signal.SIGINT
ENDING = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP", "SIGUSR1") if hasattr(signal, name))
"""Signals that end a command as SIGTERM does: also a terminal that was closed, and a scheduler's warning."""

_received = 0


class Terminated(BaseException):
    """One of `ENDING` arrived: unwinds the stack so that temporary files go away, caught by no `except Exception`."""

    def __init__(self, signum: int = signal.SIGTERM) -> None:
        super().__init__(signum)
        self.signum = signum


def received_signal() -> int:
    """SIGINT or the one of `ENDING` that came, 0 for none: a bare `except` may have swallowed what it raised."""
    return _received


def not_ignored(signals: Iterable[int]) -> list[int]:
    """Those that whoever started this process did not switch off, as `nohup` does."""
    return [signum for signum in signals if signal.getsignal(signum) != signal.SIG_IGN]


def main(argv: list[str] | None = None) -> int:
    """The command `ean`: `ean NAME ...` is `python tools/NAME.py ...`; returns the exit status."""
    argv = sys.argv[1:] if argv is None else argv
    if not argv or argv[0] in ("-h", "--help", "help"):
        print(usage())
        return 0
    if argv[0] in ("-V", "--version"):
        print(version())
        return 0
    return run_command(lambda _: _dispatch(argv[0], argv[1:]))


def _dispatch(name: str, rest: list[str]) -> int | None:
    if name not in COMMANDS:
        raise UserInputError(f"ean {name}: expected one of {', '.join(COMMANDS)}.{did_you_mean(name, COMMANDS)}")
    module, *words = COMMANDS[name]
    # What was typed, for help texts and for the commands that say how to go on.
    sys.argv = ["ean" if words else f"ean {name}", *words, *rest]
    return importlib.import_module(f"transfer.commands.{module}").main([*words, *rest])


def usage() -> str:
    """A line for each command."""
    lines = ["usage: ean COMMAND ...; ean COMMAND --help says more", ""]
    for name, (module, *words) in COMMANDS.items():
        found = importlib.import_module(f"transfer.commands.{module}")
        text = found.TEXTS[name] if words else (found.__doc__ or "").splitlines()[0]
        lines.append(f"  {name:14}{text[0].upper()}{text[1:].rstrip('.')}")
    return "\n".join([*lines, "", "  --version   of this toolkit and of what it computes with"])


def version() -> str:
    """Of this toolkit, Python and torch, without importing it."""
    from importlib import metadata

    def of(package: str) -> str:
        try:
            return metadata.version(package)
        except metadata.PackageNotFoundError:
            return "not installed"

    return f"ean-transfer {of('ean-transfer')}, Python {sys.version.split()[0]}, torch {of('torch')}"


def check_packages() -> None:
    """Raises `UserInputError` where another package of the same name hides one of ours."""
    for name in PACKAGES:
        found = importlib.util.find_spec(name)
        places = [Path(place).resolve() for place in (found.submodule_search_locations or ())] if found else []
        if HOME / name not in places[:1]:
            where = places[0] if places else found.origin if found else "nowhere"
            raise UserInputError(
                f"package {name!r} is found in {where}, expected {HOME / name}: a folder or module of yours hides it; "
                "run from elsewhere, or rename it"
            )


# ---- what parsers share


def add_config(parser: argparse.ArgumentParser, example: str = "configs/shha_ean_se.py") -> None:
    """The config, by path or by name."""
    name = example.removeprefix("configs/").removesuffix(".py")
    parser.add_argument("config", help=f"config file, such as {example}, or the name of one of ours, such as {name}")


def add_cfg_options(parser: argparse.ArgumentParser, help: str = "override config keys") -> None:
    """`--cfg-options`, which may be given several times."""
    parser.add_argument("--cfg-options", nargs="+", action="extend", default=[], metavar="KEY=VALUE", help=help)


def add_device(parser: argparse.ArgumentParser) -> None:
    """`--device`."""
    parser.add_argument("--device", help="cpu, cuda, cuda:1 or mps (default: the best there is)")


def add_launcher(parser: argparse.ArgumentParser) -> None:
    """`--launcher`."""
    parser.add_argument("--launcher", choices=("none", "pytorch"), default="none", help="pytorch: under torchrun")


def add_engine(parser: argparse.ArgumentParser) -> None:
    """`--engine` and `--workers`."""
    parser.add_argument(
        "--engine", choices=("serial", "ray"), default="serial", help="ray: spread the work over a Ray cluster"
    )
    parser.add_argument("--workers", type=int, default=2, help="with --engine ray: number of processes")


# ---- how a command ends


def run_command(main: Callable[..., int | None], argv: list[str] | None = None) -> int:
    """Runs `main(argv)` and returns the exit status.

    0, or what `main` returns; 2 wrong input (`UserInputError`); 1 the run or its surroundings failed (`RunError`, the
    system's own errors, no memory left); 128 + the number of a signal that stopped it. For these, stderr gets one line.
    Anything else is a defect of the program, and keeps its traceback.
    """
    try:
        with _signals_raise():
            check_packages()
            status = main(argv) or 0
            sys.stdout.flush()
            return status
    except UserInputError as error:
        return _say(str(error), WRONG_INPUT)
    except RunError as error:
        return _say(str(error), FAILED)
    except KeyboardInterrupt as stop:
        return _stopped(signal.SIGINT, stop)
    except Terminated as stop:
        return _stopped(stop.signum, stop)
    except BrokenPipeError:
        # The reader of our output left (`| head`): nothing to tell, and nobody to tell it to.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except OSError as error:
        return _stopped(_received, error) if _received else _say(_system_error(error), FAILED)
    except Exception as error:
        if _received:  # `Terminated` was made another error of
            return _stopped(_received, error)
        if not _out_of_memory(error):
            _ask_for_report()
            raise
        return _say("no memory left; take a smaller batch or smaller crops", FAILED)


def _ask_for_report() -> None:
    print("a defect of the program, not of your input: please report these lines, and the command", file=sys.stderr)


def _say(line: str, status: int) -> int:
    print("error:", printable(" ".join(line.split("\n"))), file=sys.stderr)
    return status


def _stopped(signum: int, error: BaseException) -> int:
    notes = getattr(error, "__notes__", ())
    return _say("; ".join([f"stopped by {signal.Signals(signum).name}", *notes]), 128 + signum)


def _system_error(error: OSError) -> str:
    where = f"{error.filename}: " if error.filename else ""
    return f"{where}{error.strerror or error}; check that path, its rights and the room there"


def _out_of_memory(error: BaseException) -> bool:
    """`MemoryError`, or torch's own, known here by name on a GPU, and by what it says on a CPU."""
    named = isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"
    return named or (isinstance(error, RuntimeError) and "can't allocate memory" in str(error))


@contextmanager
def _signals_raise() -> Iterator[None]:
    """Inside, SIGINT and `ENDING` raise in this process; in a forked one they end that process, as they would."""
    global _received
    _received = 0
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    owner = os.getpid()

    def handle(signum: int, frame: FrameType | None) -> None:
        global _received
        if os.getpid() == owner:
            _received = signum
            raise KeyboardInterrupt if signum == signal.SIGINT else Terminated(signum)
        signal.signal(signum, signal.SIG_DFL)
        os.kill(os.getpid(), signum)

    before: dict[int, Any] = {signum: signal.signal(signum, handle) for signum in not_ignored((signal.SIGINT, *ENDING))}
    try:
        yield
    finally:
        for signum, handler in before.items():
            if handler is not None:
                signal.signal(signum, handler)

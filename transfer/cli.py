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
from collections.abc import Callable, Iterator
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
TERMINATED = 128 + signal.SIGTERM


class Terminated(BaseException):
    """SIGTERM arrived: unwinds the stack so that temporary files go away, caught by no `except Exception`."""


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
    system's own errors, no memory left); 130 and 143 stopped by SIGINT and SIGTERM. For these, stderr gets one line.
    Anything else is a defect of the program, and keeps its traceback.
    """
    try:
        with _sigterm_raises():
            check_packages()
            status = main(argv) or 0
            sys.stdout.flush()
            return status
    except UserInputError as error:
        return _say(str(error), WRONG_INPUT)
    except RunError as error:
        return _say(str(error), FAILED)
    except KeyboardInterrupt:
        return _say("stopped by SIGINT", INTERRUPTED)
    except Terminated:
        return _say("stopped by SIGTERM", TERMINATED)
    except BrokenPipeError:
        # The reader of our output left (`| head`): nothing to tell, and nobody to tell it to.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except OSError as error:
        return _say(_system_error(error), FAILED)
    except (MemoryError, RuntimeError) as error:
        if not _out_of_memory(error):
            _ask_for_report()
            raise
        return _say("no memory left; take a smaller batch or smaller crops", FAILED)
    except Exception:
        _ask_for_report()
        raise


def _ask_for_report() -> None:
    print("defect: this is none of your input's; please report the lines below, and the command", file=sys.stderr)


def _say(line: str, status: int) -> int:
    print("error:", printable(" ".join(line.split("\n"))), file=sys.stderr)
    return status


def _system_error(error: OSError) -> str:
    where = f"{error.filename}: " if error.filename else ""
    return f"{where}{error.strerror or error}; check that path, its rights and the room there"


def _out_of_memory(error: BaseException) -> bool:
    """`MemoryError`, or torch's own error, which is known here by its name only."""
    return isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"


@contextmanager
def _sigterm_raises() -> Iterator[None]:
    """Inside, SIGTERM raises `Terminated` in this process; in a forked one it ends that process, as it would."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    owner = os.getpid()

    def handle(signum: int, frame: FrameType | None) -> None:
        if os.getpid() == owner:
            raise Terminated
        signal.signal(signum, signal.SIG_DFL)
        os.kill(os.getpid(), signum)

    before: Any = signal.signal(signal.SIGTERM, handle)
    try:
        yield
    finally:
        if before is not None:
            signal.signal(signal.SIGTERM, before)

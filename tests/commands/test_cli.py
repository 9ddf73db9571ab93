"""The command `ean`, and how every command ends."""

import os
import signal
import subprocess
import sys
import time

import pytest
from card_files import ROOT

from backbones.errors import RunError, UserInputError
from transfer import cli
from transfer.cli import COMMANDS, check_packages, main, run_command

pytestmark = pytest.mark.slow

# ---- which command is meant


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_a_help_of_its_own(name, capsys):
    with pytest.raises(SystemExit) as stop:
        main([name, "--help"])
    out = capsys.readouterr().out
    typed = out.partition("usage: ")[2].split()
    assert stop.value.code == 0 and typed[0] == "ean" and name in typed[:3]


@pytest.mark.parametrize("argv", [[], ["-h"], ["--help"], ["help"]])
def test_usage_has_a_line_for_every_command(argv, capsys):
    assert main(argv) == 0
    rows = [line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines() if line.startswith("  ")]
    said = {row[0]: row[1] for row in rows}
    assert set(COMMANDS) <= set(said) and all(said[name][0].isupper() for name in COMMANDS)


@pytest.mark.parametrize(("name", "near"), [("trian", "'train'"), ("benchmarks", "'benchmark'"), ("verfy", "'verify'")])
def test_an_unknown_command_has_close_matches(name, near, capsys):
    assert main([name]) == 2
    err = capsys.readouterr().err
    assert err.startswith(f"error: ean {name}: ") and f"Did you mean {near}" in err and err.count("\n") == 1


@pytest.mark.parametrize("option", ["-V", "--version"])
def test_the_version_is_that_of_what_is_installed(option, capsys, monkeypatch):
    monkeypatch.setattr("importlib.metadata.version", {"ean-transfer": "3.2.1", "torch": "2.9"}.__getitem__)
    assert main([option]) == 0
    assert capsys.readouterr().out == f"ean-transfer 3.2.1, Python {sys.version.split()[0]}, torch 2.9\n"


def test_arguments_reach_the_command_and_its_status_comes_back(capsys):
    assert main(["show", "resnet50.imagenet"]) == 0
    assert "resnet50.imagenet" in capsys.readouterr().out
    assert main(["show", "resnet50.imagnet"]) == 2
    assert "Did you mean 'resnet50.imagenet'" in capsys.readouterr().err


def test_a_package_that_hides_ours_is_named(tmp_path, monkeypatch):
    check_packages()
    monkeypatch.setattr(cli, "HOME", tmp_path)
    with pytest.raises(UserInputError) as error:
        check_packages()
    message = str(error.value)
    assert str(ROOT / "backbones") in message and str(tmp_path / "backbones") in message and "\n" not in message


# ---- how commands end


def raises(error):
    def main(argv=None):
        raise error

    return main


class OutOfMemoryError(RuntimeError):
    """As torch calls its own."""


@pytest.mark.parametrize(
    ("error", "status", "line"),
    [
        (UserInputError("x: wrong\nexpected y"), 2, "error: x: wrong expected y\n"),
        (RunError("it broke"), 1, "error: it broke\n"),
        (
            OSError(28, "No space left on device", "/x/y"),
            1,
            "error: /x/y: No space left on device; check that path, its rights and the room there\n",
        ),
        (MemoryError(), 1, "error: no memory left; take a smaller batch or smaller crops\n"),
        (OutOfMemoryError("CUDA"), 1, "error: no memory left; take a smaller batch or smaller crops\n"),
        (KeyboardInterrupt(), 130, "error: stopped by SIGINT\n"),
    ],
)
def test_status_and_line(error, status, line, capsys):
    assert run_command(raises(error)) == status
    assert capsys.readouterr().err == line


def test_status_of_main_is_kept_and_defects_keep_their_traceback():
    assert run_command(lambda argv: None) == 0
    assert run_command(lambda argv: len(argv), ["a", "b", "c"]) == 3
    with pytest.raises(RuntimeError, match="a defect"):
        run_command(raises(RuntimeError("a defect")))


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_sigterm_unwinds_and_is_143(capsys):
    before, cleaned = signal.getsignal(signal.SIGTERM), []

    def main(argv):
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(5)
        finally:
            cleaned.append(True)

    assert run_command(main) == 143
    assert cleaned and capsys.readouterr().err == "error: stopped by SIGTERM\n"
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.skipif(sys.platform == "win32", reason="pipes")
def test_a_reader_that_leaves_is_no_error():
    line = f"{sys.executable} {ROOT / 'tools' / 'backbones.py'} list | head -1"
    done = subprocess.run(line, shell=True, capture_output=True, text=True)
    assert done.stderr == "" and done.stdout

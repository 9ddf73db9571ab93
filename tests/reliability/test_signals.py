"""A signal ends a command with one line, whatever code it meets; nothing half-made stays."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from transfer.cli import ENDING, run_command
from transfer.engine.workdir import WorkDir

SIGNALS = [signal.SIGINT, *ENDING]


def swallowed(signum):
    """As mmengine's `Config.pretty_text` does."""
    try:
        os.kill(os.getpid(), signum)
    except:  # noqa: E722
        raise SyntaxError("Failed to format:\n" + "line\n" * 200)  # noqa: B904


def plain(signum):
    os.kill(os.getpid(), signum)


@pytest.mark.parametrize("meet", [swallowed, plain])
@pytest.mark.parametrize("signum", SIGNALS)
def test_a_signal_is_one_line_and_leaves_no_work_directory(tmp_path, signum, meet, capsys):
    def command(_):
        with (held := WorkDir(tmp_path / "new")).locked(), held.explained():
            (tmp_path / "new" / "log").mkdir()
            meet(signum)

    assert run_command(command) == 128 + signum
    assert capsys.readouterr().err == f"error: stopped by {signal.Signals(signum).name}\n"
    assert not (tmp_path / "new").exists()


def test_what_is_safe_is_said(tmp_path, capsys):
    def command(_):
        with (held := WorkDir(tmp_path)).locked(), held.explained():
            (tmp_path / "iter_3.pth").touch()
            plain(signal.SIGTERM)

    assert run_command(command) == 143
    err = capsys.readouterr().err
    assert err.count("\n") == 1 and "safe there: iter_3.pth; continue with: " in err and "--resume" in err


def test_a_signal_that_is_ignored_stays_so(capsys):
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does
    try:
        assert run_command(lambda _: plain(signal.SIGHUP)) == 0
    finally:
        signal.signal(signal.SIGHUP, before)


def test_handlers_are_those_from_before():
    before = [signal.getsignal(signum) for signum in SIGNALS]
    assert run_command(lambda _: 0) == 0
    assert [signal.getsignal(signum) for signum in SIGNALS] == before


WORKER = """
import os, signal, sys, time
from torch.utils.data import DataLoader
from transfer.engine.sampling import init_worker

class Slow:
    def __len__(self):
        return 8
    def __getitem__(self, index):
        open(f"{sys.argv[1]}/{os.getpid()}", "w").close()
        time.sleep(600)

batches = iter(DataLoader(Slow(), num_workers=2, worker_init_fn=init_worker))
while len(os.listdir(sys.argv[1])) < 2:
    time.sleep(0.01)
for signum in (signal.SIGHUP, signal.SIGUSR1):
    for worker in os.listdir(sys.argv[1]):
        os.kill(int(worker), signum)
time.sleep(0.2)
assert all(worker.is_alive() for worker in batches._workers)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="prctl")
def test_data_workers_outlive_signals_but_not_their_parent(tmp_path):
    line = [sys.executable, "-c", WORKER, str(tmp_path)]
    done = subprocess.run(line, cwd=Path(__file__).parents[2], capture_output=True, text=True, timeout=120)
    # The pipes are closed only when the last process that holds them has ended.
    assert done.returncode == -signal.SIGKILL, done.stderr

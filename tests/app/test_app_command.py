"""`ean app` where it cannot start: one line, and nothing is left."""

import importlib.util
import socket

import pytest

from transfer.app.serve import is_local, listening


def without_gradio(monkeypatch):
    gradio_is(None, monkeypatch)


def with_gradio(monkeypatch):
    gradio_is(importlib.util.find_spec("json"), monkeypatch)


def gradio_is(spec, monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *to: spec if name == "gradio" else find(name, *to))


def test_without_gradio_the_line_says_how_to_install_it(command, monkeypatch):
    without_gradio(monkeypatch)
    done = command("app.py")
    assert done.returncode == 2 and done.stderr.count("\n") == 1 and 'pip install "ean-transfer[app]"' in done.stderr


def test_a_port_that_is_taken_is_a_line(command, monkeypatch):
    with_gradio(monkeypatch)
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        done = command("app.py", "--port", port)
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    assert f"--port {port}" in done.stderr and "choose another" in done.stderr


@pytest.mark.parametrize("argv", [("--port", 70000), ("--port", -1), ("--host", "nowhere.invalid")])
def test_an_address_that_is_none_is_a_line(command, monkeypatch, argv):
    with_gradio(monkeypatch)
    done = command("app.py", *argv)
    assert done.returncode == 2 and done.stderr.count("\n") == 1 and " ".join(map(str, argv)) in done.stderr


def test_an_unknown_model_is_a_line_and_the_port_is_free_again(command, monkeypatch):
    with_gradio(monkeypatch)
    with listening("127.0.0.1", 0) as server:
        port = server.getsockname()[1]
    done = command("app.py", "--port", port, "--model", "nothing_like_it")
    assert done.returncode == 2 and done.stderr.count("\n") == 1 and "nothing_like_it" in done.stderr
    with listening("127.0.0.1", port):
        pass


@pytest.mark.parametrize(("host", "local"), [("127.0.0.1", True), ("localhost", True), ("0.0.0.0", False)])
def test_what_only_this_machine_reaches(host, local):
    assert is_local(host) is local

"""Trunk weights found by architecture, and downloads from this machine: verified, whole or not at all."""

import hashlib
import http.server
import os
import threading
from types import MappingProxyType

import pytest
import torch
import torchvision
from card_files import shake

from backbones import fetch
from backbones.errors import RunError, UserInputError
from backbones.registry import create_backbone
from backbones.weights import find_trunk_weights


@pytest.mark.parametrize("arch", fetch.TRUNK_FILES)
def test_trunk_files_are_torchvisions(arch):
    weights = torchvision.models.get_model_weights(arch)
    assert {fetch.TORCHVISION_URL + name for name in fetch.TRUNK_FILES[arch]} == {w.url for w in weights}
    assert weights.DEFAULT.url.endswith(fetch.TRUNK_FILES[arch][0])


@pytest.mark.parametrize("variable", ["TORCH_HOME", "XDG_CACHE_HOME", None])
def test_the_cache_is_torchs(variable, monkeypatch, tmp_path):
    for name in ("TORCH_HOME", "XDG_CACHE_HOME", "TRANSFER_WEIGHTS"):
        monkeypatch.delenv(name, raising=False)
    if variable:
        monkeypatch.setenv(variable, str(tmp_path))
    assert [str(folder) for folder in fetch.weights_folders()] == [os.path.join(torch.hub.get_dir(), "checkpoints")]


@pytest.fixture
def weights_folder(tmp_path, monkeypatch):
    folder = tmp_path / "weights"
    folder.mkdir()
    monkeypatch.setenv("TRANSFER_WEIGHTS", str(folder))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    return folder


def named_by_hash(folder, content, stem="resnet50"):
    path = folder / f"{stem}-{hashlib.sha256(content).hexdigest()[:8]}.pth"
    folder.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def test_trunk_weights_are_found_in_order(weights_folder, tmp_path):
    cached = named_by_hash(tmp_path / "torch" / "hub" / "checkpoints", b"cached")
    assert find_trunk_weights("resnet50") == cached
    own = named_by_hash(weights_folder, b"own")
    assert find_trunk_weights("resnet50") == own
    preferred = weights_folder / fetch.TRUNK_FILES["resnet50"][0]
    preferred.write_bytes(b"damaged")
    with pytest.raises(UserInputError, match=r"resnet50-11ad3fa6\.pth: sha256 .* the name says 11ad3fa6"):
        find_trunk_weights("resnet50")


def test_missing_trunk_weights_say_how_to_go_on(weights_folder):
    with pytest.raises(UserInputError) as error:
        find_trunk_weights("resnet50")
    for part in (str(weights_folder), "tools/backbones.py fetch resnet50", "model.backbone.init=scratch"):
        assert part in str(error.value)
    with pytest.raises(UserInputError, match="no trunk weights for 'resnet38'"):
        find_trunk_weights("resnet38")


def test_create_backbone_from_the_trunk(weights_folder, caplog):
    theirs = shake(torchvision.models.resnet50())
    torch.save(theirs.state_dict(), weights_folder / "w")
    named_by_hash(weights_folder, (weights_folder / "w").read_bytes())
    with caplog.at_level("INFO", logger="backbones"):
        ours = create_backbone("resnet50_share_ean_sge.imagenet", pretrained="trunk", out_indices=(0,))
    assert torch.equal(ours.layer1[2].conv3.weight, theirs.layer1[2].conv3.weight)
    assert "init=trunk" in caplog.text and "fresh: 2" in caplog.text


CONTENT = (bytes(range(251)) * 800)[:200_000]
DIGEST = hashlib.sha256(CONTENT).hexdigest()


class Server(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path.endswith("gone.pth"):
            self.send_error(404)
            return
        if self.path.startswith("/to?"):
            self.send_response(302)
            self.send_header("Location", self.path[4:])
            self.end_headers()
            return
        self.send_response(200)
        if not self.path.startswith("/long"):
            self.send_header("Content-Length", str(len(CONTENT)))
        self.end_headers()
        if self.path.startswith("/long"):
            for _ in range(200):
                self.wfile.write(CONTENT)
        cut = {"/cut": CONTENT[:1000], "/bad": CONTENT[::-1]}
        self.wfile.write(cut.get(self.path[:4], CONTENT))

    def log_message(self, *args):
        pass


@pytest.fixture
def server(running_server, monkeypatch):
    """A server without a certificate, which only tests may download from."""
    monkeypatch.setattr(fetch, "_REMOTE", ("https://", "http://"))
    return running_server


@pytest.fixture(scope="module")
def running_server():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()


def test_a_download_is_verified_and_kept(server, weights_folder):
    seen = []
    path = fetch.download(f"{server}/net.pth", sha256=DIGEST, progress=lambda *said: seen.append(said))
    assert path == weights_folder / "net.pth" and path.read_bytes() == CONTENT
    assert seen[-1] == (len(CONTENT), len(CONTENT))
    assert fetch.download("https://127.0.0.1:1/net.pth", sha256=DIGEST) == path  # there already: no connection
    assert os.listdir(weights_folder) == [path.name]


@pytest.mark.parametrize("kind", ["cut", "bad", "gone"])
def test_a_failed_download_leaves_nothing(server, weights_folder, kind):
    old = weights_folder / f"{kind}.pth"
    old.write_bytes(b"old")
    with pytest.raises(RunError, match=kind):
        fetch.download(f"{server}/{kind}.pth", sha256=DIGEST)
    assert os.listdir(weights_folder) == [old.name] and old.read_bytes() == b"old"


def test_nobody_answers(weights_folder):
    with pytest.raises(RunError, match="could not be downloaded"):
        fetch.download("https://127.0.0.1:1/net.pth", sha256=DIGEST)
    with pytest.raises(RunError, match="could not be downloaded"):
        fetch.download("file:///no/such/net.pth", sha256=DIGEST)


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("ftp://example.org/net.pth", "begins with https"),
        ("http://example.org/net.pth", "begins with https"),
        ("https://example.org/", "leaves the card's folder"),
    ],
)
def test_urls_that_are_refused(url, told):
    with pytest.raises(UserInputError, match=told):
        fetch.download(url, sha256=DIGEST)


@pytest.mark.parametrize("sha256", [None, "", DIGEST[:8], DIGEST[:63], "x" * 64])
def test_a_prefix_of_a_hash_is_none(sha256):
    with pytest.raises(UserInputError, match="expected its whole sha256"):
        fetch.download(f"https://example.org/net-{DIGEST[:8]}.pth", sha256=sha256)


@pytest.mark.parametrize("size", [None, len(CONTENT)])
def test_an_endless_download_is_given_up(server, weights_folder, monkeypatch, size):
    monkeypatch.setenv("TRANSFER_MAX_DOWNLOAD", "1")
    told = "TRANSFER_MAX_DOWNLOAD=2" if size is None else "longer than the 200,000 bytes"
    with pytest.raises(UserInputError, match=told):
        fetch.download(f"{server}/long.pth", sha256=DIGEST, size=size)
    assert os.listdir(weights_folder) == []


def test_a_download_that_drips_is_given_up(server, weights_folder, monkeypatch):
    monkeypatch.setattr(fetch, "_CHUNK", 1 << 30)
    monkeypatch.setattr(fetch, "_TIMEOUT_SECONDS", 1e-9)
    monkeypatch.setattr(fetch.urllib.request.OpenerDirector, "open", lambda *args, timeout: Drip())
    with pytest.raises(RunError, match="stalled"):
        fetch.download(f"{server}/net.pth", sha256=DIGEST)
    assert os.listdir(weights_folder) == []


class Drip:
    headers = MappingProxyType({})

    def read1(self, size):
        return b"."

    def __enter__(self):
        return self

    def __exit__(self, *exc_info):
        pass


@pytest.mark.parametrize("to", ["http://127.0.0.1:1/net.pth", "file:///etc/hostname", "ftp://example.org/net.pth"])
def test_no_redirect_leads_to_where_none_may_begin(server, weights_folder, monkeypatch, to):
    download = fetch.download
    opener = fetch._OnlySafe.redirect_request

    def https_only(*args):
        monkeypatch.setattr(fetch, "_REMOTE", ("https://",))
        return opener(*args)

    monkeypatch.setattr(fetch._OnlySafe, "redirect_request", https_only)
    with pytest.raises(RunError, match="could not be downloaded"):
        download(f"{server}/to?{to}", sha256=DIGEST)
    assert os.listdir(weights_folder) == []

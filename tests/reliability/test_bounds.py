"""What a file from elsewhere would take is compared with a limit before it is read, and limits can be raised."""

import gzip
import io
import json
import struct
import tarfile
import time
import tracemalloc
import zipfile
import zlib

import h5py
import numpy as np
import pytest
import scipy.io
from PIL import Image

from backbones.archive import unpack
from backbones.card import BackboneCard
from backbones.errors import UserInputError
from backbones.limits import Limit
from backbones.registry import get_card
from tasks.classification.folder import read_rgb
from tasks.counting.points import read_points
from tasks.segmentation.masks import read_mask
from transfer.engine.images import image_shape, read_image
from transfer.search.known_problems import TableProblem

MIB = 1 << 20


@pytest.fixture
def peak():
    """Most bytes that Python and NumPy held since the test began."""
    tracemalloc.start()
    yield lambda: tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()


def test_a_limit_says_how_to_raise_it(monkeypatch):
    limit = Limit("TRANSFER_MAX_X", 2)
    limit.check(2 * MIB, "x")
    with pytest.raises(UserInputError, match=r"^x: takes 5 MiB, expected 2 MiB at most.*TRANSFER_MAX_X=5$"):
        limit.check(5 * MIB, "x")
    monkeypatch.setenv("TRANSFER_MAX_X", "5")
    limit.check(5 * MIB, "x")


@pytest.mark.parametrize("value", ["", "0", "-1", "many", "1.5", "²"])
def test_a_limit_that_is_no_number_is_named(monkeypatch, value):
    monkeypatch.setenv("TRANSFER_MAX_X", value)
    with pytest.raises(UserInputError, match=r"TRANSFER_MAX_X=.*expected a whole number of MiB"):
        Limit("TRANSFER_MAX_X", 2).check(1, "x")


# ---- tables


def test_a_table_is_inflated_no_further_than_its_limit(tmp_path, monkeypatch, peak):
    monkeypatch.setenv("TRANSFER_MAX_TABLE", "4")
    path = tmp_path / "t.json.gz"
    path.write_bytes(gzip.compress(bytes(80 * MIB), 1)[:-4] + struct.pack("<I", 10))  # says that it were 10 bytes
    tracemalloc.reset_peak()
    with pytest.raises(UserInputError, match=r"t\.json\.gz: unpacked: takes .*TRANSFER_MAX_TABLE"):
        TableProblem.load(path)
    assert peak() < 20 * MIB


ROWS = [["x", 1, 1], [1, 1], [1, 1, 1, 1], [None, 1, 1], "abc", {"a": 1}, [float("nan"), 1, 1], [10**400, 1, 1]]


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_a_row_of_a_table_that_is_no_evaluation_is_refused(tmp_path, row):
    path = tmp_path / "t.json.gz"
    path.write_bytes(gzip.compress(json.dumps({"depths": [2], "settings": {}, "schemes": {"10": row}}).encode()))
    with pytest.raises(UserInputError, match=r"t\.json\.gz: no table"):
        TableProblem.load(path)


# ---- packs


def packed(path, size, claimed=None):
    """A pack whose weights are `size` zeros, of which the card says nothing."""
    card = get_card("resnet38.c100_6ep")
    text = "\n".join(line for line in card.to_toml().splitlines() if not line.startswith("bytes")).encode()
    assert card.weights is not None
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(f"{card.name}.toml", text)
            archive.writestr(card.weights.file, bytes(size))
    else:
        with tarfile.open(path, "w") as archive:
            for name, content in ((f"{card.name}.toml", text), (card.weights.file, bytes(size))):
                info = tarfile.TarInfo(name)
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
    return path


@pytest.mark.parametrize("suffix", [".zip", ".tar"])
def test_a_pack_is_not_unpacked_beyond_its_limit(tmp_path, monkeypatch, suffix):
    monkeypatch.setenv("TRANSFER_MAX_WEIGHTS", "2")
    source = packed(tmp_path / f"p{suffix}", 5 * MIB)
    (tmp_path / "in").mkdir()
    with pytest.raises(UserInputError, match=r"resnet38\.c100_6ep\.safetensors: takes 5 MiB.*TRANSFER_MAX_WEIGHTS=5"):
        unpack(source, tmp_path / "in", BackboneCard.parse)
    assert not list((tmp_path / "in").glob("*.safetensors"))
    monkeypatch.setenv("TRANSFER_MAX_WEIGHTS", "5")
    unpack(source, tmp_path / "in", BackboneCard.parse)


def test_no_member_is_larger_than_it_says(tmp_path):
    source = packed(tmp_path / "p.zip", 3 * MIB)
    with zipfile.ZipFile(source) as archive:
        offset = archive.start_dir
    data = bytearray(source.read_bytes())
    place = data.index(struct.pack("<I", 3 * MIB), offset)
    data[place : place + 4] = struct.pack("<I", 1000)
    source.write_bytes(data)
    (tmp_path / "in").mkdir()
    with pytest.raises(UserInputError, match=r"p\.zip: not a readable pack"):
        unpack(source, tmp_path / "in", BackboneCard.parse)
    assert all(path.stat().st_size <= 10_000 for path in (tmp_path / "in").iterdir())


def test_an_encrypted_pack_is_named(tmp_path):
    source = packed(tmp_path / "p.zip", 1000)
    data = bytearray(source.read_bytes())
    for mark, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        place = data.index(mark)
        data[place + flags] |= 1
    source.write_bytes(data)
    (tmp_path / "in").mkdir()
    with pytest.raises(UserInputError, match=r"p\.zip: not a readable pack: .*encrypted"):
        unpack(source, tmp_path / "in", BackboneCard.parse)


# ---- points


def test_a_mat_file_is_not_inflated_beyond_its_limit(tmp_path, monkeypatch, peak):
    monkeypatch.setenv("TRANSFER_MAX_ANNOTATIONS", "2")
    path = tmp_path / "bomb.mat"
    scipy.io.savemat(path, {"annPoints": np.zeros((3 * MIB // 16 * 20, 2))}, do_compression=True)
    tracemalloc.reset_peak()
    began = time.monotonic()
    with pytest.raises(UserInputError, match=r"bomb\.mat: unpacked: takes .*TRANSFER_MAX_ANNOTATIONS"):
        read_points(path)
    assert peak() < 10 * MIB and time.monotonic() - began < 20


def test_a_mat_file_of_matlab_7_3_is_compared_by_its_shape(tmp_path, monkeypatch):
    monkeypatch.setenv("TRANSFER_MAX_ANNOTATIONS", "2")
    with h5py.File(tmp_path / "bomb.mat", "w", userblock_size=512) as file:
        file.create_dataset("annPoints", (2, 10**9), "f8", chunks=(2, 1000), compression="gzip")
    header = b"MATLAB 7.3 MAT-file".ljust(124) + struct.pack("<H", 0x0200) + b"IM"
    with open(tmp_path / "bomb.mat", "r+b") as file:
        file.write(header)
    with pytest.raises(UserInputError, match=r"bomb\.mat: /annPoints: takes 15,259 MiB"):
        read_points(tmp_path / "bomb.mat")


def test_whole_mat_files_are_read_whatever_the_limit_makes_of_their_size(tmp_path, monkeypatch):
    points = np.random.default_rng(0).random((4000, 2)) * 900 + 1
    scipy.io.savemat(tmp_path / "a.mat", {"annPoints": points}, do_compression=True)
    assert (tmp_path / "a.mat").stat().st_size * 1032 > MIB
    monkeypatch.setenv("TRANSFER_MAX_ANNOTATIONS", "1")
    np.testing.assert_array_equal(read_points(tmp_path / "a.mat"), points - 0.5)


# ---- images


def png(path, width, height, rows):
    """A grey PNG of zeros, of which only the first rows are there."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    packer = zlib.compressobj(1)
    content = packer.compress(bytes((width + 1) * rows)) + packer.flush()
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", content) + chunk(b"IEND", b""))
    return path


@pytest.mark.parametrize("read", [read_image, image_shape, read_mask, read_rgb])
def test_an_image_is_not_decoded_beyond_its_limit(tmp_path, monkeypatch, read):
    path = png(tmp_path / "bomb.png", 13_000, 13_000, 10)
    with pytest.raises(UserInputError, match=r"bomb\.png: 13000x13000 pixels: takes 484 MiB.*TRANSFER_MAX_IMAGE=484"):
        read(path)


def test_the_limit_of_images_can_be_raised_and_lowered(tmp_path, monkeypatch):
    path = png(tmp_path / "large.png", 15_000, 15_000, 10)
    monkeypatch.setenv("TRANSFER_MAX_IMAGE", "700")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", Image.MAX_IMAGE_PIXELS)
    assert image_shape(path) == (15_000, 15_000)  # 225 megapixels: beyond Pillow's own limit too
    monkeypatch.setenv("TRANSFER_MAX_IMAGE", "1")
    with pytest.raises(UserInputError, match="600x600 pixels"):
        read_image(png(tmp_path / "small.png", 600, 600, 600))

"""Images and masks: broken files of each format, through the readers and through `predict`."""

from __future__ import annotations

import io
import os
import struct
import zlib
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from tasks.classification.folder import read_rgb
from tasks.segmentation.masks import read_mask
from tests.corpus.base import base
from tests.corpus.case import Case
from transfer.engine.images import image_shape, read_image


def encoded(form: str, size: tuple[int, int] = (41, 30), mode: str = "RGB", **options: object) -> bytes:
    """A whole image of noise."""
    width, height = size
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    out = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(out, form, **options)
    return out.getvalue()


def chunk(kind: bytes, data: bytes) -> bytes:
    """A chunk of PNG."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, data: bytes = b"", *, depth: int = 8, colour: int = 0, more: bytes = b"") -> bytes:
    """A PNG with any header."""
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    parts = chunk(b"IHDR", header) + more + chunk(b"IDAT", zlib.compress(data)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts


def flipped(data: bytes, place: float) -> bytes:
    """One byte turned around."""
    changed = bytearray(data)
    changed[int(len(data) * place)] ^= 0xFF
    return bytes(changed)


def _sixteen_bits() -> bytes:
    out = io.BytesIO()
    Image.fromarray(np.arange(1200, dtype=np.uint16).reshape(30, 40)).save(out, "PNG")
    return out.getvalue()


def _floats() -> bytes:
    out = io.BytesIO()
    Image.fromarray(np.zeros((4, 4), np.float32)).save(out, "TIFF")
    return out.getvalue()


TEXT_BOMB = chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(200 << 20), 9))

BROKEN: dict[str, Callable[[], bytes]] = {
    "empty.jpg": bytes,
    "empty.png": bytes,
    "text.jpg": lambda: b"this is no image\n" * 50,
    "page.png": lambda: b"<!DOCTYPE html><html><body>404 not found</body></html>",
    "drawing.png": lambda: b'<svg xmlns="http://www.w3.org/2000/svg" width="4" height="4"/>',
    "script.jpg": lambda: b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(/tmp/x) (w) file\nshowpage\n",
    "paper.jpg": lambda: b"%PDF-1.4\n1 0 obj<<>>endobj\n%%EOF",
    "zeros.jpg": lambda: bytes(5000),
    "signature.png": lambda: b"\x89PNG\r\n\x1a\n",
    "signature.jpg": lambda: b"\xff\xd8\xff\xe0",
    "half.jpg": lambda: encoded("JPEG")[:600],
    "half.png": lambda: encoded("PNG")[:2000],
    "half.webp": lambda: encoded("WEBP")[:300],
    "half.tif": lambda: encoded("TIFF")[:1000],
    "half.bmp": lambda: encoded("BMP")[:400],
    "half.gif": lambda: encoded("GIF")[:200],
    "header.png": lambda: encoded("PNG")[:33],
    "flipped.png": lambda: flipped(encoded("PNG"), 0.5),
    "width_zero.png": lambda: png(0, 10),
    "height_zero.png": lambda: png(10, 0),
    "depth_seven.png": lambda: png(4, 4, bytes(20), depth=7),
    "colour_nine.png": lambda: png(4, 4, bytes(20), colour=9),
    "claims_huge.png": lambda: png(2**31 - 1, 2**31 - 1),
    "bomb_169_megapixels.png": lambda: png(13_000, 13_000, bytes(13_001 * 4)),
    "bomb_900_megapixels.png": lambda: png(30_000, 30_000, bytes(30_001)),
    "text_bomb.png": lambda: png(4, 4, bytes(20), more=TEXT_BOMB),
    "floats.tif": _floats,
    "endless_directory.tif": lambda: b"II*\0\x08\0\0\0" + struct.pack("<H", 65535) + bytes(40),
    "no_size.bmp": lambda: b"BM" + struct.pack("<IHHI", 54, 0, 0, 54) + struct.pack("<IiiHHIIiiII", 40, 0, 0, 1, 24, *[0] * 6),
    "huge.bmp": lambda: b"BM" + struct.pack("<IHHI", 54, 0, 0, 54) + struct.pack("<IiiHHIIiiII", 40, 2**30, 2**30, 1, 24, *[0] * 6),
    "words.ppm": lambda: b"P6 many rows 255\n",
    "negative.ppm": lambda: b"P6 -4 4 255\n" + bytes(48),
    "icon.png": lambda: b"\0\0\x01\0\x01\0" + bytes(40),
}  # fmt: skip

ODD: dict[str, Callable[[], bytes]] = {
    "grey.png": lambda: encoded("PNG", mode="L"),
    "bits.png": lambda: encoded("PNG", mode="1"),
    "palette.gif": lambda: encoded("GIF"),
    "transparent.png": lambda: encoded("PNG", mode="RGBA"),
    "cmyk.jpg": lambda: encoded("JPEG", mode="CMYK"),
    "sixteen.png": _sixteen_bits,
    "one_pixel.png": lambda: encoded("PNG", (1, 1)),
    "slim.png": lambda: encoded("PNG", (1, 20_000)),
    "wrong_ending.jpg": lambda: encoded("PNG"),
    "rows_missing.png": lambda: png(10, 10, bytes(11)),
    "trailing.png": lambda: encoded("PNG") + b"more" * 100,
    "odd_exif.jpg": lambda: encoded("JPEG", exif=b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0c\0\0\0\0\0\0\0"),
}  # fmt: skip
"""Strange, and whole."""


def write(name: str, make: Callable[[], bytes]) -> str:
    """Writes the file; returns its name."""
    Path(name).write_bytes(make())
    return name


def _through(read: Callable[[str], object], name: str, make: Callable[[], bytes], folder: Path) -> Callable:
    return partial(read, write(name, make))


def _predict(name: str, make: Callable[[], bytes], folder: Path) -> list[str]:
    return _command(write(name, make))


def _command(name: str) -> list[str]:
    return ["predict", str(base() / "count.py"), str(base() / "count.pth"), name, "--out", "out", "--device", "cpu"]


def _folder(name: str, folder: Path) -> list[str]:
    Path(name).mkdir()
    return _command(name)


def _link(target: str, folder: Path) -> list[str]:
    os.symlink(target, "link.png")
    return _command("link.png")


def _not_utf8(folder: Path) -> list[str]:
    name = os.fsdecode(b"caf\xe9.png")
    Path(name).write_bytes(encoded("PNG"))
    return _command(name)


def _formula(folder: Path) -> list[str]:
    Path("=1+cmd.png").write_bytes(encoded("PNG"))
    return _command("=1+cmd.png")


def _one_of_several(folder: Path) -> list[str]:
    Path("images").mkdir()
    write("images/whole.png", lambda: encoded("PNG"))
    write("images/half.png", lambda: encoded("PNG")[:2000])
    return _command("images")


FOUND = {"slim.png": "a PNG of 1 x 20000", "bomb_169_megapixels.png": "169 MP let through"}
MASK_MODES = ("grey.png", "bits.png", "palette.gif", "rows_missing.png")


def cases() -> list[Case]:
    """Images and masks."""
    found = []
    for name, make in BROKEN.items():
        failed = FOUND.get(name, "")
        found += [
            Case("images", f"{name} read", partial(_through, read_image, name, make), name, editable=False),
            Case("images", f"{name} classified", partial(_through, read_rgb, name, make), name, editable=False),
            Case("images", f"{name} predicted", partial(_predict, name, make), name, failed=failed, editable=False),
            Case("masks", name, partial(_through, read_mask, name, make), name, editable=False),
        ]
    for name, make in ODD.items():
        way, failed = "converted to 8-bit RGB", FOUND.get(name, "")
        found += [
            Case("images", f"{name} read", partial(_through, read_image, name, make), handled=way),
            Case("images", f"{name} measured", partial(_through, image_shape, name, make), handled=way),
            Case("images", f"{name} predicted", partial(_predict, name, make), handled=way, says=name, failed=failed),
        ]
        if name in MASK_MODES:
            way = "its values are ids; of a PNG that ends early, Pillow takes the rest for 0"
            found.append(Case("masks", name, partial(_through, read_mask, name, make), handled=way))
        elif name not in ("odd_exif.jpg", "wrong_ending.jpg", "trailing.png"):
            found.append(Case("masks", name, partial(_through, read_mask, name, make), name, editable=False))
    return [
        *found,
        Case("images", "missing", lambda _: _command("missing.png"), "missing.png"),
        Case("images", "missing read", lambda _: partial(read_image, "missing.png"), "missing.png"),
        Case("images", "a folder without images", partial(_folder, "nothing"), "nothing"),
        Case("images", "a folder called .png", partial(_folder, "folder.png"), "folder.png"),
        Case("images", "a link to itself", partial(_link, "link.png"), "link.png"),
        Case("images", "a link to nothing", partial(_link, "nowhere.png"), "link.png"),
        Case("images", "a device", lambda _: _command("/dev/null"), "/dev/null"),
        Case("images", "a pattern that fits nothing", lambda _: _command("*.png"), "*.png"),
        Case("images", "a name that is not UTF-8", _not_utf8, handled="escaped where it is said", says="caf", failed="29"),
        Case("images", "a name that is a formula", _formula, handled="escaped in the CSV", says="cmd", failed="16"),
        Case("images", "one broken of several", _one_of_several, "half.png", editable=False, keeps=True),
        Case("masks", "missing", lambda _: partial(read_mask, "missing.png"), "missing.png"),
        Case("masks", "a folder", lambda _: partial(read_mask, "."), ".", editable=False),
    ]  # fmt: skip

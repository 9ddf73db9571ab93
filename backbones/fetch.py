"""Files from elsewhere: torchvision's trunk weights by architecture, and verified downloads. No torch."""

from __future__ import annotations

import hashlib
import http.client
import re
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

from backbones.errors import RunError, UserInputError, did_you_mean
from backbones.files import atomic_path, check_plain_name, sha256_file, weights_folders
from backbones.limits import DOWNLOAD

TORCHVISION_URL = "https://download.pytorch.org/models/"

TRUNK_FILES: dict[str, tuple[str, ...]] = {
    "resnet18": ("resnet18-f37072fd.pth",),
    "resnet34": ("resnet34-b627a593.pth",),
    "resnet50": ("resnet50-11ad3fa6.pth", "resnet50-0676ba61.pth"),
    "resnet101": ("resnet101-cd907fc2.pth", "resnet101-63fe2227.pth"),
    "resnet152": ("resnet152-f82ba261.pth", "resnet152-394f9c45.pth"),
}
"""torchvision's files by architecture, preferred first (`IMAGENET1K_V2`, then `_V1`); names end in a SHA-256 prefix."""

_HASHED = re.compile(r"-([0-9a-f]{8,64})\.(?:pth|pt|safetensors)$")
_TIMEOUT_SECONDS: float = 60
_CHUNK = 1 << 16
_REMOTE: tuple[str, ...] = ("https://",)

Progress = Callable[[int, int | None], None]
"""Called with the bytes so far and the total, None where the server does not say."""


def find_trunk_weights(arch: str) -> Path:
    """Returns torchvision's file for `arch` from `TRANSFER_WEIGHTS` or torch's hub cache, its SHA-256 prefix checked.

    Within a folder the files of `TRUNK_FILES` come first, then any other `ARCH-<sha256 prefix>.pth`.

    Raises:
        UserInputError: no trunk weights exist for this architecture, none is there, or the file is damaged.
    """
    _known_trunk(arch)
    folders = weights_folders()
    for folder in folders:
        others = sorted(path.name for path in folder.glob(f"{arch}-*.pth") if _HASHED.search(path.name))
        for name in (*TRUNK_FILES[arch], *others):
            if (folder / name).is_file():
                return _checked(folder / name, arch)
    raise UserInputError(
        f"no trunk weights for {arch} in {' or '.join(map(str, folders))}; run `tools/backbones.py fetch {arch}`, "
        "or train from scratch with `--cfg-options model.backbone.init=scratch`"
    )


def _known_trunk(arch: str) -> None:
    if arch not in TRUNK_FILES:
        raise UserInputError(
            f"there are no trunk weights for {arch!r}, only for {', '.join(TRUNK_FILES)}; take init=scratch "
            f"(`--cfg-options model.backbone.init=scratch`), or name a file.{did_you_mean(arch, TRUNK_FILES)}"
        )


def _checked(path: Path, arch: str) -> Path:
    prefix = hash_in_name(path.name)
    found = sha256_file(path)
    if prefix is None or not found.startswith(prefix):
        raise UserInputError(
            f"{path}: sha256 starts with {found[:8]}, but the name says {prefix}; the file is damaged, "
            f"delete it and run `tools/backbones.py fetch {arch}`"
        )
    return path


def hash_in_name(name: str) -> str | None:
    """The SHA-256 prefix at the end of a file's name, as torch's hub writes it; None where there is none."""
    match = _HASHED.search(name)
    return match[1] if match else None


def fetch_trunk(arch: str, *, progress: Progress | None = None) -> Path:
    """Downloads torchvision's preferred file for `arch` into the first of the weights folders."""
    _known_trunk(arch)
    name = TRUNK_FILES[arch][0]
    return _verified(TORCHVISION_URL + name, hash_in_name(name) or "", weights_folders()[0] / name, progress)


def download(
    url: str,
    *,
    sha256: str | None = None,
    size: int | None = None,
    folder: Path | None = None,
    progress: Progress | None = None,
) -> Path:
    """Downloads `url` into `folder` (default: the first weights folder), unless a verified copy is there already.

    Args:
        url: https or file; the last part is the file's name.
        sha256: the whole hash.
        size: in bytes, where it is known; else `limits.DOWNLOAD` holds.
        folder: where to put it.
        progress: called after every piece.

    Raises:
        UserInputError: no hash to check against, not such a url, or more bytes than allowed.
        RunError: the download failed, stalled or has another hash; nothing is left behind.
    """
    if not url.startswith((*_REMOTE, "file://")):
        raise UserInputError(f"{url}: expected a url that begins with https:// or file://")
    name = check_plain_name(url.split("?")[0].rsplit("/", 1)[-1], f"{url}: the file's name")
    expected = (sha256 or "").lower()
    if not re.fullmatch(r"[0-9a-f]{64}", expected):
        raise UserInputError(
            f"{url}: nothing to check the download against, expected its whole sha256 (64 digits) with --sha256, found "
            f"{sha256 or 'none'}"
        )
    return _verified(url, expected, (folder or weights_folders()[0]) / name, progress, size)


def _verified(url: str, expected: str, target: Path, progress: Progress | None, size: int | None = None) -> Path:
    """Downloads a file whose SHA-256 begins with `expected`."""
    if target.is_file() and sha256_file(target).startswith(expected):
        return target
    with atomic_path(target) as temporary:
        found = _stream(url, temporary, progress, size)
        if not found.startswith(expected):
            raise RunError(
                f"{url}: sha256 starts with {found[:8]}, expected {expected[:8]}; nothing was kept, try again"
            )
    return target


def _stream(url: str, path: Path, progress: Progress | None, size: int | None) -> str:
    digest, done, marked, since = hashlib.sha256(), 0, 0, time.monotonic()
    opener = urllib.request.build_opener(_OnlySafe)
    try:
        with opener.open(url, timeout=_TIMEOUT_SECONDS) as response, path.open("wb") as file:
            length = response.headers.get("Content-Length")
            total = int(length) if length and length.isdigit() else None
            _check_size(url, total or 0, size)
            while chunk := response.read1(_CHUNK) if hasattr(response, "read1") else response.read(_CHUNK):
                done += len(chunk)
                _check_size(url, done, size)
                file.write(chunk)
                digest.update(chunk)
                if progress is not None:
                    progress(done, total)
                if time.monotonic() - since > _TIMEOUT_SECONDS:
                    if done - marked < _CHUNK:
                        raise TimeoutError(f"stalled: {done - marked} bytes in {_TIMEOUT_SECONDS} s")
                    marked, since = done, time.monotonic()
    except (urllib.error.URLError, http.client.HTTPException, ConnectionError, TimeoutError) as error:
        reason = getattr(error, "reason", None) or error
        raise RunError(f"{url}: could not be downloaded ({reason}); nothing was kept, try again") from None
    if total is not None and done != total:
        raise RunError(f"{url}: could not be downloaded ({done} of {total} bytes came); nothing was kept, try again")
    return digest.hexdigest()


def _check_size(url: str, size: int, expected: int | None) -> None:
    if expected is None:
        DOWNLOAD.check(size, url)
    elif size > expected:
        raise UserInputError(f"{url}: is longer than the {expected:,} bytes that its card says; nothing was kept")


class _OnlySafe(urllib.request.HTTPRedirectHandler):
    """Follows no redirect to where a download may not begin."""

    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        if not newurl.startswith(_REMOTE):
            raise urllib.error.URLError(f"it leads to {newurl}, expected https://")
        return super().redirect_request(req, fp, code, msg, headers, newurl)

"""What must be equal after a fault: every tensor and every value of every file, times and logs of the way aside."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from .process import TEMPORARY

_TIMES = re.compile(r"(^|[./_])(time|times|eta|seconds|created|latency|fresh)($|[./_])")
"""Keys of what two runs may differ in: durations, and how much of a log a resumed search found there."""
_DERIVED = ("crc32", "log_sha256", "supernet_sha256", "sha256", "checkpoint_sha256")
"""Hashes of files that hold a time, or are named by one."""
_STAMP = re.compile(r"\d{8}_\d{6}")
_WAY = re.compile(
    r"(^|/)(\d{8}_\d{6}|logs)(/|$)"  # what mmengine and torchrun write of their own
    r"|\.(log|lock|sha256)$|tfevents|(^|/)(curve\.png|increment\.json)$|^work/.*\.py$"
)
"""Files that tell of the way rather than of the result; `increment.json` holds measured times, a config `resume`."""


def differences(reference: Path, found: Path, folders: tuple[str, ...]) -> list[str]:
    """One line for each file or value below `folders` that is not equal; empty where all is.

    Args:
        reference: folder of the run that nothing happened to.
        found: folder of the one that is looked at.
        folders: parts of both to compare.
    """
    mine, theirs = (_files(place, folders) for place in (reference, found))
    lines = [f"{name}: missing" for name in sorted(mine.keys() - theirs.keys())]
    lines += [f"{name}: not in the unbroken run" for name in sorted(theirs.keys() - mine.keys())]
    for name in sorted(mine.keys() & theirs.keys()):
        try:
            left, right = _leaves(mine[name], reference), _leaves(theirs[name], found)
        except Exception as error:  # whatever a reader says of a damaged file
            lines.append(f"{name}: cannot be read: {error}")
            continue
        if not left and mine[name].stat().st_size:
            lines.append(f"{name}: nothing in it was compared")
        lines += [
            f"{name}: {key or 'content'} differs"
            for key in sorted(left.keys() | right.keys())
            if left.get(key) != right.get(key)
        ]
    return lines


def _files(place: Path, folders: tuple[str, ...]) -> dict[str, Path]:
    paths = [path for folder in folders for path in (place / folder).rglob("*") if path.is_file()]
    names = {path.relative_to(place).as_posix(): path for path in paths}
    return {name: path for name, path in names.items() if not _WAY.search(name) and not _temporary(name)}


def _temporary(name: str) -> bool:
    """Whether it is what is reported as left behind."""
    return any(map(TEMPORARY.match, name.split("/")))


def _leaves(path: Path, place: Path) -> dict[str, Any]:
    if path.suffix == ".pth":
        return dict(_flat(torch.load(path, weights_only=True, map_location="cpu"), "", place))
    if path.suffix == ".json":
        return dict(_flat(json.loads(path.read_text()), "", place))
    if path.suffix == ".jsonl":
        rows = [json.loads(line) for line in path.read_text().splitlines()]
        # A line of the training's course averages over the iterations since the start or the resumption.
        kept = {_row_name(row): row for row in rows if "iter" not in row or "val" in row}
        return dict(_flat(kept, "", place))
    return {"": path.read_bytes().replace(str(place.resolve()).encode(), b"")}


def _row_name(row: dict[str, Any]) -> str:
    return f"iteration {row['iter']}" if "iter" in row else str(row.get("scheme", row))


def _flat(value: Any, key: str, place: Path) -> Iterator[tuple[str, Any]]:
    """All leaves with their keys; tensors as type, shape and bytes."""
    last = key.rpartition(".")[2]
    if _TIMES.search(last) or last in _DERIVED or last == "cfg":
        return
    if isinstance(value, dict):
        for name, item in value.items():
            yield from _flat(item, f"{key}.{name}" if key else str(name), place)
    elif isinstance(value, (list, tuple)):
        yield f"{key} (length)", len(value)
        for number, item in enumerate(value):
            yield from _flat(item, f"{key}.{number}", place)
    elif isinstance(value, torch.Tensor):
        data = value.detach().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes() if value.numel() else b""
        yield key, (str(value.dtype), tuple(value.shape), data)
    elif isinstance(value, str):
        yield key, _STAMP.sub("TIME", value.replace(str(place.resolve()), ""))
    else:
        yield key, repr(value)

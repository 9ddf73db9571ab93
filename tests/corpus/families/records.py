"""What searches and trainings write and read again: logs, tables, records; CIFAR's pickles; regions."""

from __future__ import annotations

import gzip
import json
import pickle
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from backbones.integrity import log_line
from tasks.classification.cifar import read_cifar100
from tasks.counting.regions import parse_grid, read_regions
from tests.corpus.base import base
from tests.corpus.case import Case
from tests.corpus.spoil import spoilt
from transfer.measure.latency import LatencyTable
from transfer.pipeline.artefacts import read_search, read_standalone
from transfer.search.known_problems import TableProblem
from transfer.search.log import read_log

LINE = {
    "scheme": "101.001",
    "accuracy": 61.5,
    "loss": 1.25,
    "n": 400,
    "supernet_sha256": "a" * 64,
    "settings": {"bn": "running", "depths": [3, 3]},
}
TABLE = {
    "depths": [2],
    "settings": {"a": 1},
    "schemes": {"00": [50.0, 1.0, 9], "10": [51.0, 1.0, 9], "01": [52.0, 1.0, 9], "11": [53.0, 1.0, 9]},
}
_INCREMENT = {"increment_percent": 1.5, "ci95": [1.0, 2.0]}
LATENCY = {
    "format": 1, "network": {"arch": "resnet20"}, "timing": {"batch": 2, "rounds": 3, "threads": 1, "device": "cpu", "repeats": 1, "clock": "wall", "seed": 0},
    "ms_per_image": 2.5, "blocks": [_INCREMENT], "additivity": {"mean_error": 0.1, "schemes": [{"scheme": "1", "increment_percent": 1.0, "ci95": [0.5, 1.5], "expected_percent": 1.0, "error_points": 0.0}]}, "machine": {"cpu": "x"},
}  # fmt: skip
TEXTS: dict[str, bytes] = {
    "empty": b"", "binary": bytes(range(256)) + b"\n", "a number": b"3\n", "a list": b"[1]\n", "null": b"null\n", "cut": b'{"a": ', "text": b"no json\n",
    "nested deeply": b"[" * 100_000 + b"]" * 100_000 + b"\n", "an integer of 5000 digits": b'{"n": ' + b"9" * 5000 + b"}\n", "another format": b'{"format": 99}\n', "an empty object": b"{}\n",
}  # fmt: skip


def _log(lines: bytes, folder: Path) -> Callable[[], object]:
    Path("evaluations.jsonl").write_bytes(lines)
    return partial(read_log, "evaluations.jsonl")


def _table(data: bytes, folder: Path) -> Callable[[], object]:
    Path("t.json.gz").write_bytes(data)
    return partial(TableProblem.load, "t.json.gz")


def _json(name: str, read: Callable[[Path], object], table: Any, folder: Path) -> Callable[[], object]:
    Path(name).write_bytes(table if isinstance(table, bytes) else json.dumps(table).encode())
    return lambda: read(folder / name)


def _record(name: str) -> Any:
    return json.loads((base() / "search" / name).read_text())


def _spoilt_record(
    name: str, read: Callable[[Path], object], key: str, kind: str, folder: Path
) -> Callable[[], object]:
    shutil.copytree(base() / "search", "search")
    change = next(change for change in spoilt(_record(name)) if (change.key, change.kind) == (key, kind))
    Path("search", name).write_text(json.dumps(change.table))
    return lambda: read(folder / "search")


def _text_record(name: str, read: Callable[[Path], object], data: bytes, folder: Path) -> Callable[[], object]:
    Path("search").mkdir()
    Path("search", name).write_bytes(data)
    return lambda: read(folder / "search")


CURVE_FREE = (
    "settings",
    "network",
    "machine",
    "supernet_sha256",
    "trace",
    "hypervolume",
    "method_args",
    "objective",
    "attention_args",
    "options",
    "training",
)
"""Keys that hold what their writer put there."""


def _logs() -> list[Case]:
    found = []
    for change in spoilt(LINE):
        free = change.key.startswith("settings.") or (
            change.key == "supernet_sha256" and change.kind.startswith("extreme")
        )
        handled = "text of the writer's, only compared" if free else ""
        found.append(
            Case(
                "logs and tables",
                f"log {change.name}",
                partial(_log, (json.dumps(change.table) + "\n").encode()),
                "line 1",
                handled=handled,
                failed="7 tracebacks of logs",
            )
        )
    good = log_line(LINE).encode()
    for what, data in TEXTS.items():
        if what == "empty":
            continue
        handled = "a torn last line is dropped" if what == "cut" else ""
        found.append(Case("logs and tables", f"log {what}", partial(_log, data), "evaluations.jsonl", handled=handled))
    found.append(
        Case(
            "logs and tables",
            "log with a changed value",
            partial(_log, good.replace(b"61.5", b"99.9")),
            "line 1",
            failed="470",
        )
    )
    found.append(
        Case(
            "logs and tables",
            "log whose later line lacks its CRC",
            partial(_log, good + json.dumps(LINE).encode() + b"\n"),
            "line 2",
        )
    )
    for change in spoilt(TABLE):
        handled = (
            "text of the writer's"
            if change.key.startswith("settings.") or (change.key.startswith("schemes.") and change.kind == "missing")
            else ""
        )
        found.append(
            Case(
                "logs and tables",
                f"table {change.name}",
                partial(_table, gzip.compress(json.dumps(change.table).encode())),
                "t.json.gz",
                handled=handled,
                failed="7 tracebacks of logs",
            )
        )
    for what, data in TEXTS.items():
        found.append(Case("logs and tables", f"table {what}", partial(_table, gzip.compress(data)), "t.json.gz"))
    raw = {
        "not gzipped": b"{}",
        "cut": gzip.compress(json.dumps(TABLE).encode())[:-20],
        "flipped": gzip.compress(b"x" * 99)[:-6] + b"abcdef",
        "a bomb": None,
    }
    for what, data in raw.items():
        make = partial(_table, data) if data is not None else _bomb
        found.append(
            Case(
                "logs and tables",
                f"table {what}.gz",
                make,
                "t.json.gz",
                failed="541" if data is None else "",
                editable=False,
            )
        )
    for what, data in TEXTS.items():
        found.append(
            Case(
                "logs and tables",
                f"latency {what}",
                partial(_json, "latency.json", LatencyTable.read, data),
                "latency.json",
            )
        )
    for change in spoilt(LATENCY):
        if change.kind == "type":
            free = change.key.startswith(("network.", "machine.")) or change.key.endswith(
                ("expected_percent", "error_points")
            )
            found.append(
                Case(
                    "logs and tables",
                    f"latency {change.name}",
                    partial(_json, "latency.json", LatencyTable.read, change.table),
                    "latency.json",
                    handled="text of the writer's" if free else "",
                )
            )
    for name, read in (("search.json", read_search), ("standalone.json", read_standalone)):
        for what, data in TEXTS.items():
            found.append(Case("logs and tables", f"{name} {what}", partial(_text_record, name, read, data), name))
        for change in spoilt(_record(name)):
            if change.kind == "type":
                free = any(f".{part}." in f".{change.key}" for part in CURVE_FREE)
                found.append(
                    Case(
                        "logs and tables",
                        f"{name} {change.name}",
                        partial(_spoilt_record, name, read, change.key, "type"),
                        name,
                        handled="text of the writer's" if free else "",
                    )
                )
    return found


def _bomb(folder: Path) -> Callable[[], object]:
    with gzip.open("t.json.gz", "wb", 1) as file:
        for _ in range(300):
            file.write(bytes(1 << 20))
    return partial(TableProblem.load, "t.json.gz")


# ---- CIFAR


class _Runs:
    def __reduce__(self) -> tuple:
        import os

        return os.system, ("touch ran",)


PIXELS = np.zeros((2, 3072), np.uint8)
CIFAR: dict[str, Callable[[], bytes]] = {
    "empty": bytes, "text": lambda: b"no pickle", "zeros": lambda: bytes(99), "a list": lambda: pickle.dumps([1]), "a number": lambda: pickle.dumps(3),
    "runs code": lambda: pickle.dumps(_Runs()), "a class": lambda: pickle.dumps(Path), "an object": lambda: pickle.dumps({"data": Path("x")}),
    "INST": lambda: b"(S'true'\nios\nsystem\n.", "announces 2 GB": lambda: b"\x80\x04\x8e" + (2 << 30).to_bytes(8, "little"), "2,000,000 marks": lambda: b"(" * 2_000_000,
    "cut": lambda: pickle.dumps({"data": PIXELS, "fine_labels": [1, 2]})[:-50], "no data": lambda: pickle.dumps({"fine_labels": [1]}), "no labels": lambda: pickle.dumps({"data": PIXELS}),
    "floats": lambda: pickle.dumps({"data": PIXELS.astype(float), "fine_labels": [1, 2]}), "three labels": lambda: pickle.dumps({"data": PIXELS, "fine_labels": [1, 2, 3]}),
    "label 100": lambda: pickle.dumps({"data": PIXELS, "fine_labels": [1, 100]}), "label -1": lambda: pickle.dumps({"data": PIXELS, "fine_labels": [1, -1]}), "labels of words": lambda: pickle.dumps({"data": PIXELS, "fine_labels": ["a", "b"]}),
    "labels are a number": lambda: pickle.dumps({"data": PIXELS, "fine_labels": 3}), "ragged labels": lambda: pickle.dumps({"data": PIXELS, "fine_labels": [[1], [1, 2]]}), "no images": lambda: pickle.dumps({"data": PIXELS[:0], "fine_labels": []}),
    "CIFAR-10": lambda: pickle.dumps({"data": PIXELS, "labels": [1, 2]}), "nested deeply": lambda: b"\x80\x04" + b"]" * 100_000 + b"a" * 99_999 + b".",
}  # fmt: skip


def _cifar(data: Callable[[], bytes], folder: Path) -> Callable[[], object]:
    Path("train").write_bytes(data())
    return partial(read_cifar100, folder, "train")


# ---- regions

REGIONS: dict[str, bytes] = {
    "empty": b"", "binary": bytes(range(256)), "a number": b"3", "null": b"null", "an object": b"{}", "text": b'"roi"', "two corners": b"[[1, 2], [3, 4]]", "words": b'[["a", "b"]]', "one number": b"[[1], [2], [3]]",
    "nan": b"[[NaN, 1], [2, 3], [4, 9]]", "crossing": b"[[0, 0], [9, 9], [9, 0], [0, 9]]", "the same corner": b"[[1, 1], [1, 1], [1, 1]]", "20,000 corners": json.dumps([[i, i * i % 7] for i in range(20_000)]).encode(),
    "nested deeply": b"[" * 100_000, "an integer of 400 digits": f"[[{10**400}, 1], [2, 3], [4, 9]]".encode(), "null corner": b"[null, null, null]", "no shapes": b'{"shapes": []}', "shapes of numbers": b'{"shapes": [1]}',
    "a circle": b'{"shapes": [{"shape_type": "circle", "points": [[1, 2], [3, 4]]}]}', "a rectangle of one corner": b'{"shapes": [{"shape_type": "rectangle", "points": [[1, 2]]}]}',
    "a rectangle of nothing": b'{"shapes": [{"shape_type": "rectangle", "points": []}]}', "points are text": b'{"shapes": [{"shape_type": "polygon", "points": "abc"}]}',
}  # fmt: skip
RECTANGLES = (
    "1,2,3",
    "1,2,3,4,5",
    "a,b,c,d",
    "3,2,1,4",
    "1,2,1,4",
    "nan,0,1,1",
    "inf,0,1,1",
    "0,0,99999,9",
    "-5,0,9,9",
    ",,,",
)
GRIDS = ("", "3", "0x2", "2x0", "-1x2", "axb", "2.5x2", "9999999x2", "100x100", "2x2x2")


def _region(data: bytes, folder: Path) -> Callable[[], object]:
    Path("roi.json").write_bytes(data)
    return partial(read_regions, ["roi.json"])


def _counted(option: str, value: str, folder: Path) -> list[str]:
    return [
        "predict",
        str(base() / "count.py"),
        str(base() / "count.pth"),
        str(base() / "a.png"),
        "--out",
        "out",
        "--device",
        "cpu",
        f"{option}={value}",
    ]


def cases() -> list[Case]:
    """All of them."""
    return [
        *_logs(),
        Case("logs and tables", "table missing", lambda _: partial(TableProblem.load, "none.json.gz"), "none.json.gz"),
        Case("logs and tables", "log missing", lambda _: partial(read_log, "none.jsonl"), "none.jsonl"),
        Case("logs and tables", "latency missing", lambda _: partial(LatencyTable.read, "none.json"), "none.json"),
        Case("logs and tables", "search.json missing", lambda folder: partial(read_search, folder), "search.json"),
        Case("logs and tables", "standalone.json missing", lambda folder: partial(read_standalone, folder), "standalone.json"),
        *(Case("CIFAR pickles", what, partial(_cifar, data), "train", editable=False) for what, data in CIFAR.items()),
        Case("CIFAR pickles", "missing", lambda folder: partial(read_cifar100, folder, "train"), "train"),
        *(Case("regions", what, partial(_region, data), "roi.json") for what, data in REGIONS.items()),
        Case("regions", "missing", lambda _: partial(read_regions, ["none.json"]), "none.json"),
        *(Case("regions", f"rectangle {text}", partial(_counted, "--roi", text), "--roi") for text in RECTANGLES),
        *(Case("regions", f"grid {text!r}", partial(_counted, "--grid", text) if "100x" in text else lambda _, text=text: partial(parse_grid, text), "--grid") for text in GRIDS),
    ]  # fmt: skip

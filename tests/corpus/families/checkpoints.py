"""Checkpoints, safetensors and packs: parts of another kind, damage, and what is none of them."""

from __future__ import annotations

import copy
import io
import json
import pickle
import shutil
import struct
import tarfile
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from checkpoint_files import save_checkpoint
from safetensors.torch import save as as_safetensors

from backbones.registry import get_card
from backbones.resnet import AttentionResNet
from backbones.weights import load_weights, read_checkpoint
from tests.corpus.base import base, checkpoint
from tests.corpus.case import Case

ODD: tuple[Any, ...] = (None, 7, "words", [1], {}, float("nan"))
PARTS = ("state_dict", "optimizer", "message_hub", "meta", "param_schedulers", "ema_state_dict", "sampler")
INNER = ("meta.iter", "meta.epoch", "meta.seed", "meta.cfg", "message_hub.log_scalars", "message_hub.runtime_info",
         "message_hub.resumed_keys", "optimizer.state", "optimizer.param_groups", "sampler.position",
         "param_schedulers.0")  # fmt: skip
FINE = {"meta.cfg": "nothing is compared with it"}


def _set(content: Any, key: str, value: Any) -> Any:
    content = copy.deepcopy(content)
    *above, last = key.split(".")
    node = content
    for part in above:
        node = node[int(part) if isinstance(node, list) else part]
    node[int(last) if isinstance(node, list) else last] = value
    return content


def _without(content: Any, key: str) -> Any:
    content = copy.deepcopy(content)
    *above, last = key.split(".")
    node = content
    for part in above:
        node = node[part]
    del node[last]
    return content


def _tested() -> list[str]:
    return ["test", str(base() / "tiny.py"), "odd.pth", "--work-dir", "out", "--device", "cpu"]


def _resumed() -> list[str]:
    options = ["--cfg-options", "train_cfg.max_iters=11"]
    return ["train", str(base() / "tiny.py"), "--work-dir", "out", "--resume", "odd.pth", *options]


def _predicted() -> list[str]:
    return ["predict", str(base() / "count.py"), "odd.pth", str(base() / "a.png"), "--out", "out", "--device", "cpu"]


def _saved(change: Callable[[Any], Any], command: Callable[[], list[str]], folder: Path) -> list[str]:
    save_checkpoint(change(checkpoint()), folder / "odd.pth")
    return command()


def _raw(data: Callable[[bytes], bytes], command: Callable[[], list[str]], folder: Path) -> list[str]:
    source = base() / ("count.pth" if command is _predicted else "wd/iter_9.pth")
    (folder / "odd.pth").write_bytes(data(source.read_bytes()))
    return command()


def _packed(data: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as new:
        for member in old.infolist():
            new.writestr(member.filename, old.read(member))
    return out.getvalue()


def _flip(place: float) -> Callable[[bytes], bytes]:
    def flipped(data: bytes) -> bytes:
        changed = bytearray(data)
        changed[int(len(data) * place)] ^= 0x40
        return bytes(changed)

    return flipped


def _script(_: bytes) -> bytes:
    out = io.BytesIO()
    torch.jit.save(torch.jit.script(torch.nn.Linear(1, 1)), out)
    return out.getvalue()


def _torch(value: Any) -> Callable[[bytes], bytes]:
    def saved(_: bytes) -> bytes:
        out = io.BytesIO()
        torch.save(value, out)
        return out.getvalue()

    return saved


RAW: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda _: b"", "text": lambda _: b"no checkpoint\n" * 9, "zeros": lambda _: bytes(4096),
    "half": lambda data: data[: len(data) // 2], "without its end": lambda data: data[:-30],
    "compressed": _packed, "flipped at 40 %": _flip(0.4), "flipped at 60 %": _flip(0.6), "an empty zip": lambda _: b"PK\5\6" + bytes(18),
    "a zip of something": lambda _: _zip({"a.txt": b"hello"}), "a pickled number": lambda _: pickle.dumps(3),
    "a pickled object": lambda _: pickle.dumps(Path("x")), "a short pickle": lambda _: b"\x80\x02}q\0(X", "TorchScript": _script,
    "a tensor": _torch(torch.zeros(3)), "a list": _torch([torch.zeros(3)]), "a number": _torch(3), "nothing": _torch(None),
    "an empty dictionary": _torch({}), "safetensors": lambda _: as_safetensors({"a": torch.zeros(3)}),
    "numbered keys": _torch({"state_dict": {1: torch.zeros(1)}}), "marks": lambda _: b"\x80\x02" + b"(" * 200_000,
    "gzip": lambda data: __import__("gzip").compress(data),
}  # fmt: skip


def _zip(members: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return out.getvalue()


WEIGHTS: dict[str, Callable[[torch.Tensor], Any]] = {
    "nan": lambda t: t * float("nan"), "infinite": lambda t: t / 0, "int64": lambda t: t.long(), "int32": lambda t: t.int(),
    "bool": lambda t: t.bool(), "complex": lambda t: t.to(torch.complex64), "sparse": lambda t: t.to_sparse(),
    "meta": lambda t: t.to("meta"), "a number": lambda _: 3.0, "a list": lambda t: t.tolist(), "None": lambda _: None,
    "another shape": lambda t: t[..., None], "empty": lambda t: t[:0], "quantized": lambda t: torch.quantize_per_tensor(t, 0.1, 0, torch.qint8),
}  # fmt: skip


def _weight(change: Callable[[torch.Tensor], Any], content: Any) -> Any:
    return {
        **content,
        "state_dict": {**content["state_dict"], "head.weight": change(content["state_dict"]["head.weight"])},
    }


def _checkpoints() -> list[Case]:
    found = []
    for command in (_tested, _resumed, _predicted):
        for what, data in RAW.items():
            failed = {"flipped at 60 %": "1.1", "compressed": "540"}.get(what, "")
            name = f"{what} {command.__name__[1:]}"
            found.append(
                Case("checkpoints", name, partial(_raw, data, command), "odd.pth", failed=failed, editable=False)
            )
    for key in PARTS:
        for value in ODD:
            if key == "param_schedulers" and value in ([1], {}):
                continue
            failed = "30 tracebacks of checkpoints' parts"
            handled = (
                "an empty sampler's state begins at the checkpoint's iteration"
                if (key, value) == ("sampler", {})
                else ""
            )
            make = partial(_saved, partial(_set, key=key, value=value), _resumed)
            found.append(
                Case(
                    "checkpoints",
                    f"{key} {value!r} resumed",
                    make,
                    "odd.pth",
                    failed=failed,
                    handled=handled,
                    editable=False,
                )
            )
        handled = "counted from the checkpoint's iteration" if key == "sampler" else ""
        make = partial(_saved, partial(_without, key=key), _resumed)
        found.append(
            Case(
                "checkpoints",
                f"without {key} resumed",
                make,
                "odd.pth",
                failed="420, 421",
                handled=handled,
                editable=False,
            )
        )
    for key in INNER:
        for value in (None, "words", [1], -1):
            handled = FINE.get(key, FINE.get(f"{key} {value}", ""))
            make = partial(_saved, partial(_set, key=key, value=value), _resumed)
            found.append(
                Case(
                    "checkpoints",
                    f"{key} {value!r} resumed",
                    make,
                    "odd.pth",
                    failed="30 tracebacks of checkpoints' parts",
                    handled=handled,
                    editable=False,
                )
            )
    for what, change in WEIGHTS.items():
        make = partial(_saved, partial(_weight, change), _tested)
        found.append(Case("checkpoints", f"weights {what} tested", make, "odd.pth", failed="1.2", editable=False))
    plain = partial(_saved, lambda content: content["state_dict"], _tested)
    return [
        *found,
        Case("checkpoints", "a plain state dict tested", plain, handled="is tested", says="mae", failed="407"),
        Case("checkpoints", "missing", lambda _: _tested(), "odd.pth"),
        Case("checkpoints", "missing resumed", lambda _: _resumed(), "odd.pth"),
        Case("checkpoints", "a folder", _folder, "odd.pth"),
        Case("checkpoints", "a wrong sha256 beside it", _wrong_hash, "odd.pth", editable=False),
        Case("checkpoints", "no sha256 in the file beside it", _no_hash, "odd.pth.sha256"),
        Case("checkpoints", "last_checkpoint is binary", partial(_last, bytes(range(256))), handled="is passed over", says="iter_9.pth", failed="last_checkpoint in binary"),
        Case("checkpoints", "last_checkpoint names nothing", partial(_last, b"nothing.pth"), handled="is passed over", says="iter_9.pth"),
        Case("checkpoints", "last_checkpoint is empty", partial(_last, b""), handled="is passed over", says="iter_9.pth"),
        Case("checkpoints", "curve.jsonl is binary", partial(_curve, bytes(range(256)) + b"\n"), handled="what cannot be read is dropped", says="resuming", failed="curve.jsonl in binary"),
        Case("checkpoints", "curve.jsonl is torn", partial(_curve, b'{"iter": 1}\n{"it'), handled="what cannot be read is dropped", says="resuming"),
    ]  # fmt: skip


def _folder(folder: Path) -> list[str]:
    (folder / "odd.pth").mkdir()
    return _tested()


def _wrong_hash(folder: Path) -> list[str]:
    shutil.copy(base() / "wd" / "iter_9.pth", "odd.pth")
    Path("odd.pth.sha256").write_text(f"{'0' * 64}  odd.pth\n")
    return _tested()


def _no_hash(folder: Path) -> list[str]:
    shutil.copy(base() / "wd" / "iter_9.pth", "odd.pth")
    Path("odd.pth.sha256").write_text("none\n")
    return _tested()


def _again() -> list[str]:
    options = ["--cfg-options", "train_cfg.max_iters=10"]
    return ["train", str(base() / "tiny.py"), "--work-dir", "out", "--resume", *options, "--allow-changes"]


def _last(data: bytes, folder: Path) -> list[str]:
    shutil.copytree(base() / "wd", "out")
    Path("out/last_checkpoint").write_bytes(data)
    return _again()


def _curve(data: bytes, folder: Path) -> list[str]:
    shutil.copytree(base() / "wd", "out")
    Path("out/curve.jsonl").write_bytes(data)
    return _again()


# ---- safetensors


def header(table: Any, data: bytes = bytes(16), length: int | None = None) -> bytes:
    """A safetensors file of any header."""
    text = table if isinstance(table, bytes) else json.dumps(table).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def _one(**changes: Any) -> dict[str, Any]:
    return {"a": {"dtype": "F32", "shape": [4], "data_offsets": [0, 16], **changes}}


SAFETENSORS: dict[str, bytes] = {
    "empty": b"", "text": b"no tensors", "eight zeros": bytes(8), "a length of 2^63": header({}, length=2**63),
    "a length of 100 MB": header({}, length=100 << 20), "no json": header(b"{", b""), "a list": header([]), "null": header(b"null", b""),
    "nested deeply": header(b"[" * 100_000 + b"]" * 100_000), "an overlap": header({**_one(), **{"b": _one()["a"]}}),
    "a gap": header(_one(data_offsets=[4, 20]), bytes(20)), "negative offsets": header(_one(data_offsets=[-16, 0])),
    "offsets reversed": header(_one(data_offsets=[16, 0])), "a shape of 10^12": header(_one(shape=[10**12])),
    "negative shape": header(_one(shape=[-4])), "a shape of words": header(_one(shape=["four"])), "dtype F99": header(_one(dtype="F99")),
    "dtype is a number": header(_one(dtype=3)), "without dtype": header({"a": {"shape": [4], "data_offsets": [0, 16]}}),
    "cut": header(_one(), bytes(9)), "too long": header(_one(), bytes(99)), "no tensors": header({}, b""),
    "a name twice": header(b'{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"a":{"dtype":"F32","shape":[2],"data_offsets":[8,16]}}'),
    "metadata is a list": header({"__metadata__": [1], **_one()}), "a checkpoint of torch": b"PK\3\4" + bytes(99),
}  # fmt: skip


def _safetensors(data: bytes, folder: Path) -> Callable[[], object]:
    Path("odd.safetensors").write_bytes(data)
    return partial(read_checkpoint, "odd.safetensors")


def _network(change: Callable[[torch.Tensor], torch.Tensor], folder: Path) -> Callable[[], object]:
    model = AttentionResNet("resnet20", num_classes=3)
    state = model.state_dict()
    Path("odd.safetensors").write_bytes(as_safetensors({**state, "conv1.weight": change(state["conv1.weight"])}))
    return partial(load_weights, model, "odd.safetensors", init="full")


def _tensors() -> list[Case]:
    found = []
    for what, data in SAFETENSORS.items():
        failed = "a name twice: accepted" if what == "a name twice" else ""
        found.append(
            Case("safetensors", what, partial(_safetensors, data), "odd.safetensors", failed=failed, editable=False)
        )
    for what in ("nan", "infinite", "int32", "int64", "bool", "another shape", "empty"):
        failed = "1.2" if what in ("nan", "int32") else ""
        found.append(
            Case(
                "safetensors",
                f"weights {what}",
                partial(_network, WEIGHTS[what]),
                "odd.safetensors",
                failed=failed,
                editable=False,
            )
        )
    return found


# ---- packs


CARD = get_card("resnet38.c100_6ep")
TOML = CARD.to_toml().encode()
FILE = f"{CARD.name}.safetensors"


def _tar(members: dict[str, bytes], kind: bytes = tarfile.REGTYPE) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.type, info.size, info.linkname = kind, len(data) if kind == tarfile.REGTYPE else 0, "/etc/passwd"
            archive.addfile(info, io.BytesIO(data) if kind == tarfile.REGTYPE else None)
    return out.getvalue()


def _encrypted() -> bytes:
    data = bytearray(_zip({f"{CARD.name}.toml": TOML, FILE: b"x"}))
    for mark, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(mark) + flags] |= 1
    return bytes(data)


def _unsized() -> bytes:
    text = b"\n".join(line for line in TOML.splitlines() if not line.startswith(b"bytes"))
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(f"{CARD.name}.toml", text)
        with archive.open(FILE, "w") as file:
            for _ in range(1100):
                file.write(bytes(1 << 20))
    return out.getvalue()


PACKS: dict[str, Callable[[], bytes]] = {
    "empty.zip": bytes, "text.zip": lambda: b"no pack", "empty.tar": bytes, "text.tar": lambda: b"no pack" * 200,
    "nothing.zip": lambda: _zip({}), "no_card.zip": lambda: _zip({FILE: b"x"}), "two_cards.zip": lambda: _zip({"a.toml": TOML, "b.toml": TOML}),
    "no_weights.zip": lambda: _zip({f"{CARD.name}.toml": TOML}), "climbs.zip": lambda: _zip({"../a.toml": TOML}),
    "absolute.tar": lambda: _tar({"/tmp/a.toml": TOML}), "link.tar": lambda: _tar({"a.toml": b""}, tarfile.SYMTYPE),
    "hard_link.tar": lambda: _tar({"a.toml": b""}, tarfile.LNKTYPE), "device.tar": lambda: _tar({"a.toml": b""}, tarfile.CHRTYPE),
    "folder.tar": lambda: _tar({"a.toml": b""}, tarfile.DIRTYPE), "twice.tar": lambda: _tar({"a.toml": TOML}) [:-10240] + _tar({"a.toml": TOML}),
    "broken_card.zip": lambda: _zip({"a.toml": b"name = "}), "another_size.zip": lambda: _zip({f"{CARD.name}.toml": TOML, FILE: b"x"}),
    "cut.zip": lambda: _zip({f"{CARD.name}.toml": TOML, FILE: bytes(999)})[:-40], "encrypted.zip": _encrypted, "large_card.zip": lambda: _zip({"a.toml": b"#" * (2 << 20)}),
    "unsized.zip": _unsized, "windows.zip": lambda: _zip({"C:\\a.toml": TOML}),
}  # fmt: skip


def _unpacked(name: str, data: Callable[[], bytes], folder: Path) -> list[str]:
    Path(name).write_bytes(data())
    return ["register", name]


def _packs() -> list[Case]:
    failed = {"encrypted.zip": "encrypted flag: traceback", "unsized.zip": "459"}
    found = [
        Case("packs", name, partial(_unpacked, name, data), name, failed=failed.get(name, ""), editable=False)
        for name, data in PACKS.items()
    ]
    return [*found, Case("packs", "missing", lambda _: ["register", "missing.zip"], "missing.zip")]


def cases() -> list[Case]:
    """All three."""
    return [*_checkpoints(), *_tensors(), *_packs()]

"""What a file of weights holds, and what reading it as a pickle would import: found without loading it. No torch.

A pickle is followed with inert stand-ins in the place of everything that it names, so that nothing is imported and
nothing is called. What follows from that alone is said: keys, shapes, types, plain values.
"""

from __future__ import annotations

import io
import json
import math
import pickle
import pickletools
import re
import struct
import tarfile
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from backbones.archive import SUFFIXES
from backbones.errors import UserInputError
from backbones.files import sha256_file
from backbones.integrity import check_whole, hash_beside
from backbones.limits import ANNOTATIONS
from backbones.reading import BROKEN, reading

EXPECTED = "a checkpoint (.pth), weights (.safetensors) or a pack (.zip, .tar)"
_HEADER_BYTES = 100 << 20
_TENSORS = re.compile(
    r"torch\._utils\._rebuild_\w+|torch(\.\w+)*\.\w*Storage|torch\.(Size|device|float\w*|bfloat16|u?int\d+|bool|complex\d+)"
    r"|collections\.OrderedDict|torch\.nn\.parameter\.Parameter"
)
"""Names that tensors themselves ask for."""
_DTYPES = {
    "Float": "float32", "Double": "float64", "Half": "float16", "BFloat16": "bfloat16", "Long": "int64",
    "Int": "int32", "Short": "int16", "Char": "int8", "Byte": "uint8", "Bool": "bool",
    "ComplexFloat": "complex64", "ComplexDouble": "complex128",
}  # fmt: skip
_STORED = {
    "F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16", "I64": "int64", "I32": "int32",
    "I16": "int16", "I8": "int8", "U8": "uint8", "BOOL": "bool",
}  # fmt: skip


@dataclass(frozen=True)
class Tensor:
    """A tensor by its key (dotted, where it lies deeper), its type and its shape; None where the file does not say."""

    key: str
    dtype: str | None
    shape: tuple[int, ...] | None

    @property
    def numbers(self) -> int:
        """How many it holds."""
        return math.prod(self.shape) if self.shape is not None else 0


@dataclass
class Contents:
    """What `inspect_file` found.

    Attributes:
        path: the file.
        kind: what it is, in words.
        bytes: its size.
        hash_beside: `none`, `agrees` or `differs`: the SHA-256 in a file beside it.
        damage: what is wrong with the archive; empty where nothing is, or nothing can tell.
        imports: every name that unpickling it would import, `module.name`, in order.
        parts: the outermost keys, and in words what lies there.
        meta: plain values of `meta`, or of a header.
        tensors: all of them.
        note: what could not be followed.
    """

    path: str
    kind: str
    bytes: int
    hash_beside: str = "none"
    damage: str = ""
    imports: list[str] = field(default_factory=list)
    parts: dict[str, str] = field(default_factory=dict)
    meta: dict[str, Any] = field(default_factory=dict)
    tensors: list[Tensor] = field(default_factory=list)
    note: str = ""

    @property
    def beyond(self) -> list[str]:
        """Imports that no tensor asks for: reading with `weights_only=True` refuses most of them."""
        return [name for name in self.imports if not _TENSORS.fullmatch(name)]


def inspect_file(path: str | Path) -> Contents:
    """Says what a checkpoint, a weights file or a pack holds; nothing in it is loaded, imported or run.

    Raises:
        UserInputError: no such file, or none of these.
    """
    path = Path(path)
    if not path.is_file():
        raise UserInputError(f"{path}: no such file, expected {EXPECTED}; name one")
    with reading(path, EXPECTED):
        with path.open("rb") as file:
            start = file.read(8)
        if path.suffix == ".safetensors":
            return _safetensors(path)
        if path.suffix in SUFFIXES and (pack := _pack(path)):
            return pack
        if start[:4] == b"PK\x03\x04":
            return _archive(path)
        if start[:1] in (b"\x80", b"(", b"}", b"]", b"c", b"i", b"d", b"l"):
            return _bare(path)
    raise UserInputError(f"{path}: is none that can be inspected, expected {EXPECTED}; take another file")


def _begun(path: Path, kind: str) -> Contents:
    found = Contents(str(path), kind, path.stat().st_size)
    if hash_beside(path).is_file():
        said = hash_beside(path).read_bytes()[:64].decode("ascii", "replace")
        found.hash_beside = "agrees" if said == sha256_file(path) else "differs"
    return found


# ---- files of torch.save


def _archive(path: Path) -> Contents:
    with zipfile.ZipFile(path) as archive:
        pickles = [info for info in archive.infolist() if info.filename.endswith(".pkl")]
        if not pickles:
            raise UserInputError(f"{path}: is an archive without a pickle, expected {EXPECTED}; take another file")
        script = any("/code/" in name for name in archive.namelist())
        found = _begun(path, "TorchScript archive, which is code" if script else "archive of torch.save")
        try:
            check_whole(path)
        except UserInputError as error:
            found.damage = str(error).removeprefix(f"{path}: ")
        for info in pickles:
            ANNOTATIONS.check(info.file_size, f"{path}: {info.filename}")
            with archive.open(info) as member:
                _follow(member.read(ANNOTATIONS.bytes + 1), found)
    return found


def _bare(path: Path) -> Contents:
    ANNOTATIONS.check(min(path.stat().st_size, ANNOTATIONS.bytes), str(path))
    with path.open("rb") as file:
        data = file.read(ANNOTATIONS.bytes)
    found = _begun(path, "bare pickle, or a file of torch before 1.6")
    if not _follow(data, found) and not found.imports:
        raise UserInputError(f"{path}: is no whole pickle, expected {EXPECTED}; take another file")
    return found


def _follow(data: bytes, found: Contents) -> bool:
    """Adds what the pickles at the beginning of `data` hold; says whether one could be followed to its end."""
    file, whole = io.BytesIO(data), False
    while file.tell() < len(data):
        start = file.tell()
        reader = _Inert(file)
        try:
            content = reader.load()
        except (*BROKEN, MemoryError) as error:
            _add(found.imports, reader.names)
            file.seek(start)
            if not whole or reader.names:
                _add(found.imports, _named(file))
                found.note = f"not followed to its end ({type(error).__name__})"
            break
        _add(found.imports, reader.names)
        whole = True
        _describe(content, found)
    return whole


def _add(names: list[str], more: list[str]) -> None:
    names += [name for name in dict.fromkeys(more) if name not in names]


class _Named:
    """Takes the place of what a pickle names and of all that it makes with it: it takes anything and does nothing."""

    path = ""

    def __new__(cls, *args: Any, **kwargs: Any) -> _Named:
        made = super().__new__(cls)
        made.__dict__["args"] = args
        return made

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        pass

    def __call__(self, *args: Any, **kwargs: Any) -> _Named:
        return self

    def __setstate__(self, state: Any) -> None:
        self.__dict__["state"] = state

    def __setitem__(self, key: Any, value: Any) -> None:
        pass

    def append(self, value: Any) -> None:
        """As a list's."""

    extend = add = update = append


class _Dict(dict[Any, Any]):
    """For `OrderedDict`, whose attributes are dropped."""

    def __setstate__(self, state: Any) -> None:
        pass


class _Inert(pickle.Unpickler):
    """Notes each name that a pickle asks for, and imports none."""

    def __init__(self, file: IO[bytes]) -> None:
        super().__init__(file, encoding="latin1")
        self.names: list[str] = []

    def find_class(self, module: str, name: str) -> Any:
        self.names.append(f"{module}.{name}")
        if (module, name) == ("collections", "OrderedDict"):
            return _Dict
        return type("_Named", (_Named,), {"path": f"{module}.{name}"})

    def persistent_load(self, pid: Any) -> Any:
        return pid  # a storage: ("storage", its class, key, device, numbers)


def _named(file: IO[bytes]) -> list[str]:
    """What the opcodes of a pickle name, whether or not it can be followed; the names of a memo are not resolved."""
    names: list[str] = []
    texts: list[str] = []
    try:
        for opcode, argument, _ in pickletools.genops(file):
            if opcode.name in ("GLOBAL", "INST"):
                names.append(str(argument).replace(" ", "."))
            elif opcode.name == "STACK_GLOBAL":
                names.append(".".join(texts[-2:]) if len(texts) > 1 else "a name that is made while reading")
            elif opcode.name.startswith("EXT"):
                names.append(f"copyreg extension {argument}")
            elif isinstance(argument, str):
                texts.append(argument)
    except (*BROKEN, MemoryError):
        pass
    return names


# ---- what an inert content says


def _describe(content: Any, found: Contents) -> None:
    if not isinstance(content, Mapping):
        found.parts.setdefault("the content", _words(content))
        found.tensors += _tensors(content, "")
        return
    for key, value in content.items():
        found.parts[str(key)] = _words(value)
        found.tensors += _tensors(value, str(key))
    meta = content.get("meta")
    found.meta.update(_plain(meta) if isinstance(meta, Mapping) else {})


def _words(value: Any, most: int = 60) -> str:
    if _is_tensor(value):
        return "a tensor"
    if isinstance(value, Mapping):
        count = sum(1 for _ in _tensors(value, ""))
        return f"{len(value)} keys" + (f", {count} tensors" if count else "")
    if isinstance(value, (list, tuple)):
        return f"{len(value)} values"
    if isinstance(value, _Named):
        return f"made by {value.path}"
    if isinstance(value, type) and issubclass(value, _Named):
        return f"the name {value.path}"
    return f"{value!r:.{most}}"


def _plain(values: Mapping[Any, Any]) -> dict[str, Any]:
    return {str(k): v if isinstance(v, (str, int, float, bool, type(None))) else _words(v) for k, v in values.items()}


def _is_tensor(value: Any) -> bool:
    return isinstance(value, _Named) and value.path.startswith("torch._utils._rebuild_")


def _tensors(node: Any, key: str, depth: int = 0) -> Iterator[Tensor]:
    if _is_tensor(node):
        yield _tensor(node, key)
    elif depth > 50:  # or it holds itself
        return
    elif isinstance(node, (Mapping, list, tuple)):
        items = node.items() if isinstance(node, Mapping) else enumerate(node)
        for name, value in items:
            yield from _tensors(value, f"{key}.{name}" if key else str(name), depth + 1)


def _tensor(made: Any, key: str) -> Tensor:
    args = made.args
    if args and _is_tensor(args[0]):  # a parameter, around its tensor
        return _tensor(args[0], key)
    shape = args[2] if len(args) > 2 and isinstance(args[2], tuple) else None
    shape = shape if shape is not None and all(type(size) is int for size in shape) else None
    storage = args[0][1] if args and isinstance(args[0], tuple) and len(args[0]) > 1 else None
    name = getattr(storage, "path", "").rpartition(".")[2].removesuffix("Storage")
    return Tensor(key, _DTYPES.get(name), shape)


# ---- the other two


def _safetensors(path: Path) -> Contents:
    found = _begun(path, "safetensors")
    with path.open("rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        if length > min(_HEADER_BYTES, found.bytes):
            raise UserInputError(
                f"{path}: its header claims {length:,} bytes, expected fewer than it has; get it again"
            )
        header = json.loads(file.read(length))
    meta = header.pop("__metadata__", {})
    for key, value in sorted(header.items()):
        shape = tuple(value["shape"])
        found.tensors.append(Tensor(key, _STORED.get(value["dtype"], value["dtype"]), shape))
    found.parts = {"tensors": f"{len(found.tensors)} tensors"}
    found.meta = _plain(json.loads(meta["meta"]) if "meta" in meta else meta)
    return found


def _pack(path: Path) -> Contents | None:
    """A pack's card and members; None where it is another archive."""
    if path.suffix == ".zip":
        with zipfile.ZipFile(path) as archive:
            sizes = {info.filename: info.file_size for info in archive.infolist()}
    else:
        with tarfile.open(path, "r:") as archive:
            sizes = {member.name: member.size for member in archive}
    if not any(name.endswith(".toml") for name in sizes):
        return None
    found = _begun(path, "pack: a card and its weights")
    found.parts = {name: f"{size:,} bytes" for name, size in sizes.items()}
    return found

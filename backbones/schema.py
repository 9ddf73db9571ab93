"""Typed records in files: a record is a dataclass and each of its fields a key, which `read` checks and `write` writes.

By hand and not by a library, because an error must name the key with its place in the file, what was found there, what
was expected and, of a key that nothing knows, the nearest one that there is.
"""

from __future__ import annotations

import functools
import json
import math
import operator
import re
import sys
import tomllib
import types
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, TypeVar, get_args, get_origin, get_type_hints

from backbones.errors import UserInputError, did_you_mean
from backbones.files import write_atomically
from backbones.scheme import ConnectionScheme

Record = TypeVar("Record")
Made = TypeVar("Made")
NO_KEY = {"key": False}
"""Metadata of a record's field that is not in its file, such as the file's own path."""

_LONGEST = 80
_MAPPINGS = (dict, get_origin(Mapping[str, Any]))


class Check(NamedTuple):
    """What a plain value must be, in words and as a test; within `Annotated` it narrows a type."""

    expected: str
    fits: Callable[[Any], bool]


def is_number(value: Any) -> bool:
    """Whether `value` is a finite number."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) <= sys.float_info.max


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


Natural = Annotated[int, Check("a whole number of at least 0", lambda value: value >= 0)]
Positive = Annotated[int, Check("a whole number of at least 1", lambda value: value >= 1)]

_PLAIN: dict[Any, Check] = {
    str: Check("text", lambda value: isinstance(value, str)),
    int: Check("a whole number", _is_whole),
    float: Check("a finite number", is_number),
    int | float: Check("a finite number", is_number),
    bool: Check("true or false", lambda value: isinstance(value, bool)),
    Any: Check("anything", lambda value: True),
}


def read(
    kind: type[Record],
    table: Any,
    where: str | Path,
    *,
    mend: str = "",
    strict: bool = False,
    depths: Sequence[int] | None = None,
) -> Record:
    """Fills a record from a table of plain values, such as JSON (an object) and TOML hold.

    Fields may be text, numbers, `bool`, `X | None`, `Literal`, `tuple[X, ...]`, `Mapping[str, X]`, `ConnectionScheme`
    (written as text), other records, and `Annotated` by a `Check`. A `float` becomes one; `int | float` stays. What a
    record itself refuses as `key 'seed' ...` is said with its place in the file too. A field with the metadata
    `NO_KEY` is none of the file's.

    Args:
        kind: the record's dataclass.
        table: keys and values.
        where: the file, for errors.
        mend: what to do about an error, said at the end of it.
        strict: refuse keys that the record lacks; else they are left to other readers.
        depths: blocks of each stage, of every scheme.

    Raises:
        UserInputError: `where: key 'runs[0].seed' is 'x', expected a whole number; mend`.
    """
    try:
        found: Record = _Reader(strict, depths).record(kind, table, "")
    except UserInputError as error:
        raise UserInputError(f"{where}: {error}{mend and f'; {mend}'}") from None
    return found


@dataclass(frozen=True)
class _Reader:
    strict: bool
    depths: Sequence[int] | None

    def record(self, kind: Any, table: Any, key: str) -> Any:
        kinds, known = _shape(kind)
        if not isinstance(table, Mapping):
            raise _wrong(key, table, kind)
        for name in table if self.strict else ():
            if name not in known:
                raise UserInputError(
                    f"key {_under(key, name)!r} is unknown, expected one of {', '.join(known)}."
                    f"{did_you_mean(name, known)}"
                )
        values = {}
        for name, part in known.items():
            if name in table:
                values[name] = self.value(kinds[name], table[name], _under(key, name))
            elif part.default is MISSING and part.default_factory is MISSING:
                raise UserInputError(f"key {_under(key, name)!r} is missing, expected {_words(kinds[name])}")
        try:
            return kind(**values)
        except UserInputError as error:
            raise UserInputError(re.sub("^key '", f"key '{key}." if key else "key '", str(error))) from None

    def value(self, kind: Any, found: Any, key: str) -> Any:
        origin, args = get_origin(kind), get_args(kind)
        if types.NoneType in args:
            return None if found is None else self.value(_without_none(args), found, key)
        if not _fits(kind, found):
            raise _wrong(key, found, kind)
        if kind is ConnectionScheme:
            return named(key, lambda: ConnectionScheme.parse(found, self.depths))
        if is_dataclass(kind):
            return self.record(kind, found, key)
        if origin is tuple:
            inner = [args[0]] * len(found) if args[-1] is ... else args
            return tuple(self.value(inner[i], item, f"{key}[{i}]") for i, item in enumerate(found))
        if origin in _MAPPINGS:
            return {name: self.value(args[1], item, _under(key, name)) for name, item in found.items()}
        return float(found) if kind is float or (origin is Annotated and args[0] is float) else found


@functools.cache
def _shape(kind: Any) -> tuple[dict[str, Any], dict[str, Field[Any]]]:
    """The types and the fields of a record, by name."""
    return get_type_hints(kind, include_extras=True), {part.name: part for part in _keys(kind)}


def _keys(record: Any) -> list[Field[Any]]:
    return [part for part in fields(record) if part.metadata != NO_KEY]


def _without_none(args: tuple[Any, ...]) -> Any:
    return functools.reduce(operator.or_, (arg for arg in args if arg is not types.NoneType))


def _under(key: str, name: str) -> str:
    return f"{key}.{name}" if key else str(name)


def named(key: str, make: Callable[[], Made]) -> Made:
    """What `make` gives; a `UserInputError` of it names the key too."""
    try:
        return make()
    except UserInputError as error:
        raise UserInputError(f"key {key!r}: {error}") from None


def _wrong(key: str, found: Any, kind: Any) -> UserInputError:
    shown = repr(found)
    shown = shown if len(shown) <= _LONGEST else f"{shown[:_LONGEST]}..."
    near = did_you_mean(found, get_args(kind)) if get_origin(kind) is Literal else ""
    place = f"key {key!r}" if key else "the content"
    return UserInputError(f"{place} is {shown}, expected {_words(kind)}{near and '.' + near}")


def _fits(kind: Any, found: Any) -> bool:
    """Whether a value is of a type, what it holds aside."""
    origin, args = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return _fits(args[0], found) and bool(args[1].fits(found))
    if origin is Literal:
        return any(found is one or (found == one and type(found) is type(one)) for one in args)
    if origin is tuple:
        return isinstance(found, (list, tuple)) and (args[-1] is ... or len(args) == len(found))
    if origin in _MAPPINGS or (is_dataclass(kind) and kind is not ConnectionScheme):
        return isinstance(found, Mapping)
    return _PLAIN[str if kind is ConnectionScheme else kind].fits(found)


def _words(kind: Any) -> str:
    """What a type expects, in words."""
    origin, args = get_origin(kind), get_args(kind)
    if types.NoneType in args:
        return _words(_without_none(args))
    if origin is Annotated:
        return str(args[1].expected)
    if origin is Literal:
        return f"{'one of ' if len(args) > 1 else ''}{', '.join(map(repr, args))}"
    if origin is tuple:
        return "a list" if args[-1] is ... else f"a list of {len(args)} ({_words(args[0])} each)"
    if origin in _MAPPINGS:
        return "an object"
    if kind is ConnectionScheme or kind in _PLAIN:
        return _PLAIN[str if kind is ConnectionScheme else kind].expected
    return f"an object ({', '.join(_shape(kind)[1])})"


# ---- out


def write(record: Any, *, short: bool = False) -> dict[str, Any]:
    """The opposite of `read`: plain values by field, in their order; `short` leaves out what a field is by default."""
    values = {part.name: (part, getattr(record, part.name)) for part in _keys(record)}
    return {
        name: _plain(value, short)
        for name, (part, value) in values.items()
        if not (short and value == (part.default if part.default_factory is MISSING else part.default_factory()))
    }


def _plain(value: Any, short: bool) -> Any:
    if isinstance(value, ConnectionScheme):
        return str(value)
    if is_dataclass(value):
        return write(value, short=short)
    if isinstance(value, (list, tuple)):
        return [_plain(item, short) for item in value]
    if isinstance(value, Mapping):
        return {key: _plain(item, short) for key, item in value.items()}
    return value


# ---- TOML


def read_text(path: str | Path, expected: str) -> str:
    """A text file's content; raises `UserInputError` where there is none."""
    try:
        return Path(path).read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UserInputError(f"{path}: no such file, expected {expected} (.toml)") from None
    except (IsADirectoryError, UnicodeDecodeError):
        raise UserInputError(f"{path}: not {expected}, expected TOML text in UTF-8") from None


def parse_toml(text: str, path: str | Path) -> dict[str, Any]:
    """The table that TOML text holds; raises `UserInputError` that names `path`, where it lies."""
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise UserInputError(
            f"{path}: not valid TOML: {error}; expected lines of key = value, correct it or get it again"
        ) from None


def toml_text(table: Mapping[str, Any]) -> str:
    """A table of plain values as TOML; reading it back and writing it again gives the same bytes."""
    import tomlkit

    document = tomlkit.document()
    for key, value in table.items():
        document.add(key, tomlkit.item(_with_lines(value)))
    text = re.sub(r"\n{3,}", "\n\n", tomlkit.dumps(document)).strip() + "\n"
    return re.sub(r'^(\w+ = """)', r"\1\n", text, flags=re.MULTILINE)  # a line break there is none of the text's


def _with_lines(value: Any) -> Any:
    """Text of several lines is written as such, where the file's own empty lines leave it as it is."""
    if isinstance(value, Mapping):
        return {key: _with_lines(item) for key, item in value.items()}
    if isinstance(value, str) and "\n" in value and not re.search(r"\A\n|\n{3}|\r", value):
        import tomlkit

        return tomlkit.string(value, multiline=True)
    return value


# ---- JSON


def load_json(path: Path, *, missing: str, mend: str, form: int | None = None) -> dict[str, Any]:
    """The JSON object in a file.

    Args:
        path: the file.
        missing: what it means that there is none, and how to mend that.
        mend: what to do about one that is not as it should be.
        form: what its key `format` must be; None: it has none.

    Raises:
        UserInputError: no such file, no JSON object, or another format.
    """
    try:
        table = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        raise UserInputError(f"{path}: no such file: {missing}") from None
    except (IsADirectoryError, PermissionError) as error:
        raise UserInputError(f"{path}: cannot be read: {error.strerror}; {mend}") from None
    except (ValueError, RecursionError) as error:  # of the encoding, of JSON, or of a number
        raise UserInputError(f"{path}: not valid JSON: {error}; {mend}") from None
    if not isinstance(table, dict):
        raise UserInputError(f"{path}: is not a JSON object; {mend}")
    if form is not None and table.get("format") != form:
        raise UserInputError(
            f"{path}: key 'format' is {table.get('format')!r}, expected {form}: another version wrote it; {mend}"
        )
    return table


def as_json(value: Any) -> Any:
    """Tensors and arrays as lists, numbers that JSON lacks (NaN, infinity) as null."""
    if hasattr(value, "tolist"):
        return as_json(value.tolist())
    if isinstance(value, Mapping):
        return {str(key): as_json(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [as_json(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def write_json(path: str | Path, value: Any) -> None:
    """Writes `as_json(value)`, indented, in one step."""
    write_atomically(path, (json.dumps(as_json(value), indent=2) + "\n").encode())

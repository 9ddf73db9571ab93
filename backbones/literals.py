"""Assignments of plain values, read without running anything: the form in which mmengine prints a config.

`model = dict(type='CrowdCounter', strides=(1, 2))`, as a checkpoint's `meta.cfg` and the card of a task model hold it.
Unlike JSON it keeps tuples.
"""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

from backbones.errors import UserInputError


def read_assignments(text: str, where: str | Path) -> dict[str, Any]:
    """The values by name: numbers, text, True, False, None, lists, tuples, and dicts, `dict(a=1)` too.

    >>> read_assignments("model = dict(strides=(1, -2), init_cfg=None)", "config")
    {'model': {'strides': (1, -2), 'init_cfg': None}}

    Raises:
        UserInputError: names `where`, the line, and what is no plain value there.
    """
    try:
        tree = ast.parse(text)
        return dict(_assignment(statement) for statement in tree.body)
    except _NotPlain as error:
        line = getattr(error.node, "lineno", "?")
        raise UserInputError(
            f"{where}: line {line} is no plain value, expected `name = value`, which runs nothing"
        ) from None
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise UserInputError(
            f"{where}: cannot be read as plain values: {error}; expected lines of `name = value`"
        ) from None


class _NotPlain(Exception):
    """Carries the part of the text that would have to be run."""

    def __init__(self, node: ast.AST | None) -> None:
        super().__init__()
        self.node = node


def _assignment(statement: ast.stmt) -> tuple[str, Any]:
    match statement:
        case ast.Assign(targets=[ast.Name(id=name)], value=value):
            return name, _value(value)
    raise _NotPlain(statement)


def _value(node: ast.expr | None) -> Any:
    match node:
        case ast.Constant(value=None | bool() | int() | float() | str() as value):
            return value
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_number(operand)
        case ast.Name(id="inf" | "nan" as name):
            return float(name)
        case ast.List(elts=items):
            return [_value(item) for item in items]
        case ast.Tuple(elts=items):
            return tuple(_value(item) for item in items)
        case ast.Dict(keys=keys, values=values):
            return {_value(key): _value(value) for key, value in zip(keys, values, strict=True)}
        case ast.Call(func=ast.Name(id="dict"), args=args, keywords=keywords):
            return _called(args, keywords)
    raise _NotPlain(node)


def _number(node: ast.expr) -> int | float:
    value = _value(node)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise _NotPlain(node)
    return value


def _called(args: list[ast.expr], keywords: list[ast.keyword]) -> dict[str, Any]:
    """`dict(a=1)`, and `dict({'a.b': 1})`, which mmengine writes for keys that are no names."""
    if any(not isinstance(arg, ast.Dict) for arg in args) or any(keyword.arg is None for keyword in keywords):
        raise _NotPlain(args[0] if args else keywords[0])
    found = {key: value for arg in args for key, value in _value(arg).items()}
    return found | {str(keyword.arg): _value(keyword.value) for keyword in keywords}

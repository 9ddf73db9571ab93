"""Says what a checkpoint, a weights file or a pack holds and would import, without loading it."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict

from backbones.escaping import printable
from backbones.inspecting import Contents, inspect_file
from transfer.commands._tables import print_rows

_LONGEST = 100


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", metavar="FILE", help="checkpoint (.pth), weights (.safetensors) or pack (.zip, .tar)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Runs the command; returns the exit status."""
    args = parse_args(argv)
    found = inspect_file(args.file)
    if args.json:
        print(json.dumps({**asdict(found), "beyond": found.beyond}, indent=2))
    else:
        show(found)
    return 0


def show(found: Contents) -> None:
    """Prints what was found: the file, its imports, its parts, its meta, its tensors."""
    lines = [f"{found.path}: {found.kind}, {found.bytes:,} bytes; sha256 beside it: {found.hash_beside}"]
    if found.damage:
        lines.append(f"damage: {found.damage}")
    if found.note:
        lines.append(f"note: {found.note}")
    lines.append(f"imports: {', '.join(found.imports) or 'nothing'}")
    if found.beyond:
        lines.append(f"beyond tensors: {', '.join(found.beyond)}; it is read only where these are known as harmless")
    lines += [f"part {name}: {words}" for name, words in found.parts.items()]
    lines += [f"meta {name}: {' '.join(str(value).split())[:_LONGEST]}" for name, value in found.meta.items()]
    print("\n".join(map(printable, lines)))
    if found.tensors:
        rows = [[tensor.key, tensor.dtype or "?", _shape(tensor.shape)] for tensor in found.tensors]
        print_rows(("tensor", "dtype", "shape"), rows)
        print(f"{len(found.tensors):,} tensors, {sum(tensor.numbers for tensor in found.tensors):,} numbers")


def _shape(shape: tuple[int, ...] | None) -> str:
    return "?" if shape is None else "x".join(map(str, shape)) or "one number"

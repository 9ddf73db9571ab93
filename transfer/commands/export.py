"""Writes a trained model, or a backbone, as one file for other programs: ONNX, .pt2 or weights."""

from __future__ import annotations

import argparse
import re
from typing import TYPE_CHECKING

from backbones.errors import UserInputError, did_you_mean
from transfer.cli import add_cfg_options
from transfer.commands._model_of import find_source, split_words

if TYPE_CHECKING:
    from transfer.export import Exported


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "model",
        nargs="+",
        metavar="MODEL",
        help="a registered model, CHECKPOINT (.pth) of a training, CONFIG CHECKPOINT where it holds no config, or a "
        "registered backbone",
    )
    parser.add_argument("--out", required=True, metavar="FILE", help="such as model.onnx")
    parser.add_argument(
        "--format",
        choices=("onnx", "pt2", "safetensors"),
        help="default: as FILE ends. onnx, and pt2 of torch.export: the whole model; safetensors: weights and config",
    )
    parser.add_argument("--size", metavar="HxW", help="take images of this height and width only (default: any size)")
    add_cfg_options(parser)
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Runs the command; returns the exit status."""
    args = parse_args(argv)
    import transfer.engine  # noqa: F401  (guards and registries)
    from transfer.engine.console import working
    from transfer.engine.runner_setup import choose_device

    choose_device("cpu")
    with working("tracing the model, and comparing the file with it"):
        exported = _export(args)
    print(_line(exported))
    return 0


def _export(args: argparse.Namespace) -> Exported:
    from transfer.export import check_out, export_backbone, export_model

    size = _size(args.size)
    check_out(args.out, args.format, size)
    config, checkpoint, names = split_words(args.model)
    if len(names) != (checkpoint is None):
        raise UserInputError(f"{' '.join(args.model)}: expected one model: NAME, CHECKPOINT, or CONFIG CHECKPOINT")
    if names and _is_backbone(names[0]):
        if args.cfg_options:
            raise UserInputError(f"{names[0]}: a backbone has no config, leave --cfg-options out")
        return export_backbone(names[0], args.out, args.format, size=size)
    source = find_source(config, checkpoint, names[0] if names else None, None, args.cfg_options)
    return export_model(source, args.out, args.format, size=size)


def _is_backbone(name: str) -> bool:
    """Whether a name is a backbone's and no model's; raises `UserInputError` for neither."""
    from backbones.registry import list_backbones
    from transfer.models import list_models

    models, known = list_models(), list_backbones()
    if name in models:
        return False
    if name not in known:
        raise UserInputError(
            f"{name!r} is neither a registered model nor a registered backbone (by its full name), nor a checkpoint "
            f"(.pth).{did_you_mean(name, [*models, *known])}"
        )
    return True


def _size(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    found = re.fullmatch(r"([1-9]\d{0,4})x([1-9]\d{0,4})", text)
    if found is None:
        raise UserInputError(f"--size {text}: expected height and width in pixels, such as 480x640")
    return int(found[1]), int(found[2])


def _line(exported: Exported) -> str:
    said = exported.record
    size = f"{exported.path.stat().st_size / 1e6:.1f} MB"
    if exported.error is None:
        return f"wrote {exported.path}: {size}, weights and config"
    return (
        f"wrote {exported.path}: {size}, {said['task']}; {', '.join(said['outputs'])} differ from the model's own by "
        f"{exported.error:.1e} of the largest value at most"
    )

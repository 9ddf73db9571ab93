"""Predicts any images with a trained model: overlays, and what was found as JSON and CSV."""

from __future__ import annotations

import argparse
import inspect
import json
import sys
from types import ModuleType
from typing import Any

from backbones.errors import UserInputError
from transfer.cli import WRONG_INPUT, add_cfg_options, add_device
from transfer.commands._model_of import add_model, resolve_model


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_model(parser, "INPUT", "images, folders of images, patterns in quotes; counting: videos too")
    parser.add_argument("--out", required=True, metavar="DIR", help="folder for the results")
    add_device(parser)
    parser.add_argument("--json", action="store_true", help="print the results as JSON instead of one line per image")
    add_cfg_options(parser)
    _add_options(parser)
    return parser.parse_args(argv)


def _add_options(parser: argparse.ArgumentParser) -> None:
    """What a task may take: left out of the namespace where it is not given, see `_options`."""
    every = parser.add_argument_group("results", argument_default=argparse.SUPPRESS)
    every.add_argument("--overwrite", action="store_true", help="replace the results that the folder holds")
    every.add_argument("--full-size", action="store_true", help="draw overlays in full size (default: up to 2000 px)")
    every.add_argument("--no-overlay", dest="overlay", action="store_false", help="draw no overlays")
    every.add_argument(
        "--deploy", action="store_true", help="use the fused copy for inference: the same outputs, in less time"
    )
    counting = parser.add_argument_group("counting", argument_default=argparse.SUPPRESS)
    counting.add_argument(
        "--roi",
        action="append",
        metavar="REGION",
        help="count in this region too (again for more): x0,y0,x1,y1 in pixels, or a JSON file with [[x, y], ...] or "
        "LabelMe's polygons",
    )
    counting.add_argument("--grid", metavar="RxC", help="count in each cell of R rows and C columns, such as 4x6")
    counting.add_argument("--points", action="store_true", help="experimental: write where people are, as CSV")
    counting.add_argument("--density", action="store_true", help="write density maps as .npy and as 16-bit .png")
    counting.add_argument("--vmax", type=float, metavar="N", help="one colour scale for all: N people per density cell")
    counting.add_argument("--every", type=int, metavar="N", help="of videos, predict every N-th frame")


def main(argv: list[str] | None = None) -> int:
    """Runs the command; returns the exit status: 2 where an input could not be predicted."""
    args = parse_args(argv)
    import transfer.engine  # noqa: F401  (guards and registries)
    from transfer.engine.allocator import keep_freed_memory
    from transfer.engine.outputs import report_failures
    from transfer.engine.runner_setup import choose_device
    from transfer.task import get_task

    model = resolve_model(args)
    module = get_task(model.config).part("predict")
    options = _options(args, module)
    choose_device(args.device)
    keep_freed_memory()
    record = module.predict(model.config, model.checkpoint, model.inputs, out=args.out, **options)
    print(json.dumps(record, indent=2) if args.json else "\n".join(module.summary(record)), flush=True)
    if words := model.config.get("trained_on"):
        print(f"note: this model was trained on {words}", file=sys.stderr)
    for line in report_failures(record):
        print("error:", line, file=sys.stderr)
    return WRONG_INPUT if record["failed"] else 0


def _options(args: argparse.Namespace, module: ModuleType) -> dict[str, Any]:
    """What the task's `predict` is called with; raises `UserInputError` for an option that it does not take."""
    ours = ("inputs", "model", "task", "out", "json", "device", "cfg_options")
    options = {name: value for name, value in vars(args).items() if name not in ours}
    for name in options.keys() - inspect.signature(module.predict).parameters.keys():
        raise UserInputError(
            f"--{name.replace('_', '-')}: task {module.__name__.split('.')[-2]!r} has no such option, leave it out; "
            "--help says which task has which"
        )
    return options

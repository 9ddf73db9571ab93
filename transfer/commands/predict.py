"""Predicts any images with a trained model: overlays, and what was found as JSON and CSV."""

from __future__ import annotations

import argparse
import json

from transfer.cli import add_cfg_options, add_config, add_device


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_config(parser)
    parser.add_argument("checkpoint", help="checkpoint that the config's training wrote")
    parser.add_argument("inputs", nargs="+", metavar="IMAGE_OR_FOLDER", help="images, and folders of images")
    parser.add_argument("--out", required=True, metavar="DIR", help="folder for the results")
    parser.add_argument(
        "--deploy", action="store_true", help="use the fused copy for inference: the same outputs, in less time"
    )
    add_device(parser)
    parser.add_argument("--json", action="store_true", help="print the results as JSON instead of one line per image")
    add_cfg_options(parser)
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Runs the command; returns the exit status."""
    args = parse_args(argv)
    import transfer.engine  # noqa: F401  (guards and registries)
    from transfer.engine.config_check import load_config
    from transfer.engine.runner_setup import choose_device
    from transfer.task import get_task

    config = load_config(args.config, args.cfg_options)
    module = get_task(config, where=f"config {args.config}").part("predict")
    choose_device(args.device)
    record = module.predict(config, args.checkpoint, args.inputs, out=args.out, deploy=args.deploy)
    print(json.dumps(record, indent=2) if args.json else "\n".join(module.summary(record)))
    return 0

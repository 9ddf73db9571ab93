"""Predicts any pictures with a trained model: overlays, and what was found as JSON and CSV."""

from __future__ import annotations

import argparse
import importlib
import json
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("config", help="config file, such as configs/shha_ean_se.py")
    parser.add_argument("checkpoint", help="checkpoint that the config's training wrote")
    parser.add_argument("inputs", nargs="+", metavar="IMAGE_OR_FOLDER", help="pictures, and folders of pictures")
    parser.add_argument("--out", required=True, metavar="DIR", help="folder for the results")
    parser.add_argument(
        "--deploy", action="store_true", help="use the fused copy for inference: the same outputs, in less time"
    )
    parser.add_argument("--device", help="cpu, cuda, cuda:1 or mps (default: the best there is)")
    parser.add_argument("--json", action="store_true", help="print the results as JSON instead of one line a picture")
    parser.add_argument(
        "--cfg-options", nargs="+", action="extend", default=[], metavar="KEY=VALUE", help="override config keys"
    )
    return parser.parse_args(argv)


def task_module(task: Any, config: str) -> Any:
    """The module `tasks.<task>.predict`; raises `UserInputError` where the config's `task` has none."""
    from backbones.errors import UserInputError, did_you_mean

    known = sorted(file.parent.name for file in (ROOT / "tasks").glob("*/predict.py"))
    if task not in known:
        raise UserInputError(
            f"config {config}: task={task!r}, expected one of {', '.join(known)}, whose pictures can be predicted."
            f"{did_you_mean(str(task), known)}"
        )
    return importlib.import_module(f"tasks.{task}.predict")


def main(argv: list[str] | None = None) -> int:
    """Runs the command; returns the exit status."""
    args = parse_args(argv)
    import transfer.engine  # noqa: F401  (guards and registries)
    from transfer.engine.config_check import load_config
    from transfer.engine.runner_setup import choose_device

    config = load_config(args.config, args.cfg_options)
    module = task_module(config.get("task"), args.config)
    choose_device(args.device)
    record = module.predict(config, args.checkpoint, args.inputs, out=args.out, deploy=args.deploy)
    print(json.dumps(record, indent=2) if args.json else "\n".join(module.summary(record)))
    return 0


if __name__ == "__main__":
    from transfer.cli import run_command

    raise SystemExit(run_command(main))

"""Evaluates a checkpoint on the config's test data; `--out` records every metric and what it was measured on."""

from __future__ import annotations

import argparse
from pathlib import Path

from transfer.cli import add_cfg_options, add_config, add_device, add_launcher


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_config(parser)
    parser.add_argument("checkpoint", help="checkpoint that the config's training wrote")
    parser.add_argument(
        "--tta", action="store_true", help="average over the scales and flips of the config's tta_pipeline"
    )
    parser.add_argument(
        "--deploy", action="store_true", help="test the fused copy for inference: the same outputs, in less time"
    )
    parser.add_argument("--out", metavar="FILE.json", help="write the metrics and their circumstances")
    parser.add_argument("--work-dir", help="where the log goes (default: work_dirs/<config's name>/test)")
    add_cfg_options(parser)
    add_launcher(parser)
    add_device(parser)
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Runs the command; returns the exit status."""
    args = parse_args(argv)
    import transfer.engine  # noqa: F401  (guards and registries)
    from transfer.engine.config_check import load_config
    from transfer.engine.evaluation import evaluate
    from transfer.engine.runner_setup import choose_device
    from transfer.task import get_task

    config = load_config(args.config, args.cfg_options)
    if "task" in config:  # configs of other projects have none
        get_task(config, where=f"config {args.config}")
    choose_device(args.device)
    evaluate(
        config,
        args.checkpoint,
        work_dir=args.work_dir or Path("work_dirs") / Path(args.config).stem / "test",
        launcher=args.launcher,
        out=args.out,
        tta=args.tta,
        deploy=args.deploy,
    )
    return 0

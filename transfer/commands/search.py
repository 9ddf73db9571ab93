"""Searches connection schemes: trains a supernet, searches it, trains the best schemes from scratch."""

from __future__ import annotations

import argparse
from pathlib import Path

from transfer.cli import add_cfg_options, add_config, add_device, add_engine


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_config(parser, "configs/search/c100_resnet38_ean_se.py")
    parser.add_argument("--work-dir", help="where everything goes (default: work_dirs/search_<config's name>)")
    parser.add_argument("--resume", action="store_true", help="go on where the work directory's search was stopped")
    parser.add_argument("--seed", type=int, help="of the search (default: the config's)")
    parser.add_argument("--amp", action="store_true", help="mixed precision in the trainings")
    add_engine(parser)
    add_cfg_options(parser)
    add_device(parser)
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Runs the command; returns the exit status."""
    args = parse_args(argv)
    import transfer.engine  # noqa: F401  (guards and registries)
    from transfer.engine.config_check import parse_options
    from transfer.engine.runner_setup import choose_device
    from transfer.pipeline.config import read_search_config
    from transfer.pipeline.engines import get_engine
    from transfer.pipeline.run import run_search

    choose_device(args.device)
    options = parse_options(args.cfg_options)
    if args.seed is not None:
        options["search.seed"] = args.seed
    return run_search(
        read_search_config(args.config, options),
        args.work_dir or Path("work_dirs") / f"search_{Path(args.config).stem}",
        resume=args.resume,
        amp=args.amp,
        engine=get_engine(args.engine, args.workers),
    )

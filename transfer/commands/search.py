"""Searches connection schemes or widths: trains a network, searches it, trains the best of what was found."""

from __future__ import annotations

import argparse
from pathlib import Path

from backbones.errors import UserInputError
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
    from transfer.pipeline.engines import get_engine
    from transfer.pipeline.run import run_search
    from transfer.pipeline.width.config import WidthSearchConfig, read_any_config
    from transfer.pipeline.width.run import run_width_search

    choose_device(args.device)
    config = read_any_config(args.config, parse_options(args.cfg_options), seed=args.seed)
    work_dir = args.work_dir or Path("work_dirs") / f"search_{Path(args.config).stem}"
    if isinstance(config, WidthSearchConfig):
        if args.engine != "serial":
            raise UserInputError(f"--engine {args.engine}: widths are searched in one process; leave it out")
        return run_width_search(config, work_dir, resume=args.resume, amp=args.amp)
    engine = get_engine(args.engine, args.workers)
    return run_search(config, work_dir, resume=args.resume, amp=args.amp, engine=engine)

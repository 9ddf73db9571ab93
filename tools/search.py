"""Searches connection schemes: trains a supernet, searches it, trains the best schemes from scratch."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("config", help="config file, such as configs/search/c100_resnet38_ean_se.py")
    parser.add_argument("--work-dir", help="where everything goes (default: work_dirs/search_<config's name>)")
    parser.add_argument("--resume", action="store_true", help="go on where the work directory's search was stopped")
    parser.add_argument("--seed", type=int, help="of the search (default: the config's)")
    parser.add_argument("--amp", action="store_true", help="mixed precision in the trainings")
    parser.add_argument(
        "--engine",
        choices=("serial", "ray"),
        default="serial",
        help="ray: spread evaluations and stand-alone trainings over a Ray cluster",
    )
    parser.add_argument("--workers", type=int, default=2, help="with --engine ray: number of processes")
    parser.add_argument(
        "--cfg-options", nargs="+", action="extend", default=[], metavar="KEY=VALUE", help="override config keys"
    )
    parser.add_argument("--device", help="cpu, cuda, cuda:1 or mps (default: the best there is)")
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


if __name__ == "__main__":
    from transfer.cli import run_command

    raise SystemExit(run_command(main))

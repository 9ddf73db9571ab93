"""Generates sample data in the original layout of a task's data set, for a first run without any download."""

from __future__ import annotations

import argparse
from pathlib import Path

from transfer.task import get_task, list_tasks


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("task", choices=list_tasks("scenes"))
    parser.add_argument("out", type=Path, help="new or empty folder")
    parser.add_argument("--images", type=int, default=200, metavar="N", help="number of images (default: 200)")
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="image n depends on the seed and n only")
    parser.add_argument(
        "--test-share", type=float, default=0.2, metavar="R", help="share of them that is held out (default: 0.2)"
    )
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Runs the command; returns the exit status."""
    args = parse_args(argv)
    from transfer.engine.console import progress

    scenes = get_task(args.task).part("scenes")
    with progress("images", args.images) as show:
        train, test = scenes.write_scenes(args.out, args.images, args.seed, args.test_share, progress=show)
    print(f"{args.out}: {train} images for training, {test} for testing")
    return 0

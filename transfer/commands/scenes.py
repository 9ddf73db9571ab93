"""Generates sample data in the original layout of a task's data set, for a first run without any download."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from transfer.task import get_task, list_tasks


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("task", choices=list_tasks("scenes"))
    parser.add_argument("out", type=Path, help="new or empty folder")
    parser.add_argument("--images", type=int, default=200, metavar="N", help="number of pictures (default: 200)")
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="picture n depends on the seed and n only")
    parser.add_argument(
        "--test-share", type=float, default=0.2, metavar="R", help="share of them that is held out (default: 0.2)"
    )
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Runs the command; returns the exit status."""
    args = parse_args(argv)
    live = sys.stdout.isatty()

    def progress(done: int) -> None:
        if live or done == args.images or done % 50 == 0:
            print(f"\r{done}/{args.images} pictures", end="" if live and done < args.images else "\n", flush=True)

    scenes = get_task(args.task).part("scenes")
    train, test = scenes.write_scenes(args.out, args.images, args.seed, args.test_share, progress=progress)
    print(f"{args.out}: {train} pictures for training, {test} for testing")
    return 0

"""Imports images of your own with what an annotation tool wrote: a folder with train, val and test for counting."""

from __future__ import annotations

import argparse
from pathlib import Path

from backbones.escaping import printable
from transfer.task import get_task


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog="Formats: LabelMe, COCO, CVAT for images, Label Studio, VIA, Pascal VOC, tables: docs/data.md.",
    )
    parser.add_argument("source", type=Path, help="file of annotations, or a folder with such files")
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="new or empty folder")
    parser.add_argument("--images", type=Path, metavar="DIR", help="folder of the images (default: the source's)")
    parser.add_argument("--format", metavar="NAME", help="of the annotations (default: what the files themselves say)")
    parser.add_argument(
        "--boxes",
        choices=("centre", "head"),
        default="centre",
        help="the point that a box becomes: its centre (default), or the head of the person standing in it",
    )
    parser.add_argument("--label", action="append", default=[], metavar="NAME", help="take this label only; repeatable")
    parser.add_argument("--val-share", type=float, default=0.1, metavar="R", help="share for validation (default: 0.1)")
    parser.add_argument("--test-share", type=float, default=0.2, metavar="R", help="share for the test (default: 0.2)")
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="of the draw of val and test (default: 0)")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Runs the command; returns the exit status."""
    args = parse_args(argv)
    module = get_task("counting").part("import_points")
    report = module.import_points(
        args.source,
        args.out,
        images=args.images,
        format=args.format,
        boxes=args.boxes,
        labels=args.label,
        val_share=args.val_share,
        test_share=args.test_share,
        seed=args.seed,
    )
    print(printable("\n".join(module.summary(report))))
    return 0

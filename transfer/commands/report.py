"""Writes a page: on a finished search, supernets, gradient methods, what is registered, the papers' tables."""

from __future__ import annotations

import argparse
from pathlib import Path

from transfer.cli import HOME


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    search = commands.add_parser("search", help="report of a search", description="Writes report.md with pictures.")
    search.add_argument("work_dir", metavar="WORK_DIR", help="work directory of tools/search.py, the search ended")
    search.add_argument("--out", metavar="FOLDER", help="folder of the report (default WORK_DIR/report)")
    search.set_defaults(run=run_search)
    study = commands.add_parser(
        "study",
        help="rankings of supernets, searches, trainings from scratch",
        description="Writes study.md with pictures; what there is nothing to say of is left out.",
    )
    study.add_argument("--out", required=True, metavar="FOLDER", help="folder of the page")
    inputs = (
        ("--tables", "TABLE", "tables of all schemes (.json.gz) of exhaustive searches"),
        ("--searches", "WORK_DIR", "work directories of finished searches, with their own trainings"),
        ("--standalone", "WORK_DIR", "work directories of tools/standalone.py"),
    )
    for name, what, explained in inputs:
        study.add_argument(name, nargs="+", action="extend", default=[], metavar=what, help=explained)
    study.set_defaults(run=run_study)
    relaxed = commands.add_parser(
        "relaxed",
        help="DARTS and RARTS on a model of two variables",
        description="Writes relaxed.md: trajectories on the thesis's solvable model, with a picture and a table.",
    )
    relaxed.add_argument("--out", required=True, metavar="FOLDER", help="folder of the page")
    relaxed.set_defaults(run=run_relaxed)
    for name, what, run in (
        ("zoo", "table of everything that is registered", run_zoo),
        ("papers", "the papers' tables beside ours", run_papers),
    ):
        page = commands.add_parser(name, help=what, description=f"Writes docs/{name}.md of a checkout: {what}.")
        page.add_argument("--out", metavar="FILE.md", help=f"write it there instead of to docs/{name}.md")
        page.set_defaults(run=run)
    return parser.parse_args(argv)


def run_search(args: argparse.Namespace) -> int:
    """The report of a search, of connection schemes or of widths."""
    from transfer.pipeline.width.artefacts import WIDTHS

    if (Path(args.work_dir) / WIDTHS).is_file():
        from transfer.analysis.report.width import write_width_report

        print(f"wrote {write_width_report(args.work_dir, args.out)}")
        return 0
    from transfer.analysis.report.search import write_report

    print(f"wrote {write_report(args.work_dir, args.out)}")
    return 0


def run_study(args: argparse.Namespace) -> int:
    """The page on supernets."""
    from transfer.analysis.study.page import write_study

    page = write_study(args.out, tables=args.tables, searches=args.searches, standalone=args.standalone)
    print(f"wrote {page}")
    return 0


def run_relaxed(args: argparse.Namespace) -> int:
    """The page on gradient methods."""
    from transfer.analysis.relaxed import write_relaxed

    print(f"wrote {write_relaxed(args.out)}")
    return 0


def run_zoo(args: argparse.Namespace) -> int:
    """The page on what is registered."""
    from transfer.analysis.zoo import write_zoo

    print(f"wrote {write_zoo(HOME, args.out)}")
    return 0


def run_papers(args: argparse.Namespace) -> int:
    """The page on the papers' tables."""
    from transfer.analysis.papers import write_papers

    print(f"wrote {write_papers(HOME, args.out)}")
    return 0


def main(argv: list[str] | None = None) -> int:
    """Runs the command; returns the exit status."""
    args = parse_args(argv)
    return args.run(args)

"""Benchmarks: what is measured is measured side by side, in one run, with an interval."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    for name, (add_options, run, text) in COMMANDS.items():
        command = commands.add_parser(name, help=text, description=text)
        add_options(command)
        command.add_argument("--out", metavar="FILE.json", help="write machine and rows there, as JSON")
        command.set_defaults(run=run)
    return parser.parse_args(argv)


# ---- increment and throughput


def _increment_options(command: argparse.ArgumentParser) -> None:
    command.add_argument("names", nargs="+", metavar="NAME_OR_CONFIG", help="registered backbones, configs of tasks")
    command.add_argument(
        "--against", metavar="NAME_OR_CONFIG", help="network to hold them against (default: the plain)"
    )
    command.add_argument("--size", type=int, help="side of the pictures (default: the card's, the config's crops)")
    command.add_argument(
        "--modes", default="eager,deployed", help="some of eager,deployed,compiled (default: %(default)s)"
    )
    command.add_argument("--png", metavar="FILE", help="draw increment against accuracy, or else parameters, there")
    _timing_options(command, batch=50)


def _increment(args: argparse.Namespace) -> list[dict[str, Any]]:
    """Inference-time increment over the plain network."""
    from transfer.measure import report
    from transfer.measure.increment import measure_increments

    rows = measure_increments(
        args.names, against=args.against, size=args.size, modes=args.modes.split(","), settings=_settings(args)
    )
    _print_table(rows, report.INCREMENT, args.device)
    for line in report.rankings(rows):
        print(line)
    if args.png:
        report.draw_increments(rows, args.png)
    return rows


def _throughput_options(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "names", nargs="*", metavar="NAME", help="registered backbones (default: ResNet-50, plain and SE)"
    )
    command.add_argument("--size", type=int, default=224, help="side of the pictures (default: %(default)s)")
    _timing_options(command, batch=8)


def _throughput(args: argparse.Namespace) -> list[dict[str, Any]]:
    """Images a second beside timm's networks."""
    from transfer.measure import report
    from transfer.measure.throughput import OURS, measure_throughput

    rows = measure_throughput(args.names or OURS, size=args.size, settings=_settings(args))
    _print_table(rows, report.THROUGHPUT, args.device)
    return rows


def _timing_options(command: argparse.ArgumentParser, batch: int) -> None:
    command.add_argument("--batch", type=int, default=batch, help="pictures a forward (default: %(default)s)")
    command.add_argument(
        "--rounds", type=int, default=10, help="in which each network runs once (default: %(default)s)"
    )
    command.add_argument("--repeats", type=int, default=1, help="of the whole measurement (default: %(default)s)")
    command.add_argument("--threads", type=int, help="torch's threads (default: torch's own choice)")
    command.add_argument("--device", default="cpu", help="cpu or cuda (default: %(default)s)")
    command.add_argument("--clock", choices=("wall", "cpu"), default="wall", help="see steps")
    command.add_argument("--seed", type=int, default=0, help="of weights and pictures (default: %(default)s)")


def _settings(args: argparse.Namespace) -> Any:
    import transfer.engine  # noqa: F401  (guards and registries)
    from transfer.measure.contenders import Settings

    return Settings(args.batch, args.device, args.rounds, args.repeats, args.clock, args.seed, args.threads)


def _print_table(rows: list[dict[str, Any]], columns: Any, device: str) -> None:
    from rich.console import Console

    from transfer.measure import report
    from transfer.measure.machine import describe_machine, summary

    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = 200  # a pipe has no width: keep a row on one line
    console.print(report.table(rows, columns))
    console.print(summary(describe_machine(device)), markup=False, soft_wrap=True)


# ---- search


def _search_options(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "problem",
        nargs="+",
        help="'planted' (54 blocks, known optimum), a table.json.gz, or the folder of an exhaustive search",
    )
    command.add_argument("--methods", nargs="+", metavar="NAME", help="such as ean or ean:paper (default: all)")
    command.add_argument("--seeds", type=int, default=20, help="searches a method")
    command.add_argument("--budgets", type=int, nargs="+", default=[32, 64, 128, 256], help="distinct evaluations")
    command.add_argument(
        "--supernet",
        nargs=2,
        metavar=("CONFIG", "CHECKPOINT"),
        help="also: what the methods that train or inspect this supernet return, by the first problem's table",
    )


def _search(args: argparse.Namespace) -> list[dict[str, Any]]:
    """Regret of search methods where the optimum is known."""
    from backbones.errors import UserInputError
    from transfer.search import contest

    if args.seeds < 1 or min(args.budgets) < 1:
        raise UserInputError("--seeds and --budgets: expected numbers of at least 1")
    methods = contest.contestants(args.methods)
    problems = [contest.known_problem(name) for name in args.problem]
    rows: list[dict[str, Any]] = []
    for name, problem in zip(args.problem, problems, strict=True):
        found = contest.contest(
            name, problem, methods, budgets=sorted(args.budgets), seeds=args.seeds, progress=_to_stderr
        )
        print(
            f"\nRegret on {name}, mean of {args.seeds} searches and its 95 % interval\n\n{contest.as_markdown(found)}"
        )
        rows += found
    if args.supernet:
        from transfer.search.supernet import SupernetProblem

        problem = SupernetProblem(*args.supernet, bn=problems[0].settings.get("bn", "running"))
        found = contest.regret_of_returned(problem, problems[0], seeds=args.seeds, progress=_to_stderr)
        print(f"\nRegret of the schemes that supernet methods return\n\n{contest.costs_as_markdown(found)}")
        rows += found
    return rows


def _to_stderr(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


# ---- steps


def _steps_options(command: argparse.ArgumentParser) -> None:
    command.add_argument("--batch", type=int, default=2, help="pictures a step")
    command.add_argument("--size", type=int, default=193, help="side of the pictures")
    command.add_argument("--pairs", type=int, default=30, help="of steps, one with each backbone")
    command.add_argument("--device", default="cpu", help="torch's name of it")
    command.add_argument(
        "--clock",
        choices=("wall", "cpu"),
        default="wall",
        help="cpu: time of computing, for one thread on a machine that is busy otherwise",
    )


def _steps(args: argparse.Namespace) -> list[dict[str, Any]]:
    """Time of a training step of PSPNet on RegisteredBackbone against mmsegmentation's own ResNet."""
    import tasks.segmentation  # noqa: F401  (mmsegmentation's models)
    from tasks.segmentation.benchmark import compare_steps

    row = compare_steps(batch=args.batch, size=args.size, pairs=args.pairs, device=args.device, clock=args.clock)
    low, high = row["ratio_ci95"]
    print(f"{row['name']} against {row['against']}: {row['ratio']:.3f} (95 % interval {low:.3f} to {high:.3f})")
    return [row]


COMMANDS: dict[str, tuple[Any, Any, str]] = {
    "increment": (_increment_options, _increment, "inference-time increment over the plain network (Eq. 7, Eq. 9)"),
    "throughput": (_throughput_options, _throughput, "images a second, beside timm's ResNet-50 and SE-ResNet-50"),
    "search": (_search_options, _search, "regret of search methods where the optimum is known"),
    "steps": (_steps_options, _steps, "training step with a registered backbone against mmsegmentation's own"),
}
"""A benchmark is a line here: its options, what runs and returns the rows, and what it is."""


def main(argv: list[str] | None = None) -> int:
    """Runs the command; returns the exit status."""
    args = parse_args(argv)
    rows = args.run(args)
    if args.out:
        from transfer.engine.checkpoint import write_atomically
        from transfer.measure.machine import describe_machine

        content = {"machine": describe_machine(getattr(args, "device", None) or "cpu"), "rows": rows}
        write_atomically(args.out, (json.dumps(content, indent=2) + "\n").encode())
    return 0


if __name__ == "__main__":
    from transfer.cli import run_command

    raise SystemExit(run_command(main))

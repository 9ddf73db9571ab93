"""search, trie: what searching costs and finds."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from transfer.commands.benchmark.common import Command, Rows, print_table, settings, timing_options


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


def _search(args: argparse.Namespace) -> Rows:
    from backbones.errors import UserInputError
    from transfer.analysis import compare_methods

    if args.seeds < 1 or min(args.budgets) < 1:
        raise UserInputError("--seeds and --budgets: expected numbers of at least 1")
    methods = compare_methods.pick_methods(args.methods)
    problems = [compare_methods.known_problem(name) for name in args.problem]
    rows: Rows = []
    for name, problem in zip(args.problem, problems, strict=True):
        found = compare_methods.regret_rows(
            name, problem, methods, budgets=sorted(args.budgets), seeds=args.seeds, progress=_to_stderr
        )
        print(f"\nRegret on {name}, mean of {args.seeds} searches and its 95 % interval\n")
        print(compare_methods.as_markdown(found))
        rows += found
    if args.supernet:
        from transfer.search.supernet import SupernetProblem

        problem = SupernetProblem(*args.supernet, bn=problems[0].settings.get("bn", "running"))
        found = compare_methods.regret_of_returned(problem, problems[0], seeds=args.seeds, progress=_to_stderr)
        print(f"\nRegret of the schemes that supernet methods return\n\n{compare_methods.costs_as_markdown(found)}")
        rows += found
    return rows


def _to_stderr(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _search_markdown(rows: Rows) -> str:
    from transfer.analysis import compare_methods

    problems = dict.fromkeys(row["problem"] for row in rows)
    tables = (
        f"Regret on {name}, with its 95 % interval\n\n"
        + compare_methods.as_markdown([row for row in rows if row["problem"] == name])
        for name in problems
    )
    return "\n\n".join(tables)


def _trie_options(command: argparse.ArgumentParser) -> None:
    command.add_argument("--name", default="resnet38_full_share_se.cifar100", help="network (default: %(default)s)")
    command.add_argument("--schemes", type=int, default=0, help="random ones to evaluate; 0: every one (default)")
    command.add_argument("--size", type=int, default=32, help="side of the images (default: %(default)s)")
    command.add_argument(
        "--sample", type=int, default=64, help="schemes that are evaluated one at a time (default: %(default)s)"
    )
    command.add_argument(
        "--memory", type=int, nargs="*", default=[4, 32, 256], metavar="N", help="measure memory with N schemes"
    )
    timing_options(command, batch=16, rounds=3)


def _trie(args: argparse.Namespace) -> Rows:
    chosen = settings(args)
    from transfer.benchmarks.search_speed import measure_trie, measure_trie_memory

    given = dict(size=args.size, settings=chosen)
    rows = [measure_trie(args.name, schemes=args.schemes, sample=args.sample, **given)]
    rows += measure_trie_memory(args.name, schemes=args.memory, **given)
    print_table(rows, _trie_columns(), args.device)
    return rows


def _trie_columns() -> dict[str, Any]:
    from transfer.measure import columns

    return {
        "network": columns.text("name"),
        "mode": columns.text("mode"),
        "batch": columns.text("batch"),
        "pixels": columns.text("size"),
        "schemes": columns.number("schemes", 0),
        "blocks": columns.number("blocks_run", 0),
        "one at a time": columns.number("blocks_alone", 0),
        "times fewer": columns.number("blocks_saving"),
        "seconds": columns.number("seconds"),
        "one at a time, s": columns.number("alone_seconds"),
        "from a sample of": columns.text("sample"),
        "times as fast": columns.number("speedup"),
        "95 % interval": columns.interval("speedup_ci95"),
        "peak MB": columns.number("peak_memory_mb", 1),
        "a batch a level, MB": columns.number("levels_mb", 1),
    }


SEARCH = Command(
    "regret of search methods where the optimum is known", _search_options, _search, markdown=_search_markdown
)
TRIE = Command(
    "evaluating schemes by a prefix trie, against one at a time: blocks, time, memory",
    _trie_options,
    _trie,
    _trie_columns,
)

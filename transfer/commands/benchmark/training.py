"""profile, evaluation, steps: where time goes, and how a step compares."""

from __future__ import annotations

import argparse
from typing import Any

from transfer.commands.benchmark.common import Command, Rows, clock_options, print_table, settings, timing_options


def _config(args: argparse.Namespace) -> Any:
    from transfer.engine.config_check import load_config
    from transfer.engine.runner_setup import choose_device

    choose_device(args.device)
    return load_config(args.config, args.cfg_options)


def _config_options(command: argparse.ArgumentParser) -> None:
    command.add_argument("config", help="config file, such as configs/shha_small_ean_se.py")
    command.add_argument(
        "--cfg-options", nargs="+", action="extend", default=[], metavar="KEY=VALUE", help="override config keys"
    )
    clock_options(command)


def _profile_options(command: argparse.ArgumentParser) -> None:
    command.add_argument("--steps", type=int, default=5, help="that are counted (default: %(default)s)")
    _config_options(command)


def _profile(args: argparse.Namespace) -> Rows:
    settings(args)
    from transfer.benchmarks.profile_loops import profile_training

    rows = profile_training(_config(args), steps=args.steps, clock=args.clock, device=args.device, seed=args.seed)
    print_table(rows, _parts_columns(), args.device)
    return rows


def _evaluation_options(command: argparse.ArgumentParser) -> None:
    command.add_argument("--limit", type=int, help="batches to evaluate, the first ones (default: all)")
    _config_options(command)


def _evaluation(args: argparse.Namespace) -> Rows:
    settings(args)
    from transfer.benchmarks.profile_loops import profile_evaluation

    rows = profile_evaluation(_config(args), limit=args.limit, clock=args.clock, device=args.device, seed=args.seed)
    print_table(rows, _parts_columns(), args.device)
    return rows


def _parts_columns() -> dict[str, Any]:
    from transfer.measure import columns

    return {
        "part": columns.text("name"),
        "config": columns.text("config"),
        "batch": columns.text("batch"),
        "ms/step": columns.number("ms_per_step"),
        "ms/image": columns.number("ms_per_image"),
        "share %": columns.number("share_percent"),
    }


# ---- steps

HEADS = ("psp", "classifier")


def _steps_options(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--heads",
        nargs="+",
        choices=HEADS,
        default=list(HEADS),
        help="psp: PSPNet on the plain trunk against mmsegmentation's own; classifier: Share-EAN-SE against the plain "
        "trunk and timm's seresnet50, with memory (default: both)",
    )
    command.add_argument(
        "--name", default="resnet50_share_ean_se.standin", help="the classifier's trunk (default: %(default)s)"
    )
    command.add_argument(
        "--against", default="resnet50.imagenet", metavar="NAME", help="a trunk beside it (default: %(default)s)"
    )
    command.add_argument("--timm", default="seresnet50", help="timm's beside it, or none (default: %(default)s)")
    command.add_argument("--size", type=int, default=193, help="side of the images (default: %(default)s)")
    timing_options(command, 2, 30, "--pairs")


def _steps(args: argparse.Namespace) -> Rows:
    chosen = settings(args)
    rows: Rows = []
    if "psp" in args.heads:
        from transfer.task import get_task

        compare_steps = get_task("segmentation").part("benchmark").compare_steps
        pairs = args.rounds * args.repeats
        given = dict(device=args.device, clock=args.clock, seed=args.seed)
        rows.append(compare_steps(batch=args.batch, size=args.size, pairs=pairs, **given))
    if "classifier" in args.heads:
        from transfer.benchmarks.training_steps import measure_training_steps

        timm = None if args.timm == "none" else args.timm
        rows += measure_training_steps(args.name, against=args.against, timm=timm, size=args.size, settings=chosen)
    print_table(rows, _steps_columns(), args.device)
    return rows


def _steps_columns() -> dict[str, Any]:
    from transfer.measure import columns

    return {
        "network": columns.text("name"),
        "against": columns.text("against"),
        "its format": columns.text("against_format"),
        "mode": columns.text("mode"),
        "memory format": columns.text("memory_format"),
        "batch": columns.text("batch"),
        "pixels": columns.text("size"),
        "ms/image": columns.number("ms_per_image", 1),
        "ratio": columns.number("ratio", 3),
        "95 % interval": columns.interval("ratio_ci95", 3),
        "checkpointing": columns.text("checkpointing"),
        "peak MB": columns.number("peak_memory_mb", 1),
    }


PROFILE = Command("parts of a training step", _profile_options, _profile, _parts_columns)
EVALUATION = Command(
    "data, network and metric time of an evaluation",
    _evaluation_options,
    _evaluation,
    _parts_columns,
)
STEPS = Command(
    "training step with a registered backbone against mmsegmentation's, the plain and timm's",
    _steps_options,
    _steps,
    _steps_columns,
)

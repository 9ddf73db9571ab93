"""Trains the model of a config; `--resume` continues exactly where a checkpoint left off."""

from __future__ import annotations

import argparse
from pathlib import Path

from backbones.errors import UserInputError
from transfer.cli import add_cfg_options, add_config, add_device, add_launcher


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_config(parser)
    parser.add_argument("--work-dir", help="where log and checkpoints go (default: work_dirs/<config's name>)")
    parser.add_argument(
        "--resume",
        nargs="?",
        const=True,
        default=False,
        metavar="CKPT",
        help="continue from CKPT, without it from the newest checkpoint of the work directory",
    )
    parser.add_argument(
        "--allow-changes",
        action="store_true",
        help="resume with another optimiser, schedule, batch size or other data than the checkpoint was trained with",
    )
    parser.add_argument(
        "--amp", action="store_true", help="mixed precision in bfloat16, where GPU or processor computes in it"
    )
    parser.add_argument("--seed", type=int, help="of weights, order and augmentation (default: the config's)")
    add_cfg_options(parser)
    add_launcher(parser)
    add_device(parser)
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Runs the command; returns the exit status."""
    args = parse_args(argv)
    import transfer.engine  # noqa: F401  (guards and registries)
    from transfer.engine.config_check import load_config
    from transfer.engine.runner_setup import choose_device
    from transfer.engine.training import train
    from transfer.task import get_task

    config = load_config(args.config, args.cfg_options)
    if "task" in config:  # configs of other projects have none
        get_task(config, where=f"config {args.config}")
    choose_device(args.device)
    work_dir = Path(args.work_dir or Path("work_dirs") / Path(args.config).stem)
    given = config.get("work_dir")
    if not args.work_dir and given and Path(given).resolve() != work_dir.resolve():
        raise UserInputError(f"config {args.config}: its work_dir={given!r} is not used, expected --work-dir DIR")
    return train(
        config,
        work_dir=work_dir,
        resume=args.resume,
        allow_changes=args.allow_changes,
        seed=args.seed,
        amp=args.amp,
        launcher=args.launcher,
    )

"""Trains a sample of schemes from scratch, all alike, to compare with what a supernet says of them.

python tools/standalone.py configs/search/c100_resnet38_ean_se_6ep.py --spread TABLE.json.gz 8 --work-dir DIR --amp

A second call of the same command goes on where the first was stopped.
"""

from __future__ import annotations

import argparse

from transfer.cli import add_cfg_options, add_config, add_device, add_engine


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_config(parser, "configs/search/c100_resnet38_ean_se_6ep.py")
    parser.add_argument("--work-dir", required=True, help="where everything goes; not a search's own folder")
    parser.add_argument(
        "--schemes", nargs="+", action="extend", default=[], metavar="SCHEME|FILE", help="these; a file has one a line"
    )
    parser.add_argument(
        "--spread", nargs=2, action="append", default=[], metavar=("TABLE", "N"),
        help="N schemes at equal quantiles of the accuracies in a table of all schemes (.json.gz)",
    )  # fmt: skip
    parser.add_argument(
        "--random", nargs=2, type=int, action="append", default=[], metavar=("N", "SEED"), help="N schemes by chance"
    )
    parser.add_argument(
        "--random-at", nargs=3, action="append", default=[], metavar=("N", "SEED", "RATIO"),
        help="N schemes by chance with this share of the blocks connected",
    )  # fmt: skip
    parser.add_argument("--seed", type=int, help="of the trainings (default: the config's)")
    parser.add_argument("--amp", action="store_true", help="mixed precision")
    add_engine(parser)
    add_cfg_options(parser, "override keys of the search config, such as standalone.config=...")
    add_device(parser)
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Runs the command; returns the exit status."""
    args = parse_args(argv)
    import transfer.engine  # noqa: F401  (guards and registries)
    from backbones.errors import UserInputError
    from transfer.engine.config_check import parse_options
    from transfer.engine.runner_setup import choose_device
    from transfer.pipeline import sample
    from transfer.pipeline.config import read_search_config
    from transfer.pipeline.engines import get_engine
    from transfer.pipeline.run import supernet_config

    choose_device(args.device)
    options = parse_options(args.cfg_options)
    if args.seed is not None:
        options["standalone.seed"] = args.seed
    config = read_search_config(args.config, options)
    depths = sample.SampledNetwork.of(supernet_config(config)).depths
    picked = sample.given(args.schemes, depths)
    for table, number in args.spread:
        if not number.isdigit():
            raise UserInputError(f"--spread {table} {number}: expected a number of schemes last")
        picked = picked | sample.spread(table, int(number), depths)
    for number, seed in args.random:
        picked = picked | sample.drawn(number, seed, depths)
    for words in args.random_at:
        try:
            number, seed, ratio = int(words[0]), int(words[1]), float(words[2])
        except ValueError:
            raise UserInputError(f"--random-at {' '.join(words)}: expected two whole numbers and a ratio") from None
        picked = picked | sample.drawn_at(number, seed, ratio, depths)
    if not picked:
        raise UserInputError("no scheme to train: name some by --schemes, --spread, --random or --random-at")
    engine = get_engine(args.engine, args.workers)
    return sample.train_sample(config, picked, args.work_dir, amp=args.amp, engine=engine)

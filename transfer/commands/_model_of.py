"""Which model a command line means: a registered one, a checkpoint that holds its config, or config and checkpoint."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from backbones.errors import UserInputError
from transfer.models import CHECKPOINTS, Source, get_model_card, source_of_card, source_of_checkpoint
from transfer.task import get_task

if TYPE_CHECKING:
    from mmengine.config import Config

    from backbones.model_card import ModelCard


class Chosen(NamedTuple):
    """The model of a command line, and what is left of it: the inputs. `card` is None for a bare checkpoint."""

    config: Config
    checkpoint: Path
    inputs: list[str]
    card: ModelCard | None


def add_model(parser: argparse.ArgumentParser, inputs: str, help: str) -> None:
    """`[[CONFIG] CHECKPOINT] INPUT...`, `--model` and `--task`, which `resolve_model` reads.

    Args:
        parser: of the command.
        inputs: what the command takes, such as `IMAGE_OR_FOLDER`.
        help: of the inputs.
    """
    parser.add_argument(
        "inputs",
        nargs="+",
        metavar=inputs,
        help=f"{help}; in front of them CHECKPOINT (.pth) of a training, CONFIG CHECKPOINT where it holds no config, "
        "or an exported model (.onnx)",
    )
    parser.add_argument("--model", metavar="NAME", help="a registered model, see `tools/models.py list`")
    parser.add_argument("--task", help="without --model and CHECKPOINT: the default model of this task")


def resolve_model(args: argparse.Namespace) -> Chosen:
    """Config, checkpoint and card of the model that `args` (of `add_model`, `--cfg-options`) mean.

    Raises:
        UserInputError: an unknown model, no default, a model of another task, a checkpoint without a config, or two
            models at once.
    """
    config, checkpoint, inputs = split_words(args.inputs)
    if args.model is not None and checkpoint is not None:
        raise UserInputError(f"--model {args.model}: says which model, {checkpoint} cannot be given beside it")
    if not inputs:
        raise UserInputError("nothing to predict, expected images behind the model")
    source = find_source(config, checkpoint, args.model, args.task, args.cfg_options)
    where = f"config {config or source.config.filename}"
    task = get_task(source.config, where=where).name
    if args.task not in (None, task):
        raise UserInputError(f"--task {args.task}: {where} is of task {task!r}")
    return Chosen(source.config, source.checkpoint, inputs, source.card)


def find_source(
    config: str | None, checkpoint: str | None, name: str | None, task: str | None, options: Sequence[str]
) -> Source:
    """The model of a config and a checkpoint, of a checkpoint that holds its config, or of a name, with `options`.

    Raises:
        UserInputError: as `resolve_model`; options or a config for an exported model, which takes neither.
    """
    from transfer.engine.config_check import apply_options, load_config, parse_options

    if checkpoint is not None and checkpoint.endswith(".onnx") and (config is not None or options):
        beside = f"config {config}" if config is not None else "--cfg-options"
        raise UserInputError(f"{checkpoint}: an exported model is as its own config says, leave {beside} out")
    if config is not None and checkpoint is not None:
        return Source(load_config(config, options), Path(checkpoint))
    source = source_of_card(get_model_card(name, task)) if checkpoint is None else source_of_checkpoint(checkpoint)
    apply_options(source.config, parse_options(options))
    return source


def split_words(words: list[str]) -> tuple[str | None, str | None, list[str]]:
    """Config, checkpoint and inputs among the words of a command line, told apart by their endings.

    >>> split_words(["shha_ean_se", "iter_9.pth", "a.jpg"])
    ('shha_ean_se', 'iter_9.pth', ['a.jpg'])
    >>> split_words(["iter_9.pth", "a.jpg"])
    (None, 'iter_9.pth', ['a.jpg'])
    >>> split_words(["a.jpg", "b.jpg"])
    (None, None, ['a.jpg', 'b.jpg'])

    Raises:
        UserInputError: a config file without a checkpoint behind it.
    """
    first, second = words[0], words[1] if len(words) > 1 else ""
    if first.endswith(CHECKPOINTS):
        return None, first, words[1:]
    if second.endswith(CHECKPOINTS):
        return first, second, words[2:]
    if first.endswith(".py"):
        raise UserInputError(
            f"config {first}: expected CHECKPOINT ({', '.join(CHECKPOINTS)}) behind it, found {second!r}"
        )
    return None, None, words

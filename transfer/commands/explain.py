"""Shows what trained models look at in an image: Grad-CAM side by side, and what their attention modules answer."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from backbones.errors import UserInputError, did_you_mean
from backbones.registry import get_card, list_backbones
from transfer.cli import add_cfg_options, add_device
from transfer.models import CHECKPOINTS, get_model_card, list_models, source_of_card, source_of_checkpoint
from transfer.task import get_task

if TYPE_CHECKING:
    from transfer.explain.run import Model


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__, usage="%(prog)s [options] [MODEL ...] IMAGE")
    parser.add_argument(
        "words",
        nargs="+",
        metavar="[MODEL ...] IMAGE",
        help="the image, behind the models: CHECKPOINT (.pth) of a training, CONFIG CHECKPOINT where it holds no "
        "config, or names, also of backbones with a classifier of their own; without a model: the default one",
    )
    parser.add_argument("--model", action="append", default=[], metavar="NAME", help="a further model by its name")
    parser.add_argument("--label", action="append", default=[], metavar="TEXT", help="what to call a model, for each")
    parser.add_argument(
        "--target", metavar="CLASS", help="class by name or number (default: what the first model predicts)"
    )
    parser.add_argument("--region", metavar="L,T,R,B", help="counting: the count between these pixels alone")
    parser.add_argument(
        "--layer",
        metavar="NAME",
        help="stage or block of the backbone, such as layer3 or layer3.4 (default: last)",
    )
    parser.add_argument("--out", metavar="DIR", help="folder for the results (default: explained/IMAGE)")
    parser.add_argument("--overwrite", action="store_true", help="replace results that DIR holds")
    add_device(parser)
    parser.add_argument("--json", action="store_true", help="print explain.json instead of one line per model")
    add_cfg_options(parser)
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Runs the command; returns the exit status."""
    args = parse_args(argv)
    *words, image = args.words
    if image.endswith((*CHECKPOINTS, ".py")):
        raise UserInputError(f"{image}: is a model, expected the image behind it")
    region = None if args.region is None else parse_region(args.region)
    import transfer.engine  # noqa: F401  (guards and registries)
    from transfer.engine.runner_setup import choose_device
    from transfer.explain.run import explain, free_folder

    out = free_folder(args.out or Path("explained") / Path(image).stem, overwrite=args.overwrite)
    choose_device(args.device)
    models = _labelled(list(_models(words, args.model, args.cfg_options)), args.label)
    record = explain(models, image, out=out, target=args.target, region=region, layer=args.layer)
    if args.json:
        print(json.dumps(record, indent=2))
    else:
        print("\n".join(f"{model['label']}: {model['said']} ({model['layer']})" for model in record["models"]))
        print(f"figures and numbers in {out}")
    return 0


def parse_region(text: str) -> tuple[int, int, int, int]:
    """Left, top, right, bottom of `"10,20,300,200"`; raises `UserInputError` for anything else."""
    numbers = [part.strip() for part in text.split(",")]
    if len(numbers) != 4 or not all(number.isdecimal() for number in numbers):
        raise UserInputError(f"--region {text}: expected left,top,right,bottom in pixels, such as 10,20,300,200")
    left, top, right, bottom = map(int, numbers)
    return left, top, right, bottom


def _models(words: Sequence[str], names: Sequence[str], options: Sequence[str]) -> Iterator[Model]:
    """The models of a command line, in its order; the default one where it names none."""
    from transfer.engine.config_check import apply_options, load_config, parse_options
    from transfer.explain.run import Model

    rest = iter([*words, *names] or [get_model_card().name])
    for word in rest:
        if word.endswith((".onnx", ".pt2")):
            raise UserInputError(f"{word}: exported, has no gradients; give the checkpoint that it was made from")
        if word.endswith(".py"):
            checkpoint = next(rest, "")
            if not checkpoint.endswith(CHECKPOINTS):
                raise UserInputError(f"config {word}: expected CHECKPOINT ({', '.join(CHECKPOINTS)}) behind it")
            found = Model(_short(checkpoint), load_config(word), Path(checkpoint))
        elif word.endswith(CHECKPOINTS):
            found = Model(_short(word), source_of_checkpoint(word).config, Path(word))
        else:
            found = _named(word)
        apply_options(found.config, parse_options(options))
        yield found


def _named(name: str) -> Model:
    """A registered task model, or the classifier that a registered backbone with weights of its own is."""
    from transfer.explain.run import Model

    if name in list_models():
        source = source_of_card(get_model_card(name))
        return Model(name, source.config, source.checkpoint)
    if name in list_backbones() or list_backbones(f"{name}.*"):
        card = get_card(name)
        task = get_task("classification")
        task.load()
        return Model(card.name, task.part("explain").config_of_backbone(card), None)
    known = [*list_models(), *list_backbones(pretrained=True)]
    raise UserInputError(
        f"model {name!r} is neither a registered model, see `tools/models.py list`, nor a backbone with weights, see "
        f"`tools/backbones.py list --pretrained`.{did_you_mean(name, known)}"
    )


def _short(checkpoint: str) -> str:
    """A checkpoint by its name and its folder's."""
    path = Path(checkpoint)
    return f"{path.parent.name}/{path.stem}" if path.parent.name else path.stem


def _labelled(models: list[Model], labels: Sequence[str]) -> list[Model]:
    from dataclasses import replace

    if labels and len(labels) != len(models):
        raise UserInputError(f"--label: given {len(labels)} times for {len(models)} models, expected one for each")
    return [
        replace(model, label=label) for model, label in zip(models, labels or [m.label for m in models], strict=True)
    ]

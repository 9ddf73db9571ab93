"""The ignored id and the list of classes, which a config repeats in many places: the data sets say them.

Where a config is silent, the ignored id of the data sets is filled in; where it speaks, it must say the same.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from backbones.errors import UserInputError
from tasks.segmentation.dataset import VOC_CLASSES, VOCLayoutDataset
from transfer.engine.config_check import resolve

DEFAULT = 255
"""mmsegmentation's ignored id, the default of every class that knows one."""

_SECTIONS = ("train_dataloader", "val_dataloader", "test_dataloader", "tta_pipeline", "model")
_EVALUATORS = ("val_evaluator", "test_evaluator")
_NAMES = ("ignore_index", "ignore_label", "seg_pad_val")
_OF_CLASSES = ("DiceLoss",)  # their ignore_index is a class that the loss leaves out, no id of pixels
_DATA_SET = re.compile(r"\w+_dataloader\.dataset(\.datasets?(\.\d+)?)*")
_HEAD = re.compile(r"model(\.module)?\.(decode|auxiliary)_head(\.\d+)?")

Node = Mapping[str, Any]


@dataclass(frozen=True)
class _Place:
    """A place for the ignored id: its config key, what the config says there (None: nothing), how to say it."""

    key: str
    said: int | None
    say: Callable[[int], None]

    def __str__(self) -> str:
        return f"{self.key}={self.said}" if self.said is not None else f"{self.key}={DEFAULT}, its default"


def settle(config: Any) -> None:
    """Fills the data sets' ignored id in wherever the config does not say one, in place.

    Raises:
        UserInputError: places that contradict each other, see `disagreements`.
    """
    fill(config)
    agree(config)


def agree(config: Node) -> None:
    """Raises `UserInputError` with the first of `disagreements`."""
    for line in disagreements(config):
        raise UserInputError(line)


def fill(config: Any) -> None:
    """Fills the data sets' ignored id in where the config is silent, in place."""
    wanted = _source(config)[1]
    if wanted == DEFAULT:
        return
    for _, node in _typed_in(config):
        if node.get("auto_pad"):
            node.setdefault("pad_cfg", {"type": "Pad"})  # the default, in which an id can be said
    for place in _places(config):
        if place.said is None:
            place.say(wanted)


def disagreements(config: Node) -> list[str]:
    """What the config says about the ignored id and about classes in two ways; one line each, with keys and values."""
    return [*_ids(config), *_classes(config)]


def _ids(config: Node) -> Iterator[str]:
    key, wanted = _source(config)
    others = [str(place) for place in _places(config) if (DEFAULT if place.said is None else place.said) != wanted]
    if others:
        yield (
            f"config key {key}={wanted} is the ignored id of the data, but {'; '.join(others)}: expected {wanted} "
            "everywhere; say it at the data sets alone, the other places follow"
        )


def _source(config: Node) -> tuple[str, int]:
    """Key and value of the first ignored id that a data set's config says; the default where none says any."""
    of_data = [place for place in _places(config) if _DATA_SET.fullmatch(place.key.rpartition(".")[0])]
    for place in of_data:
        if place.said is not None:
            return place.key, place.said
    return (of_data[0].key if of_data else "train_dataloader.dataset.ignore_index"), DEFAULT


def _places(config: Node) -> Iterator[_Place]:
    scope = config.get("default_scope") or "mmseg"
    for key, node in _typed_in(config):
        targets = resolve(node["type"], scope)
        for name in _NAMES:
            takes = any(_default(target, name) == DEFAULT for target in targets)
            if takes and node["type"] not in _OF_CLASSES and node.get(name, DEFAULT) is not None:
                yield _Place(f"{key}.{name}", node.get(name), partial(_set, node, name))
        if any(isinstance(_default(target, "pad_val"), Mapping) for target in targets):
            pads = node.get("pad_val", 0)
            pads = dict(pads) if isinstance(pads, Mapping) else {"img": pads}
            yield _Place(f"{key}.pad_val.seg", pads.get("seg"), partial(_set_pad, node, pads))


def _set(node: Any, name: str, value: int) -> None:
    node[name] = value


def _set_pad(node: Any, pads: dict[str, Any], value: int) -> None:
    node["pad_val"] = {**pads, "seg": value}


def _typed_in(config: Node) -> Iterator[tuple[str, Any]]:
    for section in (*_SECTIONS, *_EVALUATORS):
        yield from _typed(config.get(section), section)


def _typed(node: Any, key: str) -> Iterator[tuple[str, Any]]:
    """All mappings with a `type` in a part of a config, with their keys."""
    if isinstance(node, (list, tuple)):
        for index, item in enumerate(node):
            yield from _typed(item, f"{key}.{index}")
    elif isinstance(node, Mapping):
        if "type" in node:
            yield key, node
        for name, value in list(node.items()):
            yield from _typed(value, f"{key}.{name}")


def _default(target: Any, name: str) -> Any:
    """Default of an argument of a class, those that it hands on to its base classes included."""
    for base in inspect.getmro(target) if inspect.isclass(target) else ():
        if "__init__" in vars(base):
            found = inspect.signature(base.__init__).parameters.get(name)
            if found is not None:
                return found.default
    return None


def _classes(config: Node) -> Iterator[str]:
    named = [(key, classes) for key, node in _typed_in(config) if (classes := _class_names(config, key, node))]
    if not named:
        return
    where, wanted = named[0]
    for key, classes in named[1:]:
        if classes != wanted:
            yield (
                f"config key {key}: has {_few(classes)}, but {where} {_few(wanted)}: expected the same in the same "
                "order, see metainfo.classes"
            )
    for key, node in _typed_in(config):
        count = node.get("num_classes")
        # STDC's boundary head tells edges from the rest, whatever the data's classes.
        if _HEAD.fullmatch(key) and node["type"] != "STDCHead" and count not in (None, len(wanted)):
            yield f"config key {key}.num_classes={count}: {where} has {_few(wanted)}, expected {len(wanted)}"


def _class_names(config: Node, key: str, node: Node) -> tuple[str, ...]:
    """Names of the classes of a data set, by what its config or its class says; empty where neither does."""
    if not _DATA_SET.fullmatch(key):
        return ()
    said = (node.get("metainfo") or {}).get("classes")
    if said is not None:
        return tuple(said) if isinstance(said, (list, tuple)) else ()
    for target in resolve(node["type"], config.get("default_scope") or "mmseg"):
        if target is VOCLayoutDataset:
            return VOC_CLASSES
        return tuple((getattr(target, "METAINFO", None) or {}).get("classes", ()))
    return ()


def _few(classes: tuple[str, ...]) -> str:
    return f"{len(classes)} classes ({', '.join(classes[:3])}{', ...' if len(classes) > 3 else ''})"

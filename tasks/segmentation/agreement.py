"""The ignored id and the list of classes, which a config repeats in many places: the data sets say them.

Where a config is silent, the ignored id of the data sets is filled in; where it speaks, it must say the same.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

from backbones.errors import UserInputError
from tasks.segmentation.dataset import VOC_CLASSES, VOCLayoutDataset
from transfer.engine.config_check import resolve

DEFAULT = 255
"""mmsegmentation's ignored id, the default of every class that knows one."""

_SECTIONS = (
    *("train_dataloader", "val_dataloader", "test_dataloader", "tta_pipeline"),
    *("model", "val_evaluator", "test_evaluator"),
)
_NAMES = ("ignore_index", "ignore_label", "seg_pad_val")
_OF_CLASSES = ("DiceLoss",)  # their ignore_index is a class that the loss leaves out, no id of pixels
_DATA_SET = re.compile(r"\w+_dataloader\.dataset(\.datasets?(\.\d+)?)*")
_HEAD = re.compile(r"model(\.module)?\.(decode|auxiliary)_head(\.\d+)?")

Config = Mapping[str, Any]


class _Node(NamedTuple):
    """A part of a config that has a `type`: its key, itself, and what the type may mean."""

    key: str
    part: Any
    targets: list[Any]


@dataclass(frozen=True)
class _Place:
    """A place for the ignored id: its config key, what the config says there (None: nothing), how to say it."""

    key: str
    said: int | None
    say: Callable[[int], None]

    @property
    def value(self) -> int:
        """What holds there: what is said, or mmsegmentation's default."""
        return DEFAULT if self.said is None else self.said

    def __str__(self) -> str:
        return f"{self.key}={self.value}{' by default' if self.said is None else ''}"


def settle(config: Config) -> None:
    """Fills the data sets' ignored id in wherever the config does not say one, in place.

    A config that has no `VOCLayoutDataset` is not judged: mmsegmentation's own pad depth maps with 0 and evaluate on
    fewer classes than they train on.

    Raises:
        UserInputError: places that contradict each other, see `disagreements`.
    """
    fill(config)
    if any(VOCLayoutDataset in node.targets for node in _nodes(config)):
        agree(config)


def agree(config: Config) -> None:
    """Raises `UserInputError` with the first of `disagreements`."""
    for line in disagreements(config):
        raise UserInputError(line)


def fill(config: Config) -> None:
    """Fills the data sets' ignored id in where the config is silent, in place."""
    wanted = _source(list(_places(_nodes(config)))).value
    if wanted == DEFAULT:
        return
    for node in _nodes(config):
        if node.part.get("auto_pad"):
            node.part.setdefault("pad_cfg", {"type": "Pad"})  # mmcv's default, in which an id can be said
    for place in _places(_nodes(config)):
        if place.said is None:
            place.say(wanted)


def disagreements(config: Config) -> list[str]:
    """What the config says about the ignored id and about classes in two ways; one line each, with keys and values."""
    nodes = _nodes(config)
    return [*_ids(nodes), *_classes(nodes)]


def _ids(nodes: Sequence[_Node]) -> Iterator[str]:
    places = list(_places(nodes))
    source = _source(places)
    others = [str(place) for place in places if place.value != source.value]
    if others:
        yield (
            f"config key {source} is the ignored id of the data, but {', '.join(others)}: expected {source.value} "
            "everywhere; say it at the data sets alone, the other places follow"
        )


def _source(places: Sequence[_Place]) -> _Place:
    """The first ignored id that a data set's config says; the default where none says any."""
    of_data = [place for place in places if _DATA_SET.fullmatch(place.key.rpartition(".")[0])]
    nothing = _Place("train_dataloader.dataset.ignore_index", None, lambda value: None)
    return next((place for place in of_data if place.said is not None), (of_data or [nothing])[0])


def _places(nodes: Sequence[_Node]) -> Iterator[_Place]:
    for key, part, targets in nodes:
        for name in _NAMES:
            takes = any(_default(target, name) == DEFAULT for target in targets)
            # None: a head of binary masks, which ignores no pixel.
            if takes and part["type"] not in _OF_CLASSES and part.get(name, DEFAULT) is not None:
                yield _Place(f"{key}.{name}", part.get(name), partial(part.__setitem__, name))
        if any(isinstance(_default(target, "pad_val"), Mapping) for target in targets):
            pads = part.get("pad_val", 0)
            pads = dict(pads) if isinstance(pads, Mapping) else {"img": pads}
            yield _Place(f"{key}.pad_val.seg", pads.get("seg"), partial(_say_pad, part, pads))


def _say_pad(part: Any, pads: dict[str, Any], value: int) -> None:
    part["pad_val"] = {**pads, "seg": value}


def _default(target: Any, name: str) -> Any:
    """Default of an argument of a class, those that it hands on to its base classes included."""
    for base in inspect.getmro(target) if inspect.isclass(target) else ():
        if init := vars(base).get("__init__"):
            found = inspect.signature(init).parameters.get(name)
            if found is not None:
                return found.default
    return None


def _nodes(config: Config) -> list[_Node]:
    scope = config.get("default_scope") or "mmseg"
    targets: dict[Any, list[Any]] = {}  # a look-up goes through all registries
    nodes = []
    for section in _SECTIONS:
        for key, part in _typed(config.get(section), section):
            kind = part["type"]
            if kind not in targets:
                targets[kind] = resolve(kind, scope)
            nodes.append(_Node(key, part, targets[kind]))
    return nodes


def _typed(part: Any, key: str) -> Iterator[tuple[str, Any]]:
    """All mappings with a `type` in a part of a config, with their keys."""
    if isinstance(part, (list, tuple)):
        for index, item in enumerate(part):
            yield from _typed(item, f"{key}.{index}")
    elif isinstance(part, Mapping):
        if "type" in part:
            yield key, part
        for name, value in part.items():
            yield from _typed(value, f"{key}.{name}")


def _classes(nodes: Sequence[_Node]) -> Iterator[str]:
    named = [(node.key, classes) for node in nodes if (classes := _class_names(node))]
    if not named:
        return
    where, wanted = named[0]
    for key, classes in named[1:]:
        if classes != wanted:
            yield (
                f"config key {key}: has {_few(classes)}, but {where} {_few(wanted)}: expected the same in the same "
                "order, see metainfo.classes"
            )
    for key, part, _ in nodes:
        count = part.get("num_classes")
        # STDC's boundary head tells edges from the rest, whatever the data's classes.
        if _HEAD.fullmatch(key) and part["type"] != "STDCHead" and count not in (None, len(wanted)):
            yield f"config key {key}.num_classes={count}: {where} has {_few(wanted)}, expected {len(wanted)}"


def _class_names(node: _Node) -> tuple[str, ...]:
    """Names of the classes of a data set, by what its config or its class says; empty where neither does."""
    if not _DATA_SET.fullmatch(node.key) or not node.targets:
        return ()
    said = (node.part.get("metainfo") or {}).get("classes")
    if said is not None:
        return tuple(said) if isinstance(said, (list, tuple)) else ()
    if VOCLayoutDataset in node.targets:
        return VOC_CLASSES
    return tuple((getattr(node.targets[0], "METAINFO", None) or {}).get("classes", ()))


def _few(classes: tuple[str, ...]) -> str:
    return f"{len(classes)} classes ({', '.join(classes[:3])}{', ...' if len(classes) > 3 else ''})"

"""What a checkpoint must hold to be resumed, and what of the config has changed since it was written."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config

from backbones.errors import UserInputError
from backbones.literals import read_assignments
from transfer.engine.console import say

_NEEDED = ("optimizer", "message_hub", "meta")
_COMPARED = ("optim_wrapper", "train_dataloader")
_SAME_NUMBERS = frozenset(
    {"seed", "cache_images", "num_workers", "pin_memory", "persistent_workers", "prefetch_factor", "timeout"}
    | {"worker_init_fn", "multiprocessing_context", "disable_subprocess_warning", "verbose"}
)
"""Keys of data loaders, data sets and schedules that change time and memory, or that a resumed training keeps."""


def check_parts(checkpoint: Mapping[str, Any], path: str | Path) -> None:
    """Refuses what cannot be gone on from.

    Raises:
        UserInputError: weights only, parts of another kind than `PlainCheckpointHook` writes, or numbers in the
            optimiser's state or the averages that are not finite.
    """
    if not set(_NEEDED) <= checkpoint.keys():
        raise UserInputError(
            f"{path}: holds weights only, which cannot be resumed; expected an iter_<n>.pth; take that of its training"
        )
    kinds: dict[str, tuple[Any, Any]] = {
        "meta.iter": (checkpoint["meta"].get("iter"), int),
        "meta.epoch": (checkpoint["meta"].get("epoch"), int),
        "meta.seed": (checkpoint["meta"].get("seed", 0), int),
        "param_schedulers": (checkpoint.get("param_schedulers", []), (list, dict)),
        "sampler": (checkpoint.get("sampler", {}), dict),
        "optimizer.state": (checkpoint["optimizer"].get("state", {}), dict),
        "optimizer.param_groups": (checkpoint["optimizer"].get("param_groups", []), list),
    }
    for key, (value, kind) in kinds.items():
        if not isinstance(value, kind) or isinstance(value, bool) or (kind is int and value < 0):
            raise UserInputError(
                f"{path}: its {key!r} is {value!r:.80}, expected what a training writes; take another one"
            )
    position = checkpoint.get("sampler", {}).get("position", 0)
    if not isinstance(position, int) or position < 0:
        raise UserInputError(
            f"{path}: its 'sampler.position' is {position!r:.80}, expected a whole number; take another one"
        )
    for part in ("optimizer", "ema_state_dict"):
        for key, tensor in _tensors(checkpoint.get(part, {}), part):
            if tensor.is_floating_point() and not bool(tensor.isfinite().all()):
                raise UserInputError(f"{path}: its {key!r} holds numbers that are not finite; take another one")


def _tensors(node: Any, path: str) -> Iterator[tuple[str, torch.Tensor]]:
    if isinstance(node, torch.Tensor):
        yield path, node
    elif isinstance(node, Mapping):
        for key, value in node.items():
            yield from _tensors(value, f"{path}.{key}")
    elif isinstance(node, (list, tuple)):
        for index, value in enumerate(node):
            yield from _tensors(value, f"{path}.{index}")


def check_changes(config: Config, checkpoint: Mapping[str, Any], path: str | Path, *, allowed: bool) -> None:
    """Compares a config that `prepare` completed with the one that a checkpoint was trained with.

    Args:
        config: of today.
        checkpoint: see `check_parts`.
        path: of the checkpoint.
        allowed: say what changed, and go on.

    Raises:
        UserInputError: another optimiser, schedule, batch size or other data; averages or schedules that the
            checkpoint lacks.
    """
    changes = [*_lacking(config, checkpoint), *_changed(config, checkpoint, path)]
    if not changes:
        return
    more = f" (and {len(changes) - 1} more)" if len(changes) > 1 else ""
    line = f"{path}: {changes[0]}{more}"
    if not allowed:
        raise UserInputError(
            f"{line}; resume with the config that it was trained with, or with --allow-changes of tools/train.py, or "
            "choose another --work-dir"
        )
    say(f"{line}; going on all the same", sys.stderr)


def _lacking(config: Config, checkpoint: Mapping[str, Any]) -> Iterator[str]:
    """What the config has and the checkpoint should have, but has not, and the other way round."""
    done = checkpoint["meta"]["iter"]
    hooks = [hook for hook in config.get("custom_hooks") or () if isinstance(hook, dict)]
    averages = any(str(hook.get("type")).endswith("EMAHook") for hook in hooks)
    if averages and not checkpoint.get("ema_state_dict"):
        yield "holds no averages of the weights (ema_state_dict), expected those that the config's EMAHook goes on from"
    if not averages and "ema_state_dict" in checkpoint:
        yield "holds averages of the weights (ema_state_dict), but the config has no EMAHook"
    begun = sum(part.get("begin", 0) < done for part in _schedule(config))
    saved = len(checkpoint.get("param_schedulers", []))
    if saved < begun:
        yield f"holds {saved} schedules (param_schedulers), expected the {begun} that the config has begun"


def _changed(config: Config, checkpoint: Mapping[str, Any], path: str | Path) -> Iterator[str]:
    text = checkpoint["meta"].get("cfg")
    if not isinstance(text, str):
        return
    try:
        then = read_assignments(text, path)
    except UserInputError:  # functions and classes of a user's own config
        say(f"{path}: its config is no plain text, so that nothing was compared with it", sys.stderr)
        return
    now = config.to_dict()
    before, after = _schedule(then), _schedule(now)
    # A training that ends earlier leaves out the schedules that it does not reach.
    end = min(_iterations(then), _iterations(now))
    before, after = ([part for part in parts if part.get("begin", 0) < end] for parts in (before, after))
    pairs = [("param_scheduler", before, after), *((key, then.get(key), now.get(key)) for key in _COMPARED)]
    for key, old, new in pairs:
        yield from _differences(_plain(old), _plain(new), key)


def _iterations(config: Mapping[str, Any]) -> int:
    return int((config.get("train_cfg") or {}).get("max_iters", 0))


def _schedule(config: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    schedule = config.get("param_scheduler") or []
    parts = schedule if isinstance(schedule, (list, tuple)) else [schedule]
    return [part for part in parts if isinstance(part, Mapping)]


def _plain(value: Any) -> Any:
    """Lists for tuples, and no keys that change no number."""
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items() if key not in _SAME_NUMBERS}
    return [_plain(item) for item in value] if isinstance(value, (list, tuple)) else value


def _differences(old: Any, new: Any, key: str) -> Iterator[str]:
    if isinstance(old, dict) and isinstance(new, dict):
        for name in dict.fromkeys((*old, *new)):
            yield from _differences(old.get(name), new.get(name), f"{key}.{name}")
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for index, (before, after) in enumerate(zip(old, new, strict=True)):
            yield from _differences(before, after, f"{key}.{index}")
    elif old != new:
        yield f"{key} was {old!r:.80}, now it is {new!r:.80}"

"""Settings of a training that would change it silently, or break it late: refused before anything is built."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Mapping
from typing import Any

from mmengine.config import Config

from backbones.errors import UserInputError
from backbones.schema import Check, is_number


def _whole(value: Any, least: int) -> bool:
    return is_number(value) and int(value) == value and value >= least


_FROM_0 = Check("a whole number of at least 0", lambda value: _whole(value, 0))
_FROM_1 = Check("a whole number of at least 1", lambda value: _whole(value, 1))
_FROM_1_OR_NONE = Check("a whole number of at least 1, or -1", lambda value: _whole(value, 1) or value == -1)
_NOT_NEGATIVE = Check("a finite number of at least 0", lambda value: is_number(value) and value >= 0)
_POSITIVE = Check("a number above 0", lambda value: isinstance(value, (int, float)) and value is not True and value > 0)
_SHARE = Check("a number from 0 to 1", lambda value: is_number(value) and 0 <= value <= 1)
_BELOW_1 = Check(
    "numbers from 0, all below 1",
    lambda value: isinstance(value, (list, tuple)) and all(is_number(one) and 0 <= one < 1 for one in value),
)
_SEED = Check("a whole number from 0 to 2**32 - 1", lambda value: isinstance(value, int) and 0 <= value < 1 << 32)
_LEVEL = Check(
    f"one of {', '.join(logging.getLevelNamesMapping())}",
    lambda value: value in logging.getLevelNamesMapping() or _whole(value, 0),
)

RULES: dict[str, Check] = {
    r"(train|val|test)_dataloader\.batch_size": _FROM_1,
    r"(train|val|test)_dataloader\.num_workers": _FROM_0,
    r"(train|val|test)_dataloader\.prefetch_factor": _FROM_1,
    r"(train|val|test)_dataloader\.timeout": _NOT_NEGATIVE,
    r"train_cfg\.(max_iters|val_interval)": _FROM_1,
    r"train_cfg\.val_begin": _FROM_0,
    r"optim_wrapper\.clip_grad\.(max_norm|clip_value)": _POSITIVE,
    r"optim_wrapper\.clip_grad": Check("a dictionary, such as dict(max_norm=35)", lambda value: False),
    r"optim_wrapper\.accumulative_counts": _FROM_1,
    r"optim_wrapper\.optimizer\.(lr|weight_decay|momentum|eps)": _NOT_NEGATIVE,
    r"optim_wrapper\.optimizer\.betas": _BELOW_1,
    r"param_scheduler(\.\d+)?\.begin": _FROM_0,
    r"param_scheduler(\.\d+)?\.(end|T_max|step_size|total_iters)": _FROM_1,
    r"default_hooks\.checkpoint\.max_keep_ckpts": _FROM_1_OR_NONE,
    r"default_hooks\.checkpoint\.save_begin": _FROM_0,
    r"(default_hooks|custom_hooks)\.\w+\.interval": _FROM_1_OR_NONE,
    r"custom_hooks\.\d+\.momentum": _SHARE,
    r"randomness\.seed": _SEED,
    r"log_level": _LEVEL,
}
"""What a key must be; None, where a config says it, means its default everywhere."""

_NEVER_NONE = r"optim_wrapper\.optimizer\.lr|train_cfg\.max_iters"
"""Keys that have no default."""

OWN_OPTIONS = {"work_dir": "--work-dir DIR", "resume": "--resume", "launcher": "--launcher pytorch"}
"""Keys that commands have an option of their own for, and set themselves."""


_DICTIONARIES = (
    *("model", "train_cfg", "val_cfg", "test_cfg", "optim_wrapper", "default_hooks", "randomness", "visualizer"),
    *("train_dataloader", "val_dataloader", "test_dataloader", "env_cfg", "log_processor"),
)
_ONE_OR_MORE = ("param_scheduler", "custom_hooks")


def check_kinds(config: Config) -> None:
    """Refuses a part of a config that is of another kind than all that read it take.

    Raises:
        UserInputError: names the key, what it is and what was expected.
    """
    for key in _DICTIONARIES:
        if not isinstance(config.get(key, {}), (Mapping, type(None))):
            raise UserInputError(f"config key {key}={config[key]!r:.80}: expected a dictionary, such as dict(...)")
    for key in _ONE_OR_MORE:
        parts = config.get(key) or ()
        parts = [parts] if isinstance(parts, Mapping) else parts
        if not isinstance(parts, (list, tuple)) or not all(isinstance(part, Mapping) for part in parts):
            raise UserInputError(f"config key {key}={config[key]!r:.80}: expected a list of dictionaries")
    for key in ("train_dataloader", "val_dataloader", "test_dataloader"):
        if "dataset" in (loader := config.get(key) or {}) and not isinstance(loader["dataset"], Mapping):
            raise UserInputError(f"config key {key}.dataset={loader['dataset']!r:.80}: expected a dictionary")
    if not isinstance(config.get("default_scope", ""), (str, type(None))):
        raise UserInputError(f"config key default_scope={config.default_scope!r}: expected a name, such as 'mmengine'")
    for split in ("val", "test"):
        keys = [f"{split}_{part}" for part in ("dataloader", "cfg", "evaluator")]
        missing = [key for key in keys if config.get(key) is None]
        if split == "test" and missing == keys[1:]:
            continue  # data without a test: enough to predict and to explain with; testing asks for the others itself
        if 0 < len(missing) < len(keys):
            raise UserInputError(f"config: has no {missing[0]!r}, expected all of {', '.join(keys)}, or none of them")


def check_settings(config: Config) -> None:
    """Compares a config's settings with `RULES`.

    Raises:
        UserInputError: names the first key that does not hold, what it is and what was expected.
    """
    for path, value in _values(config._cfg_dict, ""):
        for pattern, check in RULES.items():
            if value is None and not re.fullmatch(_NEVER_NONE, path):
                continue
            if re.fullmatch(pattern, path) and not check.fits(value):
                raise UserInputError(f"config key {path}={value!r}: expected {check.expected}")
    for name in ("train_dataloader", "val_dataloader", "test_dataloader"):
        loader = config.get(name) or {}
        for key, none in (("persistent_workers", False), ("prefetch_factor", None)):
            if loader.get(key) and not loader.get("num_workers"):
                raise UserInputError(
                    f"config key {name}.{key}={loader[key]!r}: expected {name}.num_workers of at least 1 with it, or "
                    f"`--cfg-options {name}.{key}={none}`"
                )


def check_own_options(options: Mapping[str, Any]) -> None:
    """Refuses `--cfg-options` that would be ignored, since the command has an option of its own for them."""
    for key in options:
        if key in OWN_OPTIONS:
            raise UserInputError(
                f"--cfg-options {key}: would be ignored, expected the command's own {OWN_OPTIONS[key]}"
            )


def _values(node: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Every value that a rule may be for and that is no dictionary, with its path; lists too, and what they hold."""
    if isinstance(node, Mapping):
        for key, value in node.items():
            if key not in ("model", "dataset"):  # whose keys are their classes' own
                yield from _values(value, f"{path}.{key}" if path else str(key))
        return
    yield path, node
    for index, value in enumerate(node if isinstance(node, (list, tuple)) else ()):
        yield from _values(value, f"{path}.{index}")

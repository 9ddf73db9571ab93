"""Reads a config, applies `--cfg-options`, and refuses keys that nothing would read."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import mmengine.registry as registries
import yaml
from mmengine.config import Config, DictAction
from mmengine.fileio.handlers import yaml_handler
from mmengine.registry import Registry
from mmengine.runner import LogProcessor, Runner, TestLoop, ValLoop
from torch import nn
from torch.utils.data import DataLoader

from backbones.errors import UserInputError, did_you_mean
from backbones.files import disk_full
from transfer.cli import Terminated
from transfer.engine.config_files import find_config
from transfer.engine.settings_check import check_kinds, check_own_options, check_settings

ROOTS = tuple(value for value in vars(registries).values() if isinstance(value, Registry))

# Keys that mmengine takes out of a config before it calls the class of `type`.
ALWAYS = frozenset({"type", "_scope_", "_delete_", "priority", "constructor", "paramwise_cfg", "convert_to_iter_based"})
LOADER = frozenset(
    {"dataset", "sampler", "batch_sampler", "collate_fn", "worker_init_fn", "num_batch_per_epoch"}
    | {"disable_subprocess_warning"}
)
HOOKS = frozenset({"runtime_info", "timer", "sampler_seed", "logger", "param_scheduler", "checkpoint", "visualization"})
TOP = frozenset(
    {"custom_imports", "model_wrapper_cfg", "find_unused_parameters", "activation_checkpointing", "sync_bn", "compile"}
    | {"efficient_conv_bn_eval"}
)

MOST_KEYS = 3
"""How many keys with the same last part are offered where an option is unknown."""


def load_config(path: str | Path, options: Iterable[str] = ()) -> Config:
    """Reads a config, a file or one of ours by name (see `find_config`), and applies `key=value` options.

    Raises:
        UserInputError: no such file (with close matches), a file that cannot be read, an unknown key, a setting that
            no training can have (`settings_check.RULES`).
    """
    config = read_config(find_config(path), path)
    given = parse_options(options)
    check_own_options(given)
    apply_options(config, given)
    if "model" not in config:
        raise UserInputError(f"config {path}: has no 'model', expected a model, data loaders and a schedule")
    check_kinds(config)
    check_types(config, scope_of(config))
    check_settings(config)
    return config


def read_config(file: Path, name: str | Path) -> Config:
    """What a config file holds. A `.py` file is code, and is run; `.yaml` and `.json` are data, and run nothing.

    Args:
        file: to read.
        name: of it, as the user typed it.

    Raises:
        UserInputError: it cannot be read, or ends the program.
    """
    yaml_handler.Loader = yaml.SafeLoader  # mmengine's own makes any Python object, and calls what it names
    try:
        return Config.fromfile(str(file))
    except (UserInputError, KeyboardInterrupt, Terminated):
        raise
    except OSError as error:
        if disk_full(error):
            raise  # of the copy that mmengine makes: the disk is to blame
        raise UserInputError(
            f"config {name}: cannot be read: {_first_line(error)}; expected a .py, .yaml or .json file, and its bases; "
            "correct its path"
        ) from error
    except ImportError as error:
        raise UserInputError(
            f"config {name}: its custom_imports or _base_ cannot be imported: {_first_line(error)}; "
            "install it, or correct its name"
        ) from error
    except BaseException as error:  # `raise SystemExit(0)` too
        raise UserInputError(
            f"config {name}: cannot be read: {type(error).__name__}: {_first_line(error)}; expected Python "
            "assignments, see configs/"
        ) from error


def _first_line(error: BaseException) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)


def parse_options(options: Iterable[str]) -> dict[str, Any]:
    """Reads `key=value` texts the way mmengine's `DictAction` does.

    >>> parse_options(["train_cfg.max_iters=5", "model.strides=(1,2)"])
    {'train_cfg.max_iters': 5, 'model.strides': (1, 2)}
    """
    parsed = {}
    for option in options:
        key, equals, value = option.partition("=")
        if not equals or not key:
            raise UserInputError(f"--cfg-options {option!r}: expected KEY=VALUE, such as train_cfg.max_iters=100")
        try:
            parsed[key] = DictAction._parse_iterable(value)
        except AssertionError:
            raise UserInputError(
                f"--cfg-options {option!r}: brackets are not balanced, expected as many closing ones"
            ) from None
    return parsed


def apply_options(config: Config, options: Mapping[str, Any]) -> None:
    """Checks each dotted key against the config and the signatures that it names, then sets it."""
    for key, value in options.items():
        _check_option(config, key, value)
        try:
            config.merge_from_dict({key: value}, allow_list_keys=True)
        except (KeyError, TypeError, IndexError) as error:
            raise UserInputError(f"--cfg-options {key}: cannot be set: {error}") from error


def _check_option(config: Config, key: str, value: Any) -> None:
    node: Any = config._cfg_dict
    done: list[str] = []
    for part in key.split("."):
        if isinstance(node, (list, tuple)):
            if not part.isdigit() or int(part) >= len(node):
                where, last = ".".join(done), len(node) - 1
                raise UserInputError(f"--cfg-options {key}: {where} is a list, expected a number from 0 to {last}")
            node = node[int(part)]
        elif not isinstance(node, Mapping):
            raise UserInputError(f"--cfg-options {key}: {'.'.join(done)} is {node!r}, expected nothing below it")
        elif part in node:
            node = node[part]
        else:
            known = known_keys(node, tuple(done), scope_of(config))
            if known is not None and part not in known:
                where = ".".join(done) or "the config"
                suggestion = did_you_mean(part, known) or _same_last_part(config, key)
                some = "" if suggestion else f"; it knows {', '.join(sorted(known)[:12]) or 'no key'}"
                raise UserInputError(f"--cfg-options {key}: {where} has no key {part!r}{some}.{suggestion}")
            return
        done.append(part)
    _check_kind(key, node, value)


def _same_last_part(config: Config, key: str) -> str:
    """`" Did you mean 'train_cfg.max_iters'?"` for `max_iters`: keys of the config that end as `key` does."""
    last = key.rpartition(".")[2]
    found = [path for path in _paths(config._cfg_dict) if path.rpartition(".")[2] == last]
    return f" Did you mean {' or '.join(repr(path) for path in found[:MOST_KEYS])}?" if found else ""


def _paths(node: Any, above: str = "") -> Iterator[str]:
    """Every key of a config, with what it is below."""
    items = node.items() if isinstance(node, Mapping) else enumerate(node) if isinstance(node, (list, tuple)) else ()
    for key, value in items:
        path = f"{above}.{key}" if above else str(key)
        yield path
        yield from _paths(value, path)


def _check_kind(key: str, old: Any, new: Any) -> None:
    if isinstance(old, bool):
        fits = isinstance(new, bool) or new is None
    elif isinstance(old, (int, float)):
        fits = not isinstance(new, (str, bool))
    elif isinstance(old, Mapping):
        fits = new is None or isinstance(new, Mapping)
    else:
        fits = True
    if not fits:
        raise UserInputError(f"--cfg-options {key}={new!r}: the config has {old!r}, expected a value of that kind")


def scope_of(config: Config) -> str:
    """The registry scope in which the config's names are looked up."""
    return config.get("default_scope") or "mmengine"


def resolve(name: Any, scope: str) -> list[Callable[..., Any]]:
    """All classes and functions that `type=name` may mean, over all registries."""
    if not isinstance(name, str):
        return [name] if callable(name) else []
    found = []
    if scope != "mmengine":
        with suppress(ImportError):
            importlib.import_module(f"{scope}.registry")  # where an OpenMMLab package keeps its registries
    for root in ROOTS:
        target = root.children.get(scope, root).get(name)
        if target is not None and target not in found:
            found.append(target)
    return found


def known_keys(node: Mapping[str, Any], path: tuple[str, ...], scope: str) -> set[str] | None:
    """Keys that the config node at `path` may have; None where anything goes."""
    own = set(node)
    if path and path[-1].endswith("_cfg") and len(path) > 1:
        return None  # norm_cfg, init_cfg, dist_cfg: their readers take what they like
    if "type" in node:
        accepted = [signature_keys(target) for target in resolve(node["type"], scope)]
        return None if None in accepted else own.union(ALWAYS, *(keys for keys in accepted if keys is not None))
    if path and path[-1] in ("custom_keys", "compile"):
        return None
    builtin = {
        (): lambda: (signature_keys(Runner) or set()) | TOP,
        ("train_dataloader",): lambda: (signature_keys(DataLoader) or set()) | LOADER,
        ("val_dataloader",): lambda: (signature_keys(DataLoader) or set()) | LOADER,
        ("test_dataloader",): lambda: (signature_keys(DataLoader) or set()) | LOADER,
        ("val_cfg",): lambda: signature_keys(ValLoop) or set(),
        ("test_cfg",): lambda: signature_keys(TestLoop) or set(),
        ("log_processor",): lambda: signature_keys(LogProcessor) or set(),
        ("randomness",): lambda: {"seed", "diff_rank_seed", "deterministic"},
        ("env_cfg",): lambda: {"cudnn_benchmark", "mp_cfg", "dist_cfg", "resource_limit"},
        ("env_cfg", "mp_cfg"): lambda: {"mp_start_method", "opencv_num_threads"},
        ("auto_scale_lr",): lambda: {"enable", "base_batch_size"},
        ("default_hooks",): lambda: set(HOOKS),
        ("optim_wrapper",): lambda: {"type", "optimizer", "clip_grad", "accumulative_counts"} | ALWAYS,
    }.get(path)
    return own if builtin is None else own | builtin()


def signature_keys(target: Any) -> set[str] | None:
    """Names of the arguments that `target` takes, those handed on to base classes included; None: it takes any."""
    if not inspect.isclass(target):
        parameters = inspect.signature(target).parameters.values()
        open_ended = any(p.kind is p.VAR_KEYWORD for p in parameters)
        return None if open_ended else {p.name for p in parameters}
    keys: set[str] = set()
    for base in target.__mro__:
        init = vars(base).get("__init__")
        if base in (object, nn.Module) or init is None:
            continue
        keys |= _named(init)
        kinds = [p.kind for p in inspect.signature(init).parameters.values()]
        if inspect.Parameter.VAR_KEYWORD not in kinds:
            return keys
    return None


def _named(function: Callable[..., Any]) -> set[str]:
    parameters = inspect.signature(function).parameters.values()
    return {p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)} - {"self"}


def check_types(node: Any, scope: str, path: tuple[str, ...] = ()) -> None:
    """Walks the whole config: every `type` must be registered, and its class must take the keys beside it."""
    if isinstance(node, Config):
        node = node._cfg_dict
    if isinstance(node, (list, tuple)):
        for index, item in enumerate(node):
            check_types(item, scope, (*path, str(index)))
        return
    if not isinstance(node, Mapping):
        return
    if isinstance(node.get("type"), str):
        _check_type(node, scope, path)
    for key, value in node.items():
        # The parts of norm_cfg and the like are read by functions of their own, not by the class of their type.
        if not (isinstance(key, str) and key.endswith("_cfg") and path):
            check_types(value, scope, (*path, str(key)))


def _check_type(node: Mapping[str, Any], scope: str, path: tuple[str, ...]) -> None:
    where, name = ".".join(path), node["type"]
    if path and path[-1].endswith("_cfg") and path[-1] not in ("train_cfg", "val_cfg", "test_cfg"):
        return
    targets = resolve(name, scope)
    if not targets:
        names = {
            key for root in ROOTS for registry in (root, root.children.get(scope, root)) for key in registry.module_dict
        }
        raise UserInputError(
            f"config key {where}: type={name!r} is unknown, expected a registered name; does custom_imports name its "
            f"module?{did_you_mean(name, names)}"
        )
    accepted = [signature_keys(target) for target in targets]
    if None in accepted:
        return
    known = ALWAYS.union(*(keys for keys in accepted if keys is not None))
    for key in node:
        if key not in known:
            raise UserInputError(f"config key {where}.{key}: {name} does not take it.{did_you_mean(key, known)}")

"""The config that a checkpoint or the card of a model holds: plain values, from which nothing is run.

Files from elsewhere bring their config along. It is read as data, its `custom_imports` are left alone, and what
mmengine would import or unpickle on its behalf is refused.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mmengine.config import Config

from backbones.errors import UserInputError
from backbones.literals import read_assignments
from transfer.engine.config_check import check_types, scope_of

SCOPES = ("mmengine", "mmseg")
"""Packages whose registries a stored config may name; mmengine imports whatever stands there."""

_TYPE = re.compile(rf"(({'|'.join(SCOPES)})\.)?[A-Za-z_]\w*")
_RUNS_WHEN_READ = (".pkl", ".pickle", ".yaml", ".yml")
_OF_A_RUN = ("work_dir", "launcher", "load_from", "resume", "experiment_name")


def config_text(config: Config) -> str:
    """A config as text of plain assignments, without what belongs to one run of it, such as `work_dir`.

    Raises:
        UserInputError: it holds what is no plain value, such as a class or a function.
    """
    values = {key: value for key, value in config.to_dict().items() if key not in _OF_A_RUN}
    text = Config(values).pretty_text
    if read_assignments(text, f"config {config.filename}") != values:
        raise UserInputError(f"config {config.filename}: does not come back from its own text, expected plain values")
    return text


def config_from_text(text: str, where: str | Path) -> Config:
    """The config that `config_text` or mmengine wrote; `where` it stands becomes its `filename`.

    Raises:
        UserInputError: no plain values, or values that would make mmengine run something.
    """
    values = read_assignments(text, where)
    for line in _dangers(values, ""):
        raise UserInputError(f"{where}: {line}")
    if not isinstance(values.get("model"), dict):
        raise UserInputError(f"{where}: its config has no 'model', expected a whole config")
    return Config(values, cfg_text=text, filename=str(where))


def config_of_checkpoint(meta: Mapping[str, Any], path: str | Path) -> Config:
    """The config that mmengine put into a checkpoint's `meta`.

    Raises:
        UserInputError: there is none, or none that is plain.
    """
    text = meta.get("cfg")
    if not isinstance(text, str):
        raise UserInputError(f"{path}: holds no config; give the config of its training too")
    return config_from_text(text, path)


def _dangers(node: Any, key: str) -> Iterator[str]:
    if isinstance(node, Mapping):
        kind = node.get("type")
        if isinstance(kind, str) and not _TYPE.fullmatch(kind):
            yield f"config key {key}.type={kind!r}: expected a registered name; a stored config imports nothing"
        for name in ("_scope_", "default_scope"):
            if node.get(name) not in (None, *SCOPES):
                yield f"config key {key}.{name}={node[name]!r}: expected one of {', '.join(SCOPES)}"
        for name, value in node.items():
            yield from _dangers(value, f"{key}.{name}" if key else str(name))
    elif isinstance(node, (list, tuple)):
        for index, value in enumerate(node):
            yield from _dangers(value, f"{key}.{index}")
    elif isinstance(node, str) and node.lower().endswith(_RUNS_WHEN_READ):
        yield f"config key {key}={node!r}: a file that can run code when it is read, expected none in a stored config"


def check_known(config: Config) -> None:
    """Compares a stored config's model with the registries, once its task is imported.

    Raises:
        UserInputError: a class that nothing has registered (it says which imports are left to the user), or a key
            that its class does not take.
    """
    imports = (config.get("custom_imports") or {}).get("imports") or ()
    left = [name for name in ([imports] if isinstance(imports, str) else imports) if name not in sys.modules]
    try:
        check_types(config.model, scope_of(config), ("model",))
    except UserInputError as error:
        mend = f"; its config imports {', '.join(left)}, which a stored one does not: give CONFIG too" if left else ""
        raise UserInputError(f"{config.filename}: {error}{mend}") from None

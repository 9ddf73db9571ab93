"""Checkpoints: tensors and plain values only, written in one step, compared strictly when they are read."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.dist import is_main_process
from mmengine.fileio import register_backend
from mmengine.fileio.backends import LocalBackend
from mmengine.hooks import CheckpointHook
from mmengine.logging import HistoryBuffer
from mmengine.model import BaseTTAModel, is_model_wrapper
from mmengine.registry import HOOKS

from backbones.errors import UserInputError
from backbones.integrity import remove_with_hash, write_with_hash
from backbones.weights import unsound
from transfer.engine.backbone import registered_backbones
from transfer.engine.compat import say_unhashed

# Log histories beyond this many entries are not kept: no smoothing window looks further back.
HISTORY = 10_000


class AtomicBackend(LocalBackend):
    """mmengine's local files, written in one step, with a SHA-256 beside (`backend_args=dict(backend="atomic")`)."""

    def put(self, obj: bytes, filepath: str | Path) -> None:
        write_with_hash(filepath, obj)

    def put_text(self, obj: str, filepath: str | Path, encoding: str = "utf-8") -> None:
        write_with_hash(filepath, obj.encode(encoding))

    def remove(self, filepath: str | Path) -> None:
        remove_with_hash(filepath)


register_backend("atomic", AtomicBackend, force=True)


def plain(value: Any, where: str = "checkpoint") -> Any:
    """Returns `value` made of tensors, dicts, lists, tuples, strings, numbers and None only.

    Raises:
        TypeError: names the place and the type of what cannot be written so.
    """
    if value is None or isinstance(value, (torch.Tensor, torch.dtype)) or type(value) in (str, int, float, bool, bytes):
        return value
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return torch.from_numpy(np.array(value))
    if isinstance(value, HistoryBuffer):
        log, count = (torch.from_numpy(np.asarray(x, dtype=np.float64)[-HISTORY:].copy()) for x in value.data)
        return {"log_history": log, "count_history": count, "max_length": value.max_length}
    if isinstance(value, Mapping):
        return {plain(k, where): plain(v, f"{where}.{k}") for k, v in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        items = [plain(item, f"{where}[{i}]") for i, item in enumerate(value)]
        return tuple(items) if isinstance(value, tuple) else items
    if isinstance(value, (str, Path)):
        return str(value)
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return float(value)
    raise TypeError(f"{where}: {type(value).__name__} is neither a tensor nor a plain value")


def plain_message_hub(state: Mapping[str, Any], warn: Any = None) -> dict[str, Any]:
    """The message hub's state in plain values; runtime entries that are not plain are left out, through `warn`."""
    kept: dict[str, Any] = {}
    for key, value in state["runtime_info"].items():
        try:
            kept[key] = plain(value, f"message_hub.{key}")
        except TypeError as error:
            if warn is not None:
                warn(f"left out of the checkpoint: {error}")
    scalars = plain(state["log_scalars"], "message_hub")
    known = {key: bool(value) for key, value in state["resumed_keys"].items() if key in kept or key in scalars}
    return {"log_scalars": scalars, "runtime_info": kept, "resumed_keys": known}


def restore_message_hub(state: dict[str, Any]) -> dict[str, Any]:
    """The opposite of `plain_message_hub`, in place."""
    for key, value in state["log_scalars"].items():
        if isinstance(value, Mapping):
            state["log_scalars"][key] = HistoryBuffer(
                value["log_history"].cpu().numpy(), value["count_history"].cpu().numpy(), value["max_length"]
            )
    return state


def bare(model: torch.nn.Module) -> torch.nn.Module:
    """The model itself, out of its wrappers for several processes and for test-time augmentation."""
    while is_model_wrapper(model) or isinstance(model, BaseTTAModel):
        model = model.get_submodule("module")
    return model


def backbone_meta(model: torch.nn.Module) -> dict[str, Any]:
    """What a checkpoint says about its backbone: name, scheme, where its weights came from. Empty without one."""
    for net in registered_backbones(bare(model)):
        return {"backbone": net.card.name, "scheme": None if net.supernet else str(net.scheme), "init": net.init}
    return {}


def check_same_model(model: torch.nn.Module, checkpoint: Mapping[str, Any], path: str | Path) -> dict[str, Any]:
    """Compares a checkpoint with the model that is to take it; returns its state dict.

    Raises:
        UserInputError: another connection scheme, other keys or other shapes: it is a checkpoint of another model.
            Or weights that are not finite, or no floating-point numbers.
    """
    state = {re.sub(r"^module\.", "", str(key)): v for key, v in checkpoint.get("state_dict", checkpoint).items()}
    mine, theirs = backbone_meta(model), checkpoint.get("meta", {})
    expected = bare(model).state_dict()
    if mine.get("scheme") and theirs.get("scheme") and mine["scheme"] != theirs["scheme"]:
        difference = f"connection scheme {theirs['scheme']} instead of {mine['scheme']}"
    else:
        difference = _difference(expected, state)
    if difference:
        whose = f" of backbone {theirs['backbone']!r}" if theirs.get("backbone") else ""
        wanted = f" (backbone {mine['backbone']!r})" if mine.get("backbone") else ""
        raise UserInputError(
            f"{path}: a checkpoint{whose} that does not fit the config's model{wanted}: {difference}; "
            "use the config that it was trained with"
        )
    for key, tensor in expected.items():
        if reason := unsound(key, state[key], tensor):
            raise UserInputError(f"{path}: weights that cannot be used: {reason}; take another checkpoint")
    say_unhashed(path)
    return state


def _difference(expected: Mapping[str, torch.Tensor], found: Mapping[str, Any]) -> str:
    missing, extra = [k for k in expected if k not in found], [k for k in found if k not in expected]
    other = [k for k in expected if k in found and _shape(found[k]) != _shape(expected[k])]
    parts = [
        f"{len(keys)} {what} (such as {keys[0]})"
        for keys, what in ((missing, "keys missing"), (extra, "not known"))
        if keys
    ]
    if other:
        shapes = f"{_shape(found[other[0]])} instead of {_shape(expected[other[0]])}"
        parts.append(f"{len(other)} of another shape (such as {other[0]}: {shapes})")
    return ", ".join(parts)


def _shape(value: Any) -> tuple[int, ...] | str:
    return tuple(value.shape) if isinstance(value, torch.Tensor) else f"a {type(value).__name__}"


def newest_checkpoint(work_dir: str | Path) -> Path | None:
    """The checkpoint to continue from: what `last_checkpoint` names, else the one with the most iterations."""
    folder = Path(work_dir)
    with suppress(OSError, ValueError):  # binary
        named = folder / Path((folder / "last_checkpoint").read_text().strip()).name
        if named.is_file() and named.suffix == ".pth":
            return named
    saved = [(int(m[1]), p) for p in folder.glob("iter_*.pth") if (m := re.fullmatch(r"iter_(\d+)\.pth", p.name))]
    return max(saved)[1] if saved else None


class _RemovingLater:
    """A file backend that only notes what is to be removed."""

    def __init__(self, backend: Any, noted: list[str]) -> None:
        self._backend, self._noted = backend, noted

    def __getattr__(self, name: str) -> Any:
        return getattr(self._backend, name)

    def remove(self, path: str) -> None:
        self._noted.append(str(path))


@HOOKS.register_module()
class PlainCheckpointHook(CheckpointHook):
    """`CheckpointHook` whose files `torch.load(weights_only=True)` reads, written atomically; counts iterations.

    An outdated checkpoint is removed only after its successor is on disk, so that a full disk leaves one.

    Args:
        interval: iterations between checkpoints; -1 only at the end.
        max_keep_ckpts: how many of them to keep, -1 all.
        save_last: also after the last iteration.
        save_best: validation metric by which the best checkpoint is kept, as `best_<metric>_iter_<n>.pth`.
        rule: `"less"` or `"greater"` is better.
        save_begin: first iteration to save at.
        out_dir: another folder than the work directory.
    """

    def __init__(
        self,
        interval: int = -1,
        max_keep_ckpts: int = -1,
        save_last: bool = True,
        save_best: str | list[str] | None = None,
        rule: str | list[str] | None = None,
        save_begin: int = 0,
        out_dir: str | None = None,
    ) -> None:
        super().__init__(
            interval=interval,
            by_epoch=False,
            out_dir=out_dir,
            max_keep_ckpts=max_keep_ckpts,
            save_last=save_last,
            save_best=save_best,
            rule=rule,
            save_begin=save_begin,
            backend_args={"backend": "atomic"},
        )

    def before_save_checkpoint(self, runner: Any, checkpoint: dict[str, Any]) -> None:
        """Makes everything plain, after all other hooks have had their say, and adds what a result must know."""
        meta = checkpoint["meta"]
        meta.update(backbone_meta(runner.model))
        checkpoint["sampler"] = {"position": runner.train_loop.position_at(meta["iter"])}
        checkpoint["message_hub"] = plain_message_hub(checkpoint["message_hub"], runner.logger.warning)
        for key in [key for key in checkpoint if key != "message_hub"]:
            checkpoint[key] = plain(checkpoint[key], key)

    def after_load_checkpoint(self, runner: Any, checkpoint: dict[str, Any]) -> None:
        """Gives the message hub its histories back."""
        if "message_hub" in checkpoint:
            restore_message_hub(checkpoint["message_hub"])

    def save_now(self, runner: Any) -> str:
        """Saves between two iterations, unless that iteration is saved already; returns the path."""
        path = self.file_backend.join_path(self.out_dir, self.filename_tmpl.format(runner.iter))
        if self.last_ckpt != path:
            self._save_checkpoint_with_step(runner, runner.iter, {"epoch": runner.epoch, "iter": runner.iter})
        return path

    def _save_checkpoint_with_step(self, runner: Any, step: int, meta: dict[str, Any]) -> None:
        with self._removing_afterwards():
            super()._save_checkpoint_with_step(runner, step, meta)

    def _save_best_checkpoint(self, runner: Any, metrics: dict[str, Any]) -> None:
        runner.message_hub.update_info("validated_at", runner.iter)
        unknown = [key for key in self.save_best or () if key not in metrics and key != "auto"]
        if unknown:
            raise UserInputError(
                f"default_hooks.checkpoint.save_best={unknown[0]!r}: validation gives {', '.join(metrics)}"
            )
        with self._removing_afterwards():
            super()._save_best_checkpoint(runner, metrics)

    @contextmanager
    def _removing_afterwards(self) -> Iterator[None]:
        noted: list[str] = []
        backend: Any = self.file_backend
        self.file_backend: Any = _RemovingLater(backend, noted)
        try:
            yield
        finally:
            self.file_backend = backend
        current = {str(self.last_ckpt), str(getattr(self, "best_ckpt_path", None))}
        for path in noted:
            if path not in current and is_main_process() and backend.isfile(path):
                backend.remove(path)

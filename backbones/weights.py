"""Weights in and out: safe reading, a strict comparison with the network, and a report of every tensor's fate."""

from __future__ import annotations

import json
import pickle
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from backbones.errors import RunError, UserInputError
from backbones.fetch import find_trunk_weights as find_trunk_weights
from backbones.files import atomic_path
from backbones.files import sha256_file as sha256_file
from backbones.integrity import check_whole
from backbones.key_mapping import match_conv_biases, own_keys
from backbones.reading import COPY_AGAIN, reading
from backbones.resnet import AttentionResNet
from backbones.trunk import Trunk
from backbones.widths import WidthPlan

INITS = ("trunk", "full")
_NESTED = ("state_dict", "model")
_SHOWN = 4
_HEADER = "meta"


class Mismatch(NamedTuple):
    """A tensor whose shape in the file is not the network's."""

    key: str
    found: tuple[int, ...]
    expected: tuple[int, ...]

    def __str__(self) -> str:
        return f"{self.key} {self.found} instead of {self.expected}"


@dataclass(frozen=True)
class LoadReport:
    """What became of every tensor of the file and of the network; `str()` prints it.

    Attributes:
        source: the file, or `a state dict`.
        init: `"trunk"` or `"full"`.
        loaded: keys that the network took.
        missing: keys that the file lacks (a classifier, counters of batch normalisation); they stay as they were.
        unexpected: keys of the file that are no part of such a network.
        not_needed: keys of the file for stages, SAMs or a classifier that this network does not have, or a task's head.
        mismatched: keys of another shape (a classifier of other classes); they stay as they were.
        fresh: SAM keys that keep their initial values, as `trunk` says.
        notes: exact conversions that were made on the way.
    """

    source: str
    init: str
    loaded: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    unexpected: tuple[str, ...] = ()
    not_needed: tuple[str, ...] = ()
    mismatched: tuple[Mismatch, ...] = ()
    fresh: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def clean(self) -> bool:
        """Nothing is missing, unexpected or mismatched."""
        return not (self.missing or self.unexpected or self.mismatched)

    def __str__(self) -> str:
        lines = [f"{len(self.loaded)} tensors loaded from {self.source} (init={self.init})"]
        for name in ("missing", "unexpected", "not_needed", "mismatched", "fresh"):
            if keys := getattr(self, name):
                more = f", ... {len(keys) - _SHOWN} more" if len(keys) > _SHOWN else ""
                lines.append(f"  {name.replace('_', ' ')}: {len(keys)} ({', '.join(map(str, keys[:_SHOWN]))}{more})")
        return "\n".join([*lines, *(f"  {note}" for note in self.notes)])


def read_checkpoint(path: str | Path) -> dict[str, Tensor]:
    """Reads a file's state dict onto the CPU, without ever running what it holds.

    `.safetensors`, or what `torch.save` wrote: a state dict, or a checkpoint that holds one as `state_dict` or `model`.

    Raises:
        UserInputError: no such file, not a weights file, a damaged one, or one that holds objects beside tensors and
            plain values.
    """
    path = Path(path)
    if not path.is_file():
        raise UserInputError(f"{path}: no such file, expected weights (.safetensors or .pth)")
    if path.suffix == ".safetensors":
        return _read_safetensors(path)
    check_whole(path)
    with reading(path, "weights (.safetensors or .pth)"):
        try:
            content = torch.load(path, map_location="cpu", weights_only=True)
        except pickle.UnpicklingError as error:
            named = re.search(r"GLOBAL (\S+)", str(error))
            raise UserInputError(
                f"{path}: is no weights file, or holds {named[1] if named else 'something'} beside tensors and plain "
                "values; it was not opened, save its state dict alone"
            ) from None
    return state_dict_of(content, str(path))


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return state_dict_of(load_file(path, device="cpu"), str(path))
    except SafetensorError as error:
        raise UserInputError(
            f"{path}: not a safetensors file: {_first_line(error)}; expected a whole one, {COPY_AGAIN}"
        ) from None


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n")[0]


def state_dict_of(content: Any, source: str = "a state dict") -> dict[str, Tensor]:
    """The tensors of a state dict, or of the checkpoint around it."""
    for key in _NESTED:
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
            break
    tensors = {k: v for k, v in content.items() if isinstance(v, Tensor)} if isinstance(content, Mapping) else {}
    if not tensors:
        raise UserInputError(f"{source}: holds no tensors by name, expected a state dict; take another file")
    return tensors


def unsound(key: str, found: Any, expected: Tensor) -> str:
    """What keeps a value from taking the place of a tensor of the same shape, in words; empty where nothing does.

    Any precision may take the place of any other, where it stays finite.
    """
    if not isinstance(found, Tensor) or found.is_meta or found.layout != torch.strided or found.is_quantized:
        return f"{key!r} is no plain tensor, expected one that holds its numbers"
    if key.endswith("num_batches_tracked"):  # counts, and changes no output
        return ""
    if _kind(found.dtype) != _kind(expected.dtype):
        return f"{key!r} is of {str(found.dtype)[6:]}, expected {str(expected.dtype)[6:]}"
    if found.is_floating_point() and not bool(found.to(expected.dtype).isfinite().all()):
        return f"{key!r} holds numbers that are not finite, expected finite ones"
    return ""


def _kind(dtype: torch.dtype) -> str:
    if dtype.is_complex:
        return "complex"
    return "floating" if dtype.is_floating_point else "bool" if dtype == torch.bool else "integer"


def read_header(path: str | Path) -> dict[str, Any]:
    """What `save_safetensors` wrote beside the tensors; raises `UserInputError` where that is not readable."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            said = json.loads((file.metadata() or {}).get(_HEADER, "{}"))
    except (SafetensorError, ValueError, RecursionError) as error:
        raise UserInputError(f"{path}: header cannot be read: {_first_line(error)}; get the file again") from None
    if not isinstance(said, dict):
        raise UserInputError(f"{path}: header holds {said!r:.80}, expected an object; get the file again")
    return said


def save_safetensors(state: Mapping[str, Tensor], path: str | Path, header: Mapping[str, Any] | None = None) -> None:
    """Writes tensors as safetensors, atomically; the same tensors give the same bytes.

    Args:
        state: the tensors by name.
        path: of the file.
        header: plain values that JSON can hold, which `read_header` gives back.

    Raises:
        RunError: the file cannot be written, for want of room for example; nothing of it is left.
    """
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    tensors = {key: state[key].detach().cpu().contiguous().clone() for key in sorted(state)}
    try:
        with atomic_path(path) as temporary:
            save_file(tensors, temporary, metadata={_HEADER: json.dumps(header, sort_keys=True)} if header else None)
    except OSError as error:
        raise RunError(
            f"{path}: cannot be written: {error.strerror or error}; make room there, or choose another folder"
        ) from error
    except SafetensorError as error:  # what its writer makes of a full disk
        raise RunError(
            f"{path}: cannot be written: {_first_line(error)}; make room there, or choose another folder"
        ) from error


def check_finite(state: Mapping[str, Tensor], source: str) -> None:
    """Raises `UserInputError` where a tensor holds NaN or infinity; `source` is where they are from."""
    for key, tensor in state.items():
        if not bool(tensor.isfinite().all()):
            raise UserInputError(f"{source}: {key!r} holds numbers that are not finite; take other weights")


def check_full_widths(model: Trunk) -> None:
    """Raises `UserInputError` where a network has pruned widths, so that no trunk's file fits it."""
    if model.widths != WidthPlan.full(model.arch.inner):
        raise UserInputError(
            f"init='trunk': the trunk of {model.arch.name} has its full widths, and this network those of "
            f"{model.widths.short}; take init='full' where its card has weights, or init='scratch'"
        )


def load_weights(model: Trunk, source: str | Path | Mapping[str, Any], *, init: str) -> LoadReport:
    """Loads weights into `model`; either all that belong there, or none and an error.

    Args:
        model: the network, in any mode.
        source: a file, a state dict, or a checkpoint that holds one.
        init: `"trunk"`: the trunk from a ResNet's file, the SAMs keep their initial values; `"full"`: trunk and SAMs.
            A classifier is loaded where both have one of the same size.

    Returns:
        What became of every tensor.

    Raises:
        UserInputError: not a weights file, the weights of another architecture, attention or sharing, or weights that
            are not finite or no floating-point numbers.
    """
    if init not in INITS:
        raise UserInputError(f"init={init!r} loads no weights, expected one of {', '.join(map(repr, INITS))}")
    if init == "trunk":
        check_full_widths(model)
    if isinstance(source, (str, Path)):
        name, raw = str(source), read_checkpoint(source)
    else:
        name, raw = "a state dict", state_dict_of(source)
    state, foreign = own_keys(raw)
    own = model.state_dict()
    notes = match_conv_biases(state, own) if model.norm_follows_conv else []
    comparison = _compare(model, own, state, init)
    comparison.wrong += filter(None, (unsound(key, state[key], own[key]) for key in comparison.loaded))
    if comparison.wrong:
        raise UserInputError(
            f"{name}: not weights of {_described(model)} (init={init}): {comparison.difference()}; take its own"
        )
    with torch.no_grad():
        model.load_state_dict({**own, **{key: state[key] for key in comparison.loaded}})
    return LoadReport(
        name,
        init,
        loaded=tuple(comparison.loaded),
        missing=tuple(comparison.missing),
        unexpected=tuple(comparison.unexpected),
        not_needed=(*comparison.not_needed, *foreign),
        mismatched=tuple(comparison.mismatched),
        fresh=tuple(comparison.fresh),
        notes=tuple(notes),
    )


@dataclass
class _Comparison:
    loaded: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    unexpected: list[str] = field(default_factory=list)
    not_needed: list[str] = field(default_factory=list)
    mismatched: list[Mismatch] = field(default_factory=list)
    fresh: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    def difference(self) -> str:
        """The first difference in words, and how many there are."""
        more = f" (and {len(self.wrong) - 1} more)" if len(self.wrong) > 1 else ""
        return self.wrong[0] + more


def _compare(model: Trunk, own: Mapping[str, Tensor], state: Mapping[str, Tensor], init: str) -> _Comparison:
    result = _Comparison()
    for key, tensor in own.items():
        if init == "trunk" and key.startswith("attention."):
            result.fresh.append(key)
        elif key not in state:
            result.missing.append(key)
            if not key.startswith(model.head_prefixes) and not key.endswith("num_batches_tracked"):
                result.wrong.append(f"{key!r} is missing, expected all of its tensors")
        elif state[key].shape != tensor.shape:
            result.mismatched.append(Mismatch(key, tuple(state[key].shape), tuple(tensor.shape)))
            if not key.startswith(model.head_prefixes):
                result.wrong.append(f"{key!r} has shape {tuple(state[key].shape)}, expected {tuple(tensor.shape)}")
        else:
            result.loaded.append(key)
    for key in state:
        if key in own and key not in result.fresh:
            continue
        if key in result.fresh or _not_needed(model, key, init):
            result.not_needed.append(key)
        else:
            result.unexpected.append(key)
            if re.match(r"(layer\d+|attention|conv1|bn1|fc|last)\.", key):
                result.wrong.append(f"{key!r} has no place in it, expected its own tensors only")
    return result


def _not_needed(model: Trunk, key: str, init: str) -> bool:
    """Whether the network leaves out this part of itself: later stages, the classifier, SAMs that it does not reach."""
    if key.startswith(model.head_prefixes):
        return not model.num_classes
    match = re.match(r"(attention\.)?layer(\d+)\.(?:(\d+)\.)?", key)
    if match is None or not 1 <= int(match[2]) <= len(model.arch.depths):
        return False
    stage = int(match[2]) - 1
    if match[1] is None:
        return stage >= model.stages_built
    if init == "trunk" or stage >= model.stages_built:
        return True
    if not isinstance(model, AttentionResNet) or not hasattr(model, "attention") or model.supernet:
        return False
    bits = model.scheme.stages[stage]
    if model.sharing == "stage" or match[3] is None:
        return not any(bits)
    return int(match[3]) < len(bits) and not bits[int(match[3])]


def _described(model: Trunk) -> str:
    whole = model.widths == WidthPlan.full(model.arch.inner)
    name = model.arch.name if whole else f"{model.arch.name} of widths {model.widths.short}"
    if not isinstance(model, AttentionResNet) or not hasattr(model, "attention"):
        return f"a plain {name}"
    return f"{name} with SAMs shared by {model.sharing}, scheme {model.scheme}"

"""Exported models in `.onnx` files: what they say of themselves, and running them by ONNX Runtime.

Nothing is unpickled. A file of ours is whole: weights that lie in other files are refused, wherever these are.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from backbones import schema
from backbones.errors import UserInputError
from backbones.schema import Positive

SUFFIX = ".onnx"
KEY = "ean_transfer"
"""Where a file of ours holds its record: a JSON object among the metadata."""
FORM = 1
INPUT = "image"

_MEND = "expected a file that `ean export` wrote"


@dataclass(frozen=True)
class ExportRecord:
    """What reading an exported model takes; the file says more, see docs/export.md.

    Attributes:
        form: of the record.
        task: of the model.
        size: (height, width) that every image must have; None: any.
        min_size: least height and width.
        stride: side of a density cell in pixels, of a counter.
        noun: what a counter counts.
        max_pixels: larger images are counted in tiles, see `CrowdCounter`.
        num_classes: of a segmentor.
        align_corners: how its logits are resized.
        threshold: of a segmentor with one logit a pixel.
    """

    form: int
    task: str
    size: tuple[Positive, ...] | None = None
    min_size: Positive = 1
    stride: Positive = 1
    noun: str = "people"
    max_pixels: Positive | None = None
    num_classes: Positive = 1
    align_corners: bool = False
    threshold: float | None = None


def require(*names: str) -> list[ModuleType]:
    """Imports packages of the extra `onnx`; raises `UserInputError` where they are not installed."""
    import importlib

    try:
        return [importlib.import_module(name) for name in names]
    except ImportError as error:
        raise UserInputError(
            f"exported models need {error.name}, which is not installed: pip install 'ean-transfer[onnx]'"
        ) from error


def read_meta(path: str | Path) -> dict[str, Any]:
    """What an exported model says of itself: `ExportRecord`, and what a checkpoint has as `meta`.

    Raises:
        UserInputError: no such file, no ONNX, one of another program, or weights in another file.
    """
    return _meta(_read(path), path)


def _read(path: str | Path) -> bytes:
    try:
        return Path(path).read_bytes()
    except (FileNotFoundError, IsADirectoryError):
        raise UserInputError(f"{path}: no such file, expected an exported model ({SUFFIX})") from None


def _meta(data: bytes, path: str | Path) -> dict[str, Any]:
    (onnx,) = require("onnx")
    try:
        model = onnx.load_model_from_string(data)
    except Exception as error:  # of protobuf, whose classes differ by its version
        raise UserInputError(f"{path}: is no ONNX file, or a damaged one; {_MEND}") from error
    said = {entry.key: entry.value for entry in model.metadata_props}
    if KEY not in said:
        raise UserInputError(f"{path}: says nothing of itself under {KEY!r}, another program wrote it; {_MEND}")
    for tensor in _tensors(model):
        if tensor.data_location == onnx.TensorProto.EXTERNAL or tensor.external_data:
            raise UserInputError(f"{path}: keeps {tensor.name!r} in another file, expected it whole; export it again")
    try:
        meta = json.loads(said[KEY])
    except (ValueError, RecursionError) as error:
        raise UserInputError(f"{path}: metadata {KEY!r} is not valid JSON: {error}; {_MEND}") from None
    _read_record(meta, path)
    return meta


def _read_record(meta: Any, path: str | Path) -> ExportRecord:
    record = schema.read(ExportRecord, meta, path, mend=_MEND)
    if record.form != FORM:
        raise UserInputError(f"{path}: key 'form' is {record.form}, expected {FORM}: another version wrote it")
    if record.size is not None and len(record.size) != 2:
        raise UserInputError(f"{path}: key 'size' is {list(record.size)}, expected height and width")
    return record


def _tensors(message: Any) -> Iterator[Any]:
    """All tensors of an ONNX model, wherever they stand: initializers, attributes, subgraphs, functions."""
    if message.DESCRIPTOR.name == "TensorProto":
        yield message
        return
    for field, value in message.ListFields():
        if field.message_type is not None:
            for part in value if isinstance(value, (list, tuple)) or hasattr(value, "__len__") else [value]:
                yield from _tensors(part)


class OnnxModel:
    """An exported model, run on the CPU.

    Args:
        path: of the `.onnx`.
        data: what it holds; default it is read.

    Attributes:
        meta: what the file says of itself.
        record: the part of it that reading takes.

    Raises:
        UserInputError: as `read_meta`; a model that ONNX Runtime does not take.
    """

    def __init__(self, path: str | Path, data: bytes | None = None) -> None:
        data = _read(path) if data is None else data
        self.path, self.meta = path, _meta(data, path)
        self.record = _read_record(self.meta, path)
        (runtime,) = require("onnxruntime")
        options = runtime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        options.log_severity_level = 3
        try:
            self.session = runtime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # each reason has a class of its own, without a common base
            raise UserInputError(f"{path}: ONNX Runtime cannot open it: {_first_line(error)}") from error
        found = [(one.name, one.type, len(one.shape)) for one in self.session.get_inputs()]
        if found != [(INPUT, "tensor(uint8)", 4)]:
            raise UserInputError(f"{path}: takes {found}, expected {INPUT!r}, uint8 (N, H, W, 3); {_MEND}")

    def run(self, images_NHW3: NDArray[np.uint8], *outputs: str) -> list[NDArray[Any]]:
        """The named outputs for images of one size, RGB.

        Raises:
            UserInputError: images of another size than the model takes, or a model without these outputs.
        """
        self._check_size(*images_NHW3.shape[1:3])
        known = [output.name for output in self.session.get_outputs()]
        if missing := [name for name in outputs if name not in known]:
            raise UserInputError(f"{self.path}: has no output {missing[0]!r}, only {', '.join(known)}; {_MEND}")
        try:
            return self.session.run(list(outputs), {INPUT: np.ascontiguousarray(images_NHW3)})
        except Exception as error:  # as above
            raise UserInputError(f"{self.path}: ONNX Runtime cannot run it: {_first_line(error)}") from error

    def _check_size(self, height: int, width: int) -> None:
        size, least = self.record.size, self.record.min_size
        if size is not None and (height, width) != size:
            raise UserInputError(
                f"{self.path}: takes images of {size[0]}x{size[1]} (height x width), found {height}x{width}; export it "
                f"without --size, or with --size {height}x{width}"
            )
        if min(height, width) < least:
            raise UserInputError(f"{self.path}: takes images from {least}x{least} on, found {height}x{width}")


def wrong_shape(model: OnnxModel, name: str, found: tuple[int, ...], expected: tuple[int, ...]) -> UserInputError:
    """The error for an output that has not the shape that the model's record says."""
    return UserInputError(f"{model.path}: output {name!r} has shape {found}, expected {expected}; {_MEND}")


def record_of(task: str, facts: Mapping[str, Any]) -> dict[str, Any]:
    """The plain values that a file of ours holds, checked as they will be when it is read."""
    meta = {"form": FORM, "task": task, **facts}
    _read_record(meta, "export")
    return meta


def _first_line(error: Exception) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)

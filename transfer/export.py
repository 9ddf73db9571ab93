"""A trained model as one file for other programs: ONNX, torch.export's archive, or weights as safetensors.

The graph takes images as they come, uint8 (N, H, W, 3) in RGB: it normalises and pads them itself, as the model's own
preprocessor does. What is written has been compared with the model itself, at sizes beside the one that was traced.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import io
import json
import logging
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from backbones.errors import UserInputError
from backbones.files import sha256_file, write_atomically
from backbones.registry import get_card
from transfer.deploy.exportable import exportable
from transfer.engine.inference import checkpoint_meta
from transfer.engine.onnx_file import INPUT, KEY, OnnxModel, record_of, require
from transfer.models import Source
from transfer.task import get_task

FORMATS = ("onnx", "pt2", "safetensors")
"""The ends of the files' names, too."""

TOLERANCE = 1e-3
"""Of the largest value of an output: rounding stays far below, a layer that is bound to the traced size far above."""


_BOUND = "give --size HxW if a layer of the model is bound to one size"


@dataclass(frozen=True)
class Graph:
    """What a task makes of its model for export.

    Attributes:
        module: from uint8 images (N, H, W, 3), RGB, to a tuple of tensors.
        outputs: names of these, with their shapes, types and units in words.
        min_size: least height and width of an image.
        facts: plain values for the file's record, see `transfer.engine.onnx_file.ExportRecord`.
    """

    module: nn.Module
    outputs: Mapping[str, str]
    min_size: int
    facts: Mapping[str, Any] = field(default_factory=dict)


def padded(x_NCHW: Tensor, divisor: int, value: float = 0) -> Tensor:
    """Normalised images, filled up right and bottom until `divisor` divides their sides.

    Rounded up by adding: `-(-size // divisor)` would round the other way, as integers are divided in ONNX.
    """
    height, width = ((size + divisor - 1) // divisor * divisor for size in x_NCHW.shape[2:])
    return F.pad(x_NCHW, (0, width - x_NCHW.shape[3], 0, height - x_NCHW.shape[2]), value=value)


@dataclass(frozen=True)
class Exported:
    """A file that was written.

    Attributes:
        path: of the file.
        record: what it says of itself.
        error: largest difference to the model itself, as a part of the output's largest value; None for weights.
        sizes: (batch, height, width) of the images that it was compared on.
    """

    path: Path
    record: Mapping[str, Any]
    error: float | None = None
    sizes: tuple[tuple[int, int, int], ...] = ()


def export_model(
    source: Source, out: str | Path, format: str | None = None, *, size: tuple[int, int] | None = None
) -> Exported:
    """Writes a trained counter or segmentor; nothing appears unless it computes what the model computes.

    Args:
        source: the model, see `transfer.models.source_of_card` and `source_of_checkpoint`.
        out: the file.
        format: one of `FORMATS`; default as `out` ends. `onnx` and `pt2` hold the deployed model, batch normalisation
            folded; `safetensors` the weights as they were trained, which commands read as a checkpoint.
        size: (height, width), the only one that the graph will take; default any from `Graph.min_size` on.

    Raises:
        UserInputError: a format or a task that cannot be exported, a model whose graph torch cannot take down, or
            whose file computes something else, such as at another size than the traced one.
    """
    out, format = check_out(out, format, size)
    if source.checkpoint.suffix == ".onnx":
        raise UserInputError(f"{source.checkpoint}: is exported already, expected the checkpoint that it was made from")
    task = get_task(source.config)
    part = task.part("export")
    predictor = task.part("predictor").load(source.config, source.checkpoint)
    record = {**_provenance(source), **_backbone(predictor.network), **_text(source)}
    graph: Graph = part.graph(predictor)
    if format == "safetensors":
        return _write_weights(predictor.network, out, record_of(task.name, {**record, **graph.facts}))
    twin: Graph = part.graph(dataclasses.replace(predictor, network=exportable(predictor.network)))
    return _write(graph, twin, out, format, _complete(task.name, graph, size, record))


def export_backbone(
    name: str, out: str | Path, format: str | None = None, *, size: tuple[int, int] | None = None
) -> Exported:
    """Writes a registered backbone with its own weights; its outputs are the feature maps of all stages.

    Raises:
        UserInputError: as `export_model`; a backbone without weights of its own.
    """
    import backbones

    out, format = check_out(out, format, size)
    card = get_card(name)
    stages = tuple(range(len(backbones.create_backbone(name).arch.depths)))
    net = backbones.create_backbone(name, init="full", out_indices=stages).eval()
    record = {"backbone": card.name, "scheme": str(net.scheme), "toolkit": _toolkit()}
    if format == "safetensors":
        return _write_weights(net, out, record_of("features", record))
    graph, twin = _features(card, net), _features(card, exportable(net))
    return _write(graph, twin, out, format, _complete("features", graph, size, record))


def _features(card: Any, net: Any) -> Graph:
    info = net.feature_info
    outputs = {f"stage{one.stage + 1}": f"(N, {one.channels}, h, w) float32, stride {one.stride}" for one in info}
    facts = {"mean": list(card.mean), "std": list(card.std)}
    return Graph(_Features(net, card.mean, card.std), outputs, 2 * info[-1].stride, facts)


class _Features(nn.Module):
    """Normalises images for a backbone; the statistics are for values in [0, 1]."""

    def __init__(self, net: nn.Module, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        self.net = net
        self.mean: Tensor
        self.std: Tensor
        self.register_buffer("mean", torch.tensor(mean).view(-1, 1, 1))
        self.register_buffer("std", torch.tensor(std).view(-1, 1, 1))

    def forward(self, image_NHW3: Tensor) -> tuple[Tensor, ...]:
        return self.net((image_NHW3.permute(0, 3, 1, 2).float() / 255 - self.mean) / self.std)


# ---- the record


def check_out(out: str | Path, format: str | None, size: tuple[int, int] | None) -> tuple[Path, str]:
    """The file and its format; raises `UserInputError` where these, and the size, do not go together."""
    out = Path(out)
    format = format or out.suffix.removeprefix(".")
    if format not in FORMATS:
        raise UserInputError(f"--out {out}: format {format!r}, expected one of {', '.join(FORMATS)}")
    if out.suffix != f".{format}":
        raise UserInputError(f"--out {out}: expected a name that ends in .{format}, by which the file is read again")
    if out.is_dir():
        raise UserInputError(f"--out {out}: is a folder, expected the name of a file")
    if format == "safetensors" and size is not None:
        raise UserInputError(f"--size {size[0]}x{size[1]}: weights go with any size, leave it out")
    return out, format


def _provenance(source: Source) -> dict[str, Any]:
    domain = checkpoint_meta(source.checkpoint).get("domain")
    return {
        **({} if domain is None else {"domain": domain}),
        "model": source.card.name if source.card else Path(source.checkpoint).name,
        "checkpoint_sha256": sha256_file(source.checkpoint),
        "toolkit": _toolkit(),
    }


def _toolkit() -> str:
    from transfer.cli import version

    return version()


def _backbone(network: nn.Module) -> dict[str, Any]:
    from transfer.engine.checkpoint import backbone_meta

    return backbone_meta(network)


def _text(source: Source) -> dict[str, str]:
    from transfer.engine.saved_config import config_text

    text = config_text(source.config)
    return {"cfg": text, "config_sha256": hashlib.sha256(text.encode()).hexdigest()}


# ---- writing and comparing


def _complete(task: str, model: Graph, size: tuple[int, int] | None, record: Mapping[str, Any]) -> dict[str, Any]:
    """What the file will say of itself."""
    if size is not None and min(size) < model.min_size:
        raise UserInputError(f"--size {size[0]}x{size[1]}: expected at least {model.min_size}x{model.min_size}")
    facts = {
        "input": f"{INPUT}: (N, H, W, 3) uint8, RGB",
        "outputs": dict(model.outputs),
        "size": None if size is None else list(size),
        "min_size": model.min_size,
    }
    return record_of(task, {**record, **model.facts, **facts})


def _write(model: Graph, twin: Graph, out: Path, format: str, meta: Mapping[str, Any]) -> Exported:
    """Writes the graph of `twin`, once it computes what `model` computes."""
    if format == "onnx":
        require("onnx", "onnxscript", "onnxruntime")
    sizes, names = _sizes(meta["size"], model.min_size), list(model.outputs)
    with _quiet():
        program = _traced(twin.module.eval(), sizes[0], fixed=meta["size"] is not None, least=model.min_size)
        data = _WRITERS[format](program, names, meta)
    error = _compare(model, _READERS[format](data, out, names), sizes, out)
    write_atomically(out, data)
    return Exported(out, meta, error, sizes)


def _sizes(size: Sequence[int] | None, least: int) -> tuple[tuple[int, int, int], ...]:
    """Batches to trace (the first) and to compare on; no side is a multiple of anything, but for the last."""
    if size is not None:
        height, width = size
        return (2, height, width), (1, height, width)
    side = max(least, 32)
    return (2, 2 * side - 3, 2 * side + 9), (1, 3 * side - 1, side + 5), (3, side, 2 * side)


def _images(shape: tuple[int, int, int]) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (*shape, 3), dtype=torch.uint8, generator=generator)


def _traced(module: nn.Module, shape: tuple[int, int, int], *, fixed: bool, least: int) -> Any:
    axes = {0: torch.export.Dim("batch")}
    if not fixed:
        axes |= {axis: torch.export.Dim(name, min=least) for axis, name in ((1, "height"), (2, "width"))}
    try:
        with torch.no_grad():
            return torch.export.export(
                module,
                (_images(shape),),
                dynamic_shapes=(axes,),
                # Else it refuses padding to a stride: it cannot prove that no padded side is 1.
                prefer_deferred_runtime_asserts_over_guards=True,
            )
    except Exception as error:  # whatever the model does that torch cannot take down
        advice = "" if fixed else "; --size HxW may help, where a layer is bound to one size"
        raise UserInputError(f"torch.export cannot take this model down: {_first_line(error)}{advice}") from error


def _first_line(error: Exception) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)


def _onnx(program: Any, outputs: list[str], meta: Mapping[str, Any]) -> bytes:
    try:
        found: Any = torch.onnx.export(
            program, dynamo=True, input_names=[INPUT], output_names=outputs, external_data=False, verbose=False
        )
    except torch.onnx.OnnxExporterError as error:
        raise UserInputError(f"torch.onnx cannot write this model: {_first_line(error)}") from error
    proto = found.model_proto
    entry = proto.metadata_props.add()
    entry.key, entry.value = KEY, json.dumps(meta)
    return proto.SerializeToString()


def _pt2(program: Any, outputs: list[str], meta: Mapping[str, Any]) -> bytes:
    file = io.BytesIO()
    torch.export.save(program, file, extra_files={f"{KEY}.json": json.dumps(meta)})
    return file.getvalue()


def _onnx_reader(data: bytes, out: Path, outputs: list[str]) -> Callable[[Tensor], Sequence[Tensor]]:
    model = OnnxModel(out, data)
    return lambda images: [torch.from_numpy(found) for found in model.run(images.numpy(), *outputs)]


def _pt2_reader(data: bytes, out: Path, outputs: list[str]) -> Callable[[Tensor], Sequence[Tensor]]:
    with _quiet():
        return torch.export.load(io.BytesIO(data)).module()  # unpickles, but this is what was just written


_WRITERS = {"onnx": _onnx, "pt2": _pt2}
_READERS = {"onnx": _onnx_reader, "pt2": _pt2_reader}


def _compare(
    model: Graph,
    run: Callable[[Tensor], Sequence[Tensor]],
    sizes: Sequence[tuple[int, int, int]],
    out: Path,
) -> float:
    """The largest difference between a file and the model itself; raises `UserInputError` beyond the tolerance."""
    worst = 0.0
    for shape in sizes:
        images = _images(shape)
        where = f"{out}: not written: for {shape[0]} image(s) of {shape[1]}x{shape[2]}"
        try:
            with torch.no_grad():
                found, expected = run(images), model.module.eval()(images)
        except (UserInputError, RuntimeError) as failure:
            raise UserInputError(f"{where} it does not run; {_BOUND} ({_first_line(failure)})") from failure
        least = float(expected[0].abs().max())  # of the density: a count is a sum, whose terms may cancel
        for name, given, wanted in zip(model.outputs, found, expected, strict=True):
            error = _difference(given, wanted, least)
            if not error <= TOLERANCE:
                raise UserInputError(f"{where} its {name!r} is off by {error:.2g} of the largest value; {_BOUND}")
            worst = max(worst, error)
    return worst


def _difference(given: Tensor, expected: Tensor, least: float) -> float:
    """Between two outputs, as a part of the largest value, or of `least` where that is larger."""
    if given.shape != expected.shape:
        return float("inf")
    if not expected.is_floating_point():  # classes: a pixel between two may go to either
        return 0.0 if float((given != expected).double().mean()) < 0.01 else float("inf")
    largest = max(float(expected.abs().max()), least)
    return float((given - expected).abs().max()) / (largest or 1.0)


def _write_weights(network: nn.Module, out: Path, meta: Mapping[str, Any]) -> Exported:
    from backbones.weights import save_safetensors

    save_safetensors(network.state_dict(), out, meta)
    return Exported(out, meta)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without what torch and onnxscript say about their own internals."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)

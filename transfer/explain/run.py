"""Explains one image by one or several models: figures and numbers in one folder."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from torch import Tensor

from backbones.errors import UserInputError
from backbones.files import sha256_file
from backbones.schema import write_json
from backbones.trunk import Trunk
from transfer.engine.backbone import registered_backbones
from transfer.engine.console import tracked
from transfer.engine.images import read_image
from transfer.explain.figures import Panel, Row, draw_gates, draw_maps, over_image
from transfer.explain.gates import BlockGate, recorded_gates
from transfer.explain.grad_cam import find_layer, grad_cam
from transfer.explain.view import Answer, View
from transfer.task import get_task

FILES = ("grad_cam.png", "gates.png", "explain.json")
_DIGITS = 6


@dataclass(frozen=True)
class Model:
    """One of the models that are compared.

    Attributes:
        label: what to call it.
        config: of the model; its task must offer `explain`.
        checkpoint: its weights; None: those that its backbone starts from.
    """

    label: str
    config: Config
    checkpoint: Path | None


@dataclass(frozen=True, eq=False)
class Explained:
    """What one model looks at.

    Attributes:
        view: the image as the model sees it.
        answer: the target and its score.
        layer: name of the layer.
        map_hw: its Grad-CAM, over the whole input of the network.
        gates: of each block, in network order.
    """

    view: View
    answer: Answer
    layer: str
    map_hw: Tensor
    gates: list[BlockGate]


def explain_network(network: torch.nn.Module, view: View, layer: str | None = None) -> Explained:
    """Grad-CAM and gates of a model for one image, from one run of it.

    Args:
        network: in evaluation mode, with a registered backbone.
        view: of the image, see `transfer.task`.
        layer: a stage or block of the backbone, such as `layer3` or `layer3.4`; default the last stage.

    Raises:
        UserInputError: there is no such layer, or no registered backbone.
    """
    net = backbone_of(network)
    name, module = find_layer(net, layer)
    answers: list[Answer] = []

    def score() -> Tensor:
        answers.append(view.ask())
        return answers[-1].score

    with recorded_gates(net) as gates:
        (map_hw,) = grad_cam(module, score)
    return Explained(view, answers[0], name, map_hw, gates)


def backbone_of(network: torch.nn.Module) -> Trunk:
    """The model's registered backbone; raises `UserInputError` where it has none."""
    for net in registered_backbones(network):
        found: Trunk = net
        return found
    raise UserInputError("the model has no registered backbone, expected one of RegisteredBackbone")


def free_folder(out: str | Path, *, overwrite: bool) -> Path:
    """`--out` as a path; raises `UserInputError` where it is a file, or holds what was explained before."""
    out = Path(out)
    if out.exists() and not out.is_dir():
        raise UserInputError(f"--out {out}: is a file, expected a folder")
    held = [name for name in FILES if (out / name).exists()]
    if held and not overwrite:
        raise UserInputError(
            f"--out {out}: holds {', '.join(held)} already; name another folder, or replace them with --overwrite"
        )
    return out


def explain(
    models: Sequence[Model],
    image: str | Path,
    *,
    out: Path,
    target: str | None = None,
    region: tuple[int, int, int, int] | None = None,
    layer: str | None = None,
) -> dict[str, Any]:
    """Writes `grad_cam.png`, `gates.png` and `explain.json` into `out`, all of them or none.

    Args:
        models: of one task.
        image: file.
        out: folder, see `free_folder`.
        target: class by name or number; default what the first model predicts, for all of them.
        region: count within (left, top, right, bottom) alone, in pixels.
        layer: see `explain_network`.

    Returns:
        What `explain.json` holds: `image` and `models`, a list of `label`, `said`, `target`, `layer`, `map`, `blocks`,
        and what each was made with.

    Raises:
        UserInputError: models of several tasks, an image that cannot be read, a target or layer that is not there.
    """
    task = get_task(_one_task(models))
    pixels_HW3, part = read_image(image), task.part("explain")
    found: list[Explained] = []
    records = []
    for model in tracked(models, "models", len(models)):
        try:
            explainer = part.load(model.config, model.checkpoint)
            view = part.view(explainer, pixels_HW3, target=target, region=region)
            explained = explain_network(explainer.network, view, layer)
        except UserInputError as error:
            raise UserInputError(f"{model.label}: {error}") from error
        target = explained.answer.target if target is None else target
        found.append(explained)
        records.append({**_made_with(model, backbone_of(explainer.network)), **describe(explained)})
    record = {"image": str(image), "task": task.name, "models": records}
    titles = [model.label for model in models]
    with _all_or_none(out) as folder:
        draw_maps(folder / FILES[0], found[0].view.image_HW3, list(map(_panel, titles, found)))
        draw_gates(folder / FILES[1], [Row(title, one.gates) for title, one in zip(titles, found, strict=True)])
        write_json(folder / FILES[2], record)
    return record


@contextmanager
def _all_or_none(out: Path) -> Iterator[Path]:
    """A folder whose `FILES` move to `out` at the end, beside what that holds; after an error they are gone."""
    parent = next(folder for folder in out.absolute().parents if folder.is_dir())
    with TemporaryDirectory(prefix=f".{out.name}.", dir=parent) as folder:
        yield Path(folder)
        out.mkdir(parents=True, exist_ok=True)
        for name in FILES:
            os.replace(Path(folder) / name, out / name)


def _one_task(models: Sequence[Model]) -> str:
    tasks = {model.label: get_task(model.config, where=model.label).name for model in models}
    if len(set(tasks.values())) > 1:
        said = ", ".join(f"{label} ({task})" for label, task in tasks.items())
        raise UserInputError(f"models of several tasks cannot be compared: {said}; expected models of one task")
    return next(iter(tasks.values()))


def _panel(label: str, explained: Explained) -> Panel:
    view = explained.view
    height, width = view.image_HW3.shape[:2]
    map_HW = over_image(explained.map_hw, view.padded, view.content, (height, width))
    return Panel(f"{label}\n{explained.answer.said}", view.image_HW3, map_HW)


def _made_with(model: Model, net: Trunk) -> dict[str, Any]:
    card: Any = getattr(net, "card", None)
    checkpoint = model.checkpoint or card.weights_path()
    return {
        "label": model.label,
        "config": str(model.config.filename),
        "checkpoint": str(checkpoint),
        "checkpoint_sha256": sha256_file(checkpoint),
        "backbone": card.name,
        "attention": card.attention,
        "sharing": net.sharing if card.attention else None,
        "scheme": str(net.scheme),
    }


def describe(explained: Explained) -> dict[str, Any]:
    """Target, map and gates as plain values, numbers to six digits."""
    map_hw, view = explained.map_hw, explained.view
    cell_h, cell_w = view.padded[0] / map_hw.shape[0], view.padded[1] / map_hw.shape[1]
    rows, columns = -(-view.content[0] // cell_h), -(-view.content[1] // cell_w)
    inside = map_hw[: int(rows), : int(columns)].cpu().numpy()
    return {
        "said": explained.answer.said,
        "target": dict(explained.answer.facts),
        "layer": explained.layer,
        "map": {"cell_height": cell_h, "cell_width": cell_w, "values": _rounded(inside)},
        "blocks": [_block(block) for block in explained.gates],
    }


def _block(block: BlockGate) -> dict[str, Any]:
    said: dict[str, Any] = {"block": block.block, "connected": block.connected}
    if (gate := block.gate) is None:
        return {**said, "gate": None}
    figures = {"mean": gate.mean, "spread": gate.spread, "low": gate.low, "high": gate.high}
    maps = {"channels": gate.channels, **({} if gate.space is None else {"space": gate.space})}
    return {**said, "gate": {key: _rounded(np.asarray(value)) for key, value in {**figures, **maps}.items()}}


def _rounded(values: np.ndarray) -> Any:
    """Numbers, in lists where there are several, to six significant digits."""
    if values.ndim:
        return [_rounded(value) for value in values]
    return float(f"{float(values):.{_DIGITS}g}")

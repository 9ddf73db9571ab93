"""What is explained of a classifier: the logit of one class."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.registry import MODELS, DefaultScope
from numpy.typing import NDArray
from PIL import Image

from backbones.card import BackboneCard
from backbones.errors import UserInputError
from backbones.key_mapping import own_keys
from backbones.weights import load_weights, read_checkpoint
from tasks.classification.cifar import FINE_LABELS
from tasks.classification.folder import central_square, class_names
from transfer.engine.backbone import without_initial_weights
from transfer.engine.compat import load_foreign_checkpoint
from transfer.engine.config_check import scope_of
from transfer.engine.data import find_data
from transfer.engine.inference import load_model
from transfer.explain.view import Answer, View, choose_class, refuse_region

NAMES = {"Cifar100": FINE_LABELS, "Digits": tuple("0123456789")}
"""Names of the classes, by the data set's type in a config."""

SIZES = {"Cifar100": (32, 32), "Digits": (8, 8), "ImageFolder": (256, 224)}
"""Pixels that the shorter side is scaled to, and of the central square that is cut out; data sets' own defaults."""


@dataclass(frozen=True)
class Explainer:
    """A classifier for evaluation on its device, names of its classes, and how its images are cut (see `SIZES`)."""

    network: torch.nn.Module
    classes: tuple[str, ...]
    resize: int
    size: int


def load(config: Config, checkpoint: str | Path | None) -> Explainer:
    """The config's classifier with a checkpoint's weights; without one, with its card's own."""
    with DefaultScope.overwrite_default_scope(scope_of(config)):
        network: Any = _of_card(config) if checkpoint is None else load_model(config, checkpoint)
    said = {} if checkpoint is None else (load_foreign_checkpoint(checkpoint).get("meta") or {})
    data = _data(config)
    own = network.backbone.card.input.size
    resize, size = SIZES.get(str(data.get("type")), (own, own))
    return Explainer(
        network,
        _classes(data, said.get("dataset_meta") or {}, network.backbone.num_classes),
        data.get("resize", resize),
        data.get("size", size),
    )


def _of_card(config: Config) -> torch.nn.Module:
    with without_initial_weights():
        network: Any = MODELS.build(config.model)
    load_weights(network.backbone, network.backbone.card.weights_path(), init="full")
    return network.to(get_device()).eval()


def config_of_backbone(card: BackboneCard) -> Config:
    """Of the classifier that a registered backbone with weights of its own is.

    Raises:
        UserInputError: it has no weights, or none of a classifier.
    """
    state, _ = own_keys(read_checkpoint(card.weights_path()))
    if "fc.weight" not in state:
        raise UserInputError(f"backbone {card.name!r}: its weights hold no classifier (fc), expected a trained one")
    backbone = {
        "type": "RegisteredBackbone",
        "name": card.name,
        "init": "full",
        "conv_bias": "conv1.bias" in state,
        "in_channels": state["conv1.weight"].shape[1],
    }
    classes = len(state["fc.weight"])
    model = {"type": "Classifier", "num_classes": classes, "backbone": backbone}
    config: dict[str, Any] = {"task": "classification", "model": model}
    if classes == len(FINE_LABELS) and any(entry.data.startswith("cifar100") for entry in card.measured):
        config["test_dataloader"] = {"dataset": {"type": "Cifar100"}}
    return Config(config, filename=str(card.path))


def view(explainer: Explainer, image_HW3: NDArray[np.uint8], *, target: str | None = None, region: Any = None) -> View:
    """A class of one RGB image, of which the network sees the central square, scaled to the size of its data.

    Args:
        explainer: of `load`.
        image_HW3: uint8 RGB.
        target: name or number of the class; default the predicted one.
        region: none.

    Raises:
        UserInputError: the model has no such class, or takes images of other channels than RGB or grey.
    """
    refuse_region(region)
    network: Any = explainer.network
    square = central_square(Image.fromarray(image_HW3), explainer.resize, explainer.size)
    inputs_1CHW = _inputs(network, square)
    chosen = None if target is None else choose_class(target, explainer.classes)

    def ask() -> Answer:
        logits_K = network(inputs_1CHW)[0].float()
        scores_K = logits_K.detach().softmax(0)
        predicted = int(scores_K.argmax())
        found = predicted if chosen is None else chosen
        name, probability = explainer.classes[found], float(scores_K[found])
        facts = {"class": found, "name": name, "probability": probability, "predicted": explainer.classes[predicted]}
        return Answer(logits_K[found], f"{name}, P = {probability:.3f}", name, facts)

    shown_HW3 = np.asarray(square.convert("L").convert("RGB") if inputs_1CHW.shape[1] == 1 else square)
    shape = (inputs_1CHW.shape[2], inputs_1CHW.shape[3])
    return View(shown_HW3, shape, shape, ask)


def _inputs(network: Any, square: Image.Image) -> torch.Tensor:
    channels = len(network.data_preprocessor.mean)
    if channels not in (1, 3):
        raise UserInputError(f"a classifier of {channels} channels: expected one of RGB or grey images")
    pixels_HWC = np.array(square.convert("L" if channels == 1 else "RGB")).reshape(*square.size[::-1], channels)
    pixels_CHW = torch.from_numpy(np.ascontiguousarray(pixels_HWC.transpose(2, 0, 1)))
    inputs: torch.Tensor = network.data_preprocessor({"inputs": [pixels_CHW], "labels": [0]})["inputs"]
    return inputs


def _data(config: Config) -> Mapping[str, Any]:
    """The data set that the config tests on, else that it trains on."""
    loaders = (config.get(f"{name}_dataloader") for name in ("test", "val", "train"))
    return next((loader["dataset"] for loader in loaders if loader), {})


def _classes(data: Mapping[str, Any], said: Mapping[str, Any], count: int) -> tuple[str, ...]:
    """Names of the classes: the checkpoint's, the data set's own, or its folders' if they are there; else numbers."""
    known = [tuple(said.get("classes") or ()), NAMES.get(str(data.get("type")), ())]
    if data.get("type") == "ImageFolder":
        with suppress(UserInputError):
            known.append(class_names(find_data(data["data_root"]) / "train"))
    return next((names for names in known if len(names) == count), tuple(f"class {k}" for k in range(count)))

"""Segments any pictures: an overlay with a legend and a mask for each, and the classes' shares as JSON."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import Compose
from mmengine.device import get_device
from mmengine.registry import MODELS, init_default_scope
from PIL import Image

from backbones.errors import UserInputError
from tasks.segmentation.dataset import VOC_CLASSES, VOC_PALETTE, read_metainfo
from tasks.segmentation.visualize import with_legend
from transfer.deploy import deploy as deployed_copy
from transfer.engine.backbone import without_initial_weights
from transfer.engine.checkpoint import check_same_model
from transfer.engine.compat import load_foreign_checkpoint
from transfer.engine.images import find_images, read_image
from transfer.engine.outputs import all_or_nothing, checked_folder, unique_stems

MASK_LOADERS = ("LoadMask", "LoadAnnotations")


def predict(
    config: Config, checkpoint: str | Path, inputs: Sequence[str | Path], *, out: str | Path, deploy: bool = False
) -> dict[str, Any]:
    """Segments pictures and writes `<name>_segmentation.png` and `<name>_mask.png` each, and `predictions.json`.

    The mask is a palette picture of class ids in the size of its photograph, as VOC's are. Nothing appears in `out`
    before the last picture is done.

    Args:
        config: of the model; its test pipeline prepares the pictures.
        checkpoint: that the config's training wrote.
        inputs: pictures and folders of pictures.
        out: folder for the results, made if it is not there.
        deploy: use the model's fused copy, see `transfer.deploy.deploy`.

    Returns:
        What `predictions.json` holds: `config`, `checkpoint`, `checkpoint_sha256`, `deployed`, `classes` and
        `predictions`, a list of `image`, `width`, `height`, `shares` (of the picture, by class that is in it),
        `overlay` and `mask`.

    Raises:
        UserInputError: an input that is missing or no picture, a checkpoint of another model.
    """
    out = checked_folder(out)
    images = find_images(inputs)
    init_default_scope(config.get("default_scope") or "mmseg")
    state = load_foreign_checkpoint(checkpoint)
    model = load_model(config, state, checkpoint)
    classes, palette = classes_of(config, state, model.decode_head.num_classes)
    pipeline = pipeline_of(config)
    model = deployed_copy(model) if deploy else model
    with all_or_nothing(out) as folder:
        rows = []
        for image, stem in zip(images, unique_stems(images), strict=True):
            ids = predict_file(model, pipeline, image)
            rows.append(_write(image, ids, folder / stem, classes, palette))
        record = {
            "config": str(config.filename),
            "checkpoint": str(checkpoint),
            "checkpoint_sha256": hashlib.sha256(Path(checkpoint).read_bytes()).hexdigest(),
            "deployed": deploy,
            "classes": list(classes),
            "predictions": rows,
        }
        (folder / "predictions.json").write_text(json.dumps(record, indent=2) + "\n")
    return record


def summary(record: dict[str, Any]) -> list[str]:
    """One line a picture, for the terminal."""
    return [
        f"{row['image']}: {', '.join(f'{name} {100 * share:.1f} %' for name, share in row['shares'].items())}"
        for row in record["predictions"]
    ]


def load_model(config: Config, state: Mapping[str, Any], source: str | Path) -> torch.nn.Module:
    """The config's model with a checkpoint's weights, on the best device there is, for evaluation."""
    with without_initial_weights():
        model = MODELS.build(config.model)
    model.load_state_dict(check_same_model(model, state, source))
    return model.to(get_device()).eval()


def classes_of(
    config: Config, checkpoint: Mapping[str, Any], count: int
) -> tuple[Sequence[str], Sequence[Sequence[int]]]:
    """Names and colours of the `count` classes: the checkpoint's, else those of the config's data, else VOC's."""
    data = (config.get("test_dataloader") or {}).get("dataset") or {}
    said = [(checkpoint.get("meta") or {}).get("dataset_meta"), data.get("metainfo")]
    for metainfo in said:
        if metainfo and len(metainfo.get("classes") or ()) == count:
            read = read_metainfo({key: metainfo.get(key) for key in ("classes", "palette")})
            return read["classes"], read["palette"] or _colours(count)
    if count == len(VOC_CLASSES):
        return VOC_CLASSES, VOC_PALETTE
    return [f"class {i}" for i in range(count)], _colours(count)


def _colours(count: int) -> list[tuple[int, ...]]:
    """Colours far apart for any number of classes: VOC's rule, which spreads the bits of the id."""
    spread = [[sum((i >> (3 * j + c) & 1) << (7 - j) for j in range(3)) for c in range(3)] for i in range(count)]
    return [tuple(colour) for colour in spread]


def pipeline_of(config: Config) -> Compose:
    """The config's test pipeline for pictures without masks; raises `UserInputError` where it has none."""
    if not config.get("test_dataloader"):
        raise UserInputError(f"config {config.filename}: has no 'test_dataloader', whose pipeline prepares pictures")
    steps = config.test_dataloader.dataset.pipeline
    return Compose([step for step in steps if step["type"] not in MASK_LOADERS])


@torch.no_grad()
def predict_file(model: torch.nn.Module, pipeline: Compose, image: str | Path) -> np.ndarray:
    """Class ids (H, W), uint8, of one picture file."""
    data = pipeline({"img_path": str(image), "seg_fields": []})
    batch = {"inputs": [data["inputs"]], "data_samples": [data["data_samples"]]}
    return model.test_step(batch)[0].pred_sem_seg.data[0].cpu().numpy().astype(np.uint8)


def _write(
    image: Path, ids_HW: np.ndarray, stem: Path, classes: Sequence[str], palette: Sequence[Sequence[int]]
) -> dict[str, Any]:
    picture = read_image(image)
    overlay = stem.with_name(f"{stem.name}_segmentation.png")
    mask = stem.with_name(f"{stem.name}_mask.png")
    drawn = cv2.cvtColor(with_legend(picture, ids_HW, classes, palette), cv2.COLOR_RGB2BGR)
    overlay.write_bytes(cv2.imencode(".png", drawn)[1].tobytes())
    coloured = Image.fromarray(ids_HW)
    coloured.putpalette([int(value) for colour in palette for value in colour])
    coloured.save(mask)
    counts = np.bincount(ids_HW.ravel(), minlength=len(classes))
    return {
        "image": str(image),
        "width": picture.shape[1],
        "height": picture.shape[0],
        "shares": {classes[i]: round(counts[i] / ids_HW.size, 6) for i in np.argsort(-counts) if counts[i]},
        "overlay": overlay.name,
        "mask": mask.name,
    }

"""Segments any images: an overlay with a legend and a mask for each, and the classes' shares as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import Compose
from mmengine.registry import init_default_scope
from PIL import Image

from backbones.errors import UserInputError
from tasks.segmentation.dataset import VOC_CLASSES, VOC_PALETTE, read_metainfo
from tasks.segmentation.masks import voc_palette
from tasks.segmentation.visualize import with_legend
from transfer.deploy import deploy as deployed_copy
from transfer.engine.compat import load_foreign_checkpoint
from transfer.engine.images import find_images, read_image
from transfer.engine.inference import load_model, provenance
from transfer.engine.outputs import all_or_nothing, checked_folder, unique_stems

MASK_LOADERS = ("LoadMask", "LoadAnnotations")


def predict(
    config: Config, checkpoint: str | Path, inputs: Sequence[str | Path], *, out: str | Path, deploy: bool = False
) -> dict[str, Any]:
    """Segments images and writes `<name>_segmentation.png` and `<name>_mask.png` each, and `predictions.json`.

    The mask is a palette image of class ids in the size of its photograph, as VOC's are. Nothing appears in `out`
    before the last image is done.

    Args:
        config: of the model; its test pipeline prepares the images.
        checkpoint: that the config's training wrote.
        inputs: images and folders of images.
        out: folder for the results, made if it is not there.
        deploy: use the model's fused copy, see `transfer.deploy.deploy`.

    Returns:
        What `predictions.json` holds: `config`, `checkpoint`, `checkpoint_sha256`, `deployed`, `classes` and
        `predictions`, a list of `image`, `width`, `height`, `shares` (of the image, by class that is in it),
        `overlay` and `mask`.

    Raises:
        UserInputError: an input that is missing or no image, a checkpoint of another model.
    """
    out = checked_folder(out)
    images = find_images(inputs)
    init_default_scope(config.get("default_scope") or "mmseg")
    model = load_model(config, checkpoint)
    classes, palette = classes_of(config, load_foreign_checkpoint(checkpoint), model.decode_head.num_classes)
    pipeline = pipeline_of(config)
    model = deployed_copy(model) if deploy else model
    with all_or_nothing(out) as folder:
        rows = []
        for image, stem in zip(images, unique_stems(images), strict=True):
            ids = predict_file(model, pipeline, image)
            rows.append(_write(image, ids, folder / stem, classes, palette))
        made_with = provenance(config, checkpoint, deployed=deploy)
        record = {**made_with, "classes": list(classes), "predictions": rows}
        (folder / "predictions.json").write_text(json.dumps(record, indent=2) + "\n")
    return record


def summary(record: dict[str, Any]) -> list[str]:
    """One line for each image, for the terminal."""
    return [
        f"{row['image']}: {', '.join(f'{name} {100 * share:.1f} %' for name, share in row['shares'].items())}"
        for row in record["predictions"]
    ]


def classes_of(
    config: Config, checkpoint: Mapping[str, Any], count: int
) -> tuple[Sequence[str], Sequence[Sequence[int]]]:
    """Names and colours of the `count` classes: the checkpoint's, else those of the config's data, else VOC's."""
    data = (config.get("test_dataloader") or {}).get("dataset") or {}
    said = [(checkpoint.get("meta") or {}).get("dataset_meta"), data.get("metainfo")]
    for metainfo in said:
        if metainfo and len(metainfo.get("classes") or ()) == count:
            read = read_metainfo({key: metainfo.get(key) for key in ("classes", "palette")})
            return read["classes"], read["palette"] or voc_palette(count)
    if count == len(VOC_CLASSES):
        return VOC_CLASSES, VOC_PALETTE
    return [f"class {i}" for i in range(count)], voc_palette(count)


def pipeline_of(config: Config) -> Compose:
    """The config's test pipeline for images without masks; raises `UserInputError` where it has none."""
    if not config.get("test_dataloader"):
        raise UserInputError(f"config {config.filename}: has no 'test_dataloader', whose pipeline prepares images")
    steps = config.test_dataloader.dataset.pipeline
    return Compose([step for step in steps if step["type"] not in MASK_LOADERS])


@torch.no_grad()
def predict_file(model: torch.nn.Module, pipeline: Compose, image: str | Path) -> np.ndarray:
    """Class ids (H, W), uint8, of one image file."""
    data = pipeline({"img_path": str(image), "seg_fields": []})
    batch = {"inputs": [data["inputs"]], "data_samples": [data["data_samples"]]}
    return model.test_step(batch)[0].pred_sem_seg.data[0].cpu().numpy().astype(np.uint8)


def _write(
    image: Path, ids_HW: np.ndarray, stem: Path, classes: Sequence[str], palette: Sequence[Sequence[int]]
) -> dict[str, Any]:
    pixels = read_image(image)
    overlay = stem.with_name(f"{stem.name}_segmentation.png")
    mask = stem.with_name(f"{stem.name}_mask.png")
    drawn = cv2.cvtColor(with_legend(pixels, ids_HW, classes, palette), cv2.COLOR_RGB2BGR)
    overlay.write_bytes(cv2.imencode(".png", drawn)[1].tobytes())
    coloured = Image.fromarray(ids_HW)
    coloured.putpalette([int(value) for colour in palette for value in colour])
    coloured.save(mask)
    counts = np.bincount(ids_HW.ravel(), minlength=len(classes))
    return {
        "image": str(image),
        "width": pixels.shape[1],
        "height": pixels.shape[0],
        "shares": {classes[i]: round(counts[i] / ids_HW.size, 6) for i in np.argsort(-counts) if counts[i]},
        "overlay": overlay.name,
        "mask": mask.name,
    }

"""Segments any images: an overlay with a legend and a mask for each, and the classes' shares as JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
from mmengine.config import Config
from PIL import Image

from tasks.segmentation.predictor import Predictor, load, predict_image
from tasks.segmentation.visualize import with_legend
from transfer.engine.images import find_images, read_image
from transfer.engine.inference import provenance
from transfer.engine.outputs import all_or_nothing, checked_folder, unique_stems


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
    predictor = load(config, checkpoint, deploy=deploy)
    with all_or_nothing(out) as folder:
        stems = [folder / stem for stem in unique_stems(images)]
        rows = [_one(predictor, image, stem) for image, stem in zip(images, stems, strict=True)]
        made_with = provenance(config, checkpoint, deployed=deploy)
        record = {**made_with, "classes": list(predictor.classes), "predictions": rows}
        (folder / "predictions.json").write_text(json.dumps(record, indent=2) + "\n")
    return record


def summary(record: dict[str, Any]) -> list[str]:
    """One line for each image, for the terminal."""
    return [
        f"{row['image']}: {', '.join(f'{name} {100 * share:.1f} %' for name, share in row['shares'].items())}"
        for row in record["predictions"]
    ]


def _one(predictor: Predictor, image: Path, stem: Path) -> dict[str, Any]:
    pixels = read_image(image)
    found = predict_image(predictor, pixels)
    overlay = stem.with_name(f"{stem.name}_segmentation.png")
    mask = stem.with_name(f"{stem.name}_mask.png")
    drawn = cv2.cvtColor(with_legend(pixels, found.mask, found.classes, found.palette), cv2.COLOR_RGB2BGR)
    overlay.write_bytes(cv2.imencode(".png", drawn)[1].tobytes())
    coloured = Image.fromarray(found.mask)
    coloured.putpalette([int(value) for colour in found.palette for value in colour])
    coloured.save(mask)
    return {
        "image": str(image),
        "width": pixels.shape[1],
        "height": pixels.shape[0],
        "shares": {name: round(share, 6) for name, share in found.shares.items()},
        "overlay": overlay.name,
        "mask": mask.name,
    }

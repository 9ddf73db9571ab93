"""Counts people in any images: an overlay for each, and the counts as JSON and CSV."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from mmengine.config import Config

from tasks.counting.hooks import draw_sample
from tasks.counting.structures import CrowdSample
from transfer.deploy import deploy as deployed_copy
from transfer.engine.images import find_images, read_image
from transfer.engine.inference import load_model, provenance
from transfer.engine.outputs import all_or_nothing, checked_folder, unique_stems


def predict(
    config: Config, checkpoint: str | Path, inputs: Sequence[str | Path], *, out: str | Path, deploy: bool = False
) -> dict[str, Any]:
    """Counts the people in images and writes `<name>_density.png` each, `predictions.json` and `predictions.csv`.

    Nothing appears in `out` before the last image is done.

    Args:
        config: of the model.
        checkpoint: that the config's training wrote.
        inputs: images and folders of images.
        out: folder for the results, made if it is not there.
        deploy: use the model's fused copy, see `transfer.deploy.deploy`.

    Returns:
        What `predictions.json` holds: `checkpoint`, `checkpoint_sha256`, `deployed`, `config` and `predictions`, a
        list of `image`, `count`, `width`, `height`, `tiles` and `overlay`.

    Raises:
        UserInputError: an input that is missing or no image, a checkpoint of another model.
    """
    out = checked_folder(out)
    images = find_images(inputs)
    model = load_model(config, checkpoint)
    model = deployed_copy(model) if deploy else model
    with all_or_nothing(out) as folder:
        overlays = [folder / f"{stem}_density.png" for stem in unique_stems(images)]
        rows = [_one(model, image, overlay) for image, overlay in zip(images, overlays, strict=True)]
        record = {**provenance(config, checkpoint, deployed=deploy), "predictions": rows}
        (folder / "predictions.json").write_text(json.dumps(record, indent=2) + "\n")
        with open(folder / "predictions.csv", "w", newline="") as file:
            writer = csv.DictWriter(file, ("image", "count", "width", "height", "overlay"), extrasaction="ignore")
            writer.writeheader()
            writer.writerows(rows)
    return record


def summary(record: dict[str, Any]) -> list[str]:
    """One line for each image, for the terminal."""
    return [f"{row['image']}: {row['count']:.1f} people" for row in record["predictions"]]


@torch.no_grad()
def predict_array(model: torch.nn.Module, image_HW3: np.ndarray) -> CrowdSample:
    """Predicts one uint8 RGB image."""
    shape = image_HW3.shape[:2]
    sample = CrowdSample(metainfo={"img_shape": shape, "ori_shape": shape})
    inputs = torch.from_numpy(np.ascontiguousarray(image_HW3.transpose(2, 0, 1)))
    return model.test_step({"inputs": [inputs], "data_samples": [sample]})[0].cpu()


def _one(model: torch.nn.Module, image: Path, overlay: Path) -> dict[str, Any]:
    image_HW3 = read_image(image)
    sample = predict_array(model, image_HW3)
    drawn = cv2.cvtColor(draw_sample(image_HW3, sample), cv2.COLOR_RGB2BGR)
    overlay.write_bytes(cv2.imencode(".png", drawn)[1].tobytes())
    height, width = image_HW3.shape[:2]
    return {
        "image": str(image),
        "count": round(sample.pred_count, 3),
        "width": width,
        "height": height,
        "tiles": list(sample.tiles),
        "overlay": overlay.name,
    }

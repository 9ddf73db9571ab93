"""Segments any images: an overlay with a legend and a mask for each, and the classes' shares as JSON."""

from __future__ import annotations

import io
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
from backbones.files import write_atomically
from tasks.segmentation.dataset import PREFIX, VOC_CLASSES, VOC_PALETTE, read_metainfo
from tasks.segmentation.masks import read_mask, voc_palette
from tasks.segmentation.visualize import LONGEST, panels
from transfer.deploy import deploy as deployed_copy
from transfer.engine.console import progress
from transfer.engine.data import find_data
from transfer.engine.images import find_images, read_image, write_image
from transfer.engine.inference import check_finite, checkpoint_meta, load_model, provenance
from transfer.engine.outputs import Results, checked_folder, shown_path, unique_stems

LOADERS = ("LoadPicture", "LoadImageFromFile")
"""Steps of a pipeline that read an image's file."""
MASK_LOADERS = ("LoadMask", "LoadAnnotations")
MAX_PIXELS = 3_000_000
"""Larger images are predicted at this size, and their masks enlarged: memory grows with pixels times classes."""


def predict(
    config: Config,
    checkpoint: str | Path,
    inputs: Sequence[str | Path],
    *,
    out: str | Path,
    deploy: bool = False,
    overwrite: bool = False,
    overlay: bool = True,
    full_size: bool = False,
) -> dict[str, Any]:
    """Segments images and writes `<name>_segmentation.png` and `<name>_mask.png` each, and `predictions.json`.

    The mask is a palette image of class ids in the size of its photograph, as VOC's are. Results are written as they
    come; an image that cannot be read costs itself alone.

    Args:
        config: of the model; its test pipeline prepares the images. Of images of its test data the overlay shows the
            ground truth too.
        checkpoint: that the config's training wrote.
        inputs: images, patterns such as `a/*.jpg`, and folders of images.
        out: folder for the results, made if it is not there.
        deploy: use the model's fused copy, see `transfer.deploy.deploy`.
        overwrite: replace the results that `out` holds.
        overlay: write `<name>_segmentation.png`: photograph and prediction side by side.
        full_size: draw overlays in full size, whatever it is.

    Returns:
        What `predictions.json` holds: `config`, `checkpoint`, `checkpoint_sha256`, `deployed`, `classes`,
        `predictions`, a list of `image`, `width`, `height`, `shares` (of the image, by class that is in it), `mask` and
        `overlay`, `failed` (a list of `image` and `reason`) and `complete`.

    Raises:
        UserInputError: an input that is missing, results in `out`, a checkpoint of another model, or no image that
            could be predicted.
    """
    folder = checked_folder(out, overwrite=overwrite)
    images = find_images(inputs)
    init_default_scope(config.get("default_scope") or "mmseg")
    model = load_model(config, checkpoint)
    classes, palette = classes_of(config, checkpoint_meta(checkpoint), model.decode_head.num_classes)
    load, pipeline = pipelines_of(config)
    model = deployed_copy(model) if deploy else model
    made_with = provenance(config, checkpoint, deployed=deploy)
    with Results(folder, {**made_with, "classes": list(classes)}) as results, progress("images", len(images)) as show:
        for done, (image, stem) in enumerate(zip(images, unique_stems(images), strict=True), start=1):
            with results.attempt(image):
                pixels = read_image(image)
                loaded = load({"img_path": str(image)})["img"]
                ids = predict_loaded(model, pipeline, loaded, where=str(image))
                row = _write_mask(image, ids, folder / f"{stem}_mask.png", classes, palette)
                if overlay:
                    row["overlay"] = f"{stem}_segmentation.png"
                    truth, longest = truth_of(config, image, ids.shape), None if full_size else LONGEST
                    drawn = panels(pixels, ids, classes, palette, truth, longest=longest)
                    write_image(folder / row["overlay"], drawn)
                results.add(row)
            show(done)
    return results.record


def summary(record: dict[str, Any]) -> list[str]:
    """One line for each image, for the terminal."""
    return [
        f"{row['image']}: {', '.join(f'{name} {100 * share:.1f} %' for name, share in row['shares'].items())}"
        for row in record["predictions"]
    ]


def classes_of(config: Config, meta: Mapping[str, Any], count: int) -> tuple[Sequence[str], Sequence[Sequence[int]]]:
    """Names and colours of `count` classes: by the checkpoint's `meta`, else of the config's data, else VOC's."""
    data = (config.get("test_dataloader") or {}).get("dataset") or {}
    said = [meta.get("dataset_meta"), data.get("metainfo")]
    for metainfo in said:
        if metainfo and len(metainfo.get("classes") or ()) == count:
            read = read_metainfo({key: metainfo.get(key) for key in ("classes", "palette")})
            return read["classes"], read["palette"] or voc_palette(count)
    if count == len(VOC_CLASSES):
        return VOC_CLASSES, VOC_PALETTE
    return [f"class {i}" for i in range(count)], voc_palette(count)


def pipelines_of(config: Config) -> tuple[Compose, Compose]:
    """What loads an image, and the rest of the config's test pipeline; raises `UserInputError` where it has none."""
    if not config.get("test_dataloader"):
        raise UserInputError(f"config {config.filename}: has no 'test_dataloader', whose pipeline prepares images")
    steps = config.test_dataloader.dataset.pipeline
    load = [step for step in steps if step["type"] in LOADERS]
    return Compose(load), Compose([step for step in steps if step["type"] not in (*LOADERS, *MASK_LOADERS)])


@torch.no_grad()
def predict_loaded(model: torch.nn.Module, pipeline: Compose, image: np.ndarray, where: str) -> np.ndarray:
    """Class ids (H, W), uint8, of an image as loaders give it, BGR, predicted at `MAX_PIXELS` at most.

    `where` is named in errors.
    """
    height, width = image.shape[:2]
    image = _bounded(image)
    shape = image.shape[:2]
    try:
        data = pipeline({"img": image, "img_shape": shape, "ori_shape": shape, "seg_fields": []})
    except cv2.error as error:  # such as for a side of 0 pixels after resizing
        raise UserInputError(f"{where}: cannot be resized as the config's test pipeline says: too slim") from error
    batch = {"inputs": [data["inputs"]], "data_samples": [data["data_samples"]]}
    sample = model.test_step(batch)[0]
    if "seg_logits" in sample:
        check_finite(sample.seg_logits.data, where)
    ids = sample.pred_sem_seg.data[0].cpu().numpy().astype(np.uint8)
    return ids if shape == (height, width) else cv2.resize(ids, (width, height), interpolation=cv2.INTER_NEAREST)


def _bounded(image: np.ndarray) -> np.ndarray:
    """The image, made smaller where it has more than `MAX_PIXELS`."""
    height, width = image.shape[:2]
    if height * width <= MAX_PIXELS:
        return image
    scale = (MAX_PIXELS / (height * width)) ** 0.5
    size = max(int(width * scale), 1), max(int(height * scale), 1)
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA)


def truth_of(config: Config, image: Path, shape_hw: tuple[int, ...]) -> np.ndarray | None:
    """The mask (H, W) of an image that lies where the config's test data are; None for any other."""
    data = (config.get("test_dataloader") or {}).get("dataset") or {}
    prefix = {**PREFIX, **(data.get("data_prefix") or {})}
    try:
        root = find_data(data.get("data_root", ""))
        if image.resolve().parent != (root / prefix["img_path"]).resolve():
            return None
        mask = read_mask(root / prefix["seg_map_path"] / (image.stem + data.get("seg_map_suffix", ".png")))
    except UserInputError:
        return None  # the data are not here, or have no sound mask of it: it is an image like any other
    return mask if mask.shape == tuple(shape_hw) else None


def _write_mask(
    image: Path, ids_HW: np.ndarray, mask: Path, classes: Sequence[str], palette: Sequence[Sequence[int]]
) -> dict[str, Any]:
    coloured, data = Image.fromarray(ids_HW), io.BytesIO()
    coloured.putpalette([int(value) for colour in palette for value in colour])
    coloured.save(data, "png")
    write_atomically(mask, data.getvalue())
    counts = np.bincount(ids_HW.ravel(), minlength=len(classes))
    return {
        "image": shown_path(image),
        "width": ids_HW.shape[1],
        "height": ids_HW.shape[0],
        "shares": {classes[i]: round(counts[i] / ids_HW.size, 6) for i in np.argsort(-counts) if counts[i]},
        "mask": mask.name,
    }

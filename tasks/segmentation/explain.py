"""What is explained of a segmentor: the logits of one class, summed over the pixels where it wins."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from backbones.errors import UserInputError
from tasks.segmentation.predictor import Predictor
from tasks.segmentation.predictor import load as load
from transfer.explain.view import Answer, View, choose_class, refuse_region

BACKGROUND = "background"
"""Not what is explained where nothing is said and anything else is found."""


def view(predictor: Predictor, image_HW3: NDArray[np.uint8], *, target: str | None = None, region: Any = None) -> View:
    """A class of one RGB image.

    Args:
        predictor: of `load`.
        image_HW3: uint8 RGB.
        target: name or number of the class; default the one with the most pixels, but for the background.
        region: none.

    Raises:
        UserInputError: the model has no such class, or segments in windows.
    """
    refuse_region(region)
    network: Any = predictor.network
    if network.test_cfg.get("mode", "whole") != "whole":
        raise UserInputError(
            "a segmentor that slides a window over the image has no map of the whole; expected "
            "--cfg-options model.test_cfg.mode=whole, which is another prediction"
        )
    chosen = None if target is None else choose_class(target, predictor.classes)
    shape = image_HW3.shape[:2]
    image_BGR = np.ascontiguousarray(image_HW3[..., ::-1])
    try:
        data = predictor.pipeline({"img": image_BGR, "img_shape": shape, "ori_shape": shape, "seg_fields": []})
    except cv2.error as error:  # such as for a side of 0 pixels after resizing
        raise UserInputError("the image cannot be resized as the config's test pipeline says: too slim") from error
    batch = {"inputs": [data["inputs"]], "data_samples": [data["data_samples"]]}
    batch = network.data_preprocessor(batch, False)

    def ask() -> Answer:
        (sample,) = network.predict(batch["inputs"], batch["data_samples"])
        mask_HW, logits_KHW = sample.pred_sem_seg.data[0].detach().long(), _logits(sample.seg_logits.data)
        counts = mask_HW.flatten().bincount(minlength=len(predictor.classes)).tolist()
        found = _largest(counts, predictor.classes) if chosen is None else chosen
        share, name = counts[found] / mask_HW.numel(), predictor.classes[found]
        said = f"{name}, {100 * share:.1f} % of the image"
        return Answer(
            logits_KHW[found][mask_HW == found].sum(), said, name, {"class": found, "name": name, "share": share}
        )

    return View(image_HW3, tuple(batch["inputs"].shape[-2:]), tuple(data["inputs"].shape[-2:]), ask)


def _largest(counts: list[int], classes: tuple[str, ...]) -> int:
    return max(range(len(counts)), key=lambda k: (counts[k] > 0 and classes[k] != BACKGROUND, counts[k]))


def _logits(found_KHW: Tensor) -> Tensor:
    """Logits of every class; of a head with one output, mmsegmentation gives the second class's probability alone."""
    if len(found_KHW) > 1:
        return found_KHW
    logits_1HW = torch.logit(found_KHW, eps=1e-6)
    return torch.cat([-logits_1HW, logits_1HW])

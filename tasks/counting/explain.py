"""What is explained of a counter: the sum of its density, of the whole image or of a rectangle."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from backbones.errors import UserInputError
from tasks.counting.predictor import Predictor
from tasks.counting.predictor import load as load
from transfer.explain.view import Answer, View

Box = tuple[int, int, int, int]


def view(
    predictor: Predictor, image_HW3: NDArray[np.uint8], *, target: str | None = None, region: Box | None = None
) -> View:
    """The count of one RGB image.

    Args:
        predictor: of `load`.
        image_HW3: uint8 RGB.
        target: none; there is but the count.
        region: count within (left, top, right, bottom) alone, in pixels; a cell has its share of pixels there.

    Raises:
        UserInputError: a target, a region outside the image, an image that the counter would predict in tiles.
    """
    if target is not None:
        raise UserInputError(f"--target {target}: a counter has one target, its count; leave it out")
    network: Any = predictor.network
    pixels = torch.from_numpy(np.ascontiguousarray(image_HW3.transpose(2, 0, 1)))
    inputs_13HW = network.data_preprocessor({"inputs": [pixels]})["inputs"]
    size, stride = image_HW3.shape[:2], network.stride
    padded = tuple(inputs_13HW.shape[-2:])
    if network.max_pixels is not None and padded[0] * padded[1] > network.max_pixels:
        raise UserInputError(
            f"an image of {size[1]} x {size[0]} pixels is predicted in tiles above max_pixels={network.max_pixels}, "
            "which have no map of the whole; expected a smaller image: cut or scale it"
        )
    weights_hw = torch.from_numpy(cell_shares(size, stride, _checked(region, size))).to(inputs_13HW.device)
    rows, columns = weights_hw.shape

    def ask() -> Answer:
        density_hw = network.density(inputs_13HW)[0, 0, :rows, :columns].float()
        total, score = float(density_hw.detach().sum(dtype=torch.float64)), (density_hw * weights_hw).sum()
        facts = {"noun": network.noun, "count": total}
        said = f"{total:.1f} {network.noun}"
        if region is not None:
            facts |= {"region": list(region), "count_in_region": float(score.detach())}
            said = f"{float(score.detach()):.1f} of {total:.1f} {network.noun} in the region"
        return Answer(score, said, facts=facts)

    return View(image_HW3, padded, size, ask)


def cell_shares(size: tuple[int, int], stride: int, region: Box | None) -> NDArray[np.float32]:
    """(h, w) share of each density cell's pixels inside the image that lies in a region; 1 without one."""
    left, top, right, bottom = region or (0, 0, size[1], size[0])
    return np.outer(_shares(size[0], stride, top, bottom), _shares(size[1], stride, left, right)).astype(np.float32)


def _shares(length: int, stride: int, start: int, end: int) -> NDArray[np.float64]:
    begin = np.arange(0, length, stride)
    finish = np.minimum(begin + stride, length)
    return (np.minimum(finish, end) - np.maximum(begin, start)).clip(0) / (finish - begin)


def _checked(region: Box | None, size: tuple[int, int]) -> Box | None:
    if region is None:
        return None
    left, top, right, bottom = region
    if not (0 <= left < right <= size[1] and 0 <= top < bottom <= size[0]):
        raise UserInputError(
            f"--region {','.join(map(str, region))}: expected left,top,right,bottom in pixels inside the image of "
            f"{size[1]} x {size[0]}"
        )
    return region

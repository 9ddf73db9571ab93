"""Transforms that move an image and its points together.

Each is called with a `Sample`, which it changes, and with the generator that all its randomness comes from. Names begin
with `CrowdRandom`, because mmcv keeps a `RandomFlip` of its own, for other samples, in the same registry.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import cv2
import numpy as np
import torch
from mmengine.registry import TRANSFORMS

from backbones.errors import UserInputError
from tasks.counting.structures import CrowdSample, Sample
from tasks.counting.targets import density_map, inside_mask


def resize(sample: Sample, shape_hw: tuple[int, int]) -> Sample:
    """Resizes image, points (x' = x W' / W) and widths; areas are averaged on the way down, linear on the way up."""
    (height, width), (new_height, new_width) = sample.shape, shape_hw
    if (height, width) == (new_height, new_width):
        return sample
    smaller = new_height * new_width < height * width
    interpolation = cv2.INTER_AREA if smaller else cv2.INTER_LINEAR
    sample.image = cv2.resize(np.ascontiguousarray(sample.image), (new_width, new_height), interpolation=interpolation)
    factor = np.array([new_width / width, new_height / height])
    sample.points = keep_inside(sample.points * factor, shape_hw)
    sample.sigma = (sample.sigma * np.sqrt(factor.prod())).astype(np.float32)
    return sample


def keep_inside(points_xy: np.ndarray, shape_hw: tuple[int, int]) -> np.ndarray:
    """Points (N, 2) as float32, those that rounding or a flip put on the far border a hair inside it."""
    far = np.nextafter(np.array(shape_hw[::-1], np.float32), np.float32(0))
    return np.clip(points_xy.astype(np.float32), np.float32(0), far)


@TRANSFORMS.register_module()
class CrowdRandomScale:
    """Resizes by one factor for both sides, drawn evenly on a logarithmic scale.

    Args:
        ratio_range: smallest and largest factor.
    """

    def __init__(self, ratio_range: tuple[float, float] = (0.75, 1.33)) -> None:
        self.low, self.high = _range("CrowdRandomScale.ratio_range", ratio_range)

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        factor = np.exp(rng.uniform(np.log(self.low), np.log(self.high)))
        height, width = (max(1, round(side * factor)) for side in sample.shape)
        return resize(sample, (height, width))


@TRANSFORMS.register_module()
class CrowdRandomCrop:
    """Cuts out a window, by option at a random scale; an image too small for it is enlarged until it fits.

    Only the window is resized, which is what makes it several times faster than `CrowdRandomScale` before a crop. Its
    sides are whole pixels before and after, so that the two axes' factors differ by up to half a pixel a side. Points
    in the half-open window stay; the count of a crop is the number of points that one can see in it.

    Args:
        size: side of the result, or (height, width), in pixels.
        ratio_range: smallest and largest factor of the scale, drawn evenly on a logarithmic scale.
    """

    def __init__(self, size: int | Sequence[int], ratio_range: tuple[float, float] = (1.0, 1.0)) -> None:
        pair = (size, size) if isinstance(size, int) else tuple(size)
        if len(pair) != 2 or any(not isinstance(side, int) or side < 1 for side in pair):
            raise UserInputError(f"CrowdRandomCrop.size={size!r}: expected a side or (height, width), in pixels")
        self.size = pair
        self.low, self.high = _range("CrowdRandomCrop.ratio_range", ratio_range)

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        fitting = max(new / old for new, old in zip(self.size, sample.shape, strict=True))
        factor = max(fitting, np.exp(rng.uniform(np.log(self.low), np.log(self.high))))
        height, width = (
            min(old, max(1, round(new / factor))) for new, old in zip(self.size, sample.shape, strict=True)
        )
        top = int(rng.integers(sample.shape[0] - height + 1))
        left = int(rng.integers(sample.shape[1] - width + 1))
        return resize(crop(sample, top, left, (height, width)), self.size)


def crop(sample: Sample, top: int, left: int, shape_hw: tuple[int, int]) -> Sample:
    """Cuts out the window of `shape_hw` at (`top`, `left`), which must lie in the image."""
    sample.image = sample.image[top : top + shape_hw[0], left : left + shape_hw[1]]
    points = sample.points - np.array([left, top], np.float32)
    inside = inside_mask(points, shape_hw)
    sample.points, sample.sigma, sample.outside = points[inside], sample.sigma[inside], 0
    return sample


@TRANSFORMS.register_module()
class CrowdRandomFlip:
    """Mirrors left and right: x' = W - x.

    Args:
        prob: how often.
    """

    def __init__(self, prob: float = 0.5) -> None:
        self.prob = _probability("CrowdRandomFlip.prob", prob)

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        return flip(sample) if rng.random() < self.prob else sample


def flip(sample: Sample) -> Sample:
    """Mirrors left and right: x' = W - x."""
    sample.image = sample.image[:, ::-1]
    mirrored = sample.points.copy()
    mirrored[:, 0] = sample.shape[1] - mirrored[:, 0]
    sample.points = keep_inside(mirrored, sample.shape)
    return sample


@TRANSFORMS.register_module()
class PhotometricJitter:
    """Changes brightness, contrast about the mean, gamma, saturation, in this order; sometimes takes the colour away.

    Args:
        brightness, contrast, saturation: factors are drawn evenly from [1 - value, 1 + value].
        gamma: exponents are drawn from [1 / (1 + value), 1 + value], evenly on a logarithmic scale.
        grayscale: how often the image loses its colour (part A has some images without).
    """

    def __init__(
        self,
        brightness: float = 0.2,
        contrast: float = 0.2,
        saturation: float = 0.2,
        gamma: float = 0.2,
        grayscale: float = 0.1,
    ) -> None:
        for name, value in {"brightness": brightness, "contrast": contrast, "saturation": saturation}.items():
            _probability(f"PhotometricJitter.{name}", value)
        if gamma < 0:
            raise UserInputError(f"PhotometricJitter.gamma={gamma}: expected a number of at least 0")
        self.spread = (brightness, contrast, saturation)
        self.gamma, self.grayscale = gamma, _probability("PhotometricJitter.grayscale", grayscale)

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        brightness, contrast, saturation = (rng.uniform(1 - s, 1 + s) for s in self.spread)
        gamma = np.exp(rng.uniform(-1, 1) * np.log1p(self.gamma))
        if rng.random() < self.grayscale:
            saturation = 0.0
        image = np.ascontiguousarray(sample.image)
        gray = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
        mean = brightness * float(gray.mean())
        values = (np.arange(256) * brightness - mean) * contrast + mean
        values = 255 * (values.clip(0, 255) / 255) ** gamma
        table = np.rint(values).astype(np.uint8)
        gray = cv2.cvtColor(cv2.LUT(gray, table), cv2.COLOR_GRAY2RGB)
        sample.image = cv2.addWeighted(cv2.LUT(image, table), saturation, gray, 1 - saturation, 0)
        return sample


@TRANSFORMS.register_module()
class DensityTarget:
    """Makes the density map (`density_map`) at the head's stride, from the image as it now is.

    Args:
        stride: side of a cell in pixels, the head's.
        sigma: width in pixels of the image that the network sees, or `"adaptive"`: 0.3 x the mean distance of the 3
            nearest points in the whole image, scaled along with it (`adaptive_sigma`).
        truncate: reach of a Gaussian in widths.
        max_sigma: upper bound of adaptive widths, in pixels.
    """

    def __init__(
        self, stride: int, sigma: float | str = 8.0, truncate: float = 4.0, max_sigma: float | None = None
    ) -> None:
        if not isinstance(stride, int) or stride < 1:
            raise UserInputError(f"DensityTarget.stride={stride!r}: expected a whole number of pixels")
        if sigma != "adaptive" and (isinstance(sigma, str) or not 0 <= sigma < np.inf):
            raise UserInputError(f"DensityTarget.sigma={sigma!r}: expected a width in pixels or 'adaptive'")
        if max_sigma is not None and (sigma != "adaptive" or max_sigma <= 0):
            raise UserInputError(
                f"DensityTarget.max_sigma={max_sigma}: expected a positive width, and sigma='adaptive'"
            )
        if truncate <= 0:
            raise UserInputError(f"DensityTarget.truncate={truncate}: expected a positive number of widths")
        self.stride, self.sigma, self.truncate = stride, sigma, truncate
        self.max_sigma = np.inf if max_sigma is None else max_sigma

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        adaptive = self.sigma == "adaptive"
        sigma = np.minimum(sample.sigma, self.max_sigma) if adaptive else np.full(len(sample.points), self.sigma)
        sample.target_sigma = sigma.astype(np.float32)
        sample.density = density_map(sample.points, sample.shape, self.stride, sigma, self.truncate)
        return sample


def target_strides(node: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """The dotted key and the value of each `DensityTarget`'s stride in a config, however deep it stands."""
    if isinstance(node, Mapping):
        if node.get("type") in ("DensityTarget", DensityTarget) and "stride" in node:
            yield f"{key}.stride", node["stride"]
        parts: Any = node.items()
    elif isinstance(node, (list, tuple)):
        parts = enumerate(node)
    else:
        return
    for name, part in parts:
        yield from target_strides(part, f"{key}.{name}".lstrip("."))


@TRANSFORMS.register_module()
class PackCrowd:
    """Ends every pipeline: `inputs`, a uint8 tensor (3, H, W), and `data_samples`, a `CrowdSample`."""

    def __call__(self, sample: Sample, rng: np.random.Generator) -> dict[str, Any]:
        metainfo = {
            "img_path": sample.img_path,
            "image_id": sample.image_id,
            "ori_shape": sample.ori_shape,
            "img_shape": sample.shape,
            "num_points": len(sample.points) + sample.outside,
            "sigma": sample.target_sigma,
        }
        packed = CrowdSample(metainfo=metainfo, points=torch.from_numpy(sample.points.copy()))
        if sample.density is not None:
            packed.density = torch.from_numpy(sample.density)[None]
        image_3HW = np.ascontiguousarray(sample.image.transpose(2, 0, 1))
        return {"inputs": torch.from_numpy(image_3HW), "data_samples": packed}


def _range(name: str, value: Any) -> tuple[float, float]:
    try:
        low, high = (float(v) for v in value)
    except (TypeError, ValueError):
        low, high = 1.0, 0.0
    if not 0 < low <= high < np.inf:
        raise UserInputError(f"{name}={value!r}: expected two positive numbers, the smaller first")
    return low, high


def _probability(name: str, value: float) -> float:
    if not 0 <= value <= 1:
        raise UserInputError(f"{name}={value}: expected a number from 0 to 1")
    return float(value)

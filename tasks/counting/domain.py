"""Whether an image is of the kind that a counter was trained on: of another kind, its counts are not to be trusted.

An image is described by statistics of its grey values, colours and edges, whatever the network. How unusual a
description is, a principal component model of the training images says (Tipping and Bishop, "Probabilistic Principal
Component Analysis", JRSS B 1999): its negative log-likelihood up to constants, a squared distance.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]

SCALES = 5
"""Each half as large as the one before."""

SIDE = 1024
"""Of larger images the middle is described: so many pixels of each side, as large as the network sees them."""

COMPONENTS = 12

FOLDS = 10

USUAL = 0.92
"""Share of the training images, each described by a model of the others, that is usual."""

LEAST = 2 * FOLDS
"""Images without which nothing can be said."""


def describe(image_HW3: NDArray[np.uint8]) -> Vector:
    """An image as a vector: grey values and colours (5), and edges on each of the scales (10 each).

    Args:
        image_HW3: uint8 RGB.
    """
    image = _middle(image_HW3).astype(np.float32) / 255
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    colour = image - grey[..., None]
    parts = [[grey.mean(), grey.std(), colour[..., 0].std(), colour[..., 2].std(), np.abs(colour).mean()]]
    for _ in range(SCALES):
        parts.append(_edges(grey))
        grey = cv2.pyrDown(grey)
    return np.concatenate(parts).astype(np.float64)


def _middle(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    top, left = (max(0, (size - SIDE) // 2) for size in image.shape[:2])
    return np.ascontiguousarray(image[top : top + SIDE, left : left + SIDE])


def _edges(grey: NDArray[np.float32]) -> NDArray[np.floating]:
    """Mean slopes and curvature, quantiles of the slope at pixels, and of its means over 8 x 8 pixels; logarithms."""
    across, down = (cv2.Sobel(grey, cv2.CV_32F, *order, ksize=3) / 8 for order in ((1, 0), (0, 1)))
    curvature = cv2.Laplacian(grey, cv2.CV_32F) / 4
    slope = np.hypot(across, down)
    blocks = cv2.blur(slope, (8, 8))[4::8, 4::8]
    values = [
        *(np.abs(part).mean() for part in (across, down, curvature)),
        *np.quantile(slope, (0.25, 0.5, 0.75, 0.95)),
        *np.quantile(blocks if blocks.size else slope, (0.1, 0.5, 0.9)),
    ]
    return np.log(np.array(values) + 1e-4)


@dataclass(frozen=True)
class Domain:
    """What is usual among a counter's training images; plain numbers, which go into checkpoints and cards.

    Attributes:
        images: how many it was made of.
        mean: (D,) of the descriptions.
        scale: (D,) their standard deviations.
        basis: (K, D) principal components of the standardised descriptions.
        variance: (K,) along them.
        rest: variance along each other direction.
        limit: distance that `USUAL` of the held-out training images do not exceed.
    """

    images: int
    mean: Sequence[float]
    scale: Sequence[float]
    basis: Sequence[Sequence[float]]
    variance: Sequence[float]
    rest: float
    limit: float

    def novelty(self, image_HW3: NDArray[np.uint8]) -> float:
        """How unusual an image is, from 0; above 1 it is unlike the training images."""
        return float(np.sqrt(_distances(self, describe(image_HW3)[None])[0] / self.limit))

    def plain(self) -> dict[str, Any]:
        """As numbers and lists of them, for a checkpoint's `meta`."""
        return asdict(self)


def fit(descriptions: Sequence[Vector]) -> Domain | None:
    """The domain of images with these descriptions; None of fewer than `LEAST`."""
    rows = np.array(descriptions)
    if len(rows) < LEAST:
        return None
    places = np.random.default_rng(0).permutation(len(rows))
    held_out = np.empty(len(rows))
    for fold in (places[i::FOLDS] for i in range(FOLDS)):
        held_out[fold] = _distances(_model(np.delete(rows, fold, axis=0), 1.0), rows[fold])
    return _model(rows, float(np.quantile(held_out, USUAL)))


def read(meta: Mapping[str, Any]) -> Domain | None:
    """The domain in a checkpoint's `meta`; None where it has none."""
    written = meta.get("domain")
    return Domain(**written) if written else None


def _model(rows: NDArray[np.float64], limit: float) -> Domain:
    mean, scale = rows.mean(0), rows.std(0) + 1e-6
    _, singular, basis = np.linalg.svd((rows - mean) / scale, full_matrices=False)
    variance = np.square(singular) / len(rows)
    others = max(rows.shape[1] - COMPONENTS, 1)
    return Domain(
        images=len(rows),
        mean=mean.tolist(),
        scale=scale.tolist(),
        basis=basis[:COMPONENTS].tolist(),
        variance=(variance[:COMPONENTS] + 1e-9).tolist(),
        rest=max(float(variance[COMPONENTS:].sum()) / others, 1e-4),
        limit=limit,
    )


def _distances(domain: Domain, rows: NDArray[np.float64]) -> Vector:
    standard = (rows - np.array(domain.mean)) / np.array(domain.scale)
    along = standard @ np.array(domain.basis).T
    beyond = np.square(standard).sum(1) - np.square(along).sum(1)
    return np.square(along) @ (1 / np.array(domain.variance)) + np.maximum(beyond, 0) / domain.rest

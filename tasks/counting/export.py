"""Counters as graphs for other programs, and exported ones in the place of counters."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from backbones.errors import UserInputError
from tasks.counting.predictor import Predictor
from tasks.counting.preprocessor import CountingDataPreprocessor
from tasks.counting.structures import CrowdSample
from tasks.counting.tiling import grid, predict_tiled
from transfer.engine.onnx_file import OnnxModel, wrong_shape
from transfer.export import Graph, padded


class CountingGraph(nn.Module):
    """From uint8 images (N, H, W, 3), RGB, to the density (N, h, w) per cell and the count (N,), float32.

    Args:
        counter: a `CrowdCounter`, deployed or not.
    """

    def __init__(self, counter: Any) -> None:
        super().__init__()
        self.counter = counter

    def forward(self, image_NHW3: Tensor) -> tuple[Tensor, Tensor]:
        preprocessor, stride = self.counter.data_preprocessor, self.counter.stride
        x = (image_NHW3.permute(0, 3, 1, 2).float() / 255 - preprocessor.mean) / preprocessor.std
        density = self.counter.density(padded(x, preprocessor.pad_divisor))[:, 0]
        if preprocessor.pad_divisor != stride:
            height, width = ((size + stride - 1) // stride for size in image_NHW3.shape[1:3])
            density = density[:, :height, :width]
        return density, density.sum((1, 2), dtype=torch.float64).float()


def graph(predictor: Predictor) -> Graph:
    """What is exported of a counter; raises `UserInputError` for a preprocessor that is not ours."""
    counter: Any = predictor.network
    preprocessor = counter.data_preprocessor
    if type(preprocessor) is not CountingDataPreprocessor:
        raise UserInputError(
            f"model.data_preprocessor is a {type(preprocessor).__name__}, expected CountingDataPreprocessor: no other "
            "becomes part of an exported graph"
        )
    facts = {
        "noun": counter.noun,
        "stride": counter.stride,
        "max_pixels": counter.max_pixels,
        "mean": preprocessor.mean.flatten().tolist(),
        "std": preprocessor.std.flatten().tolist(),
    }
    outputs = {
        "density": f"(N, ceil(H / {counter.stride}), ceil(W / {counter.stride})) float32, {counter.noun} per cell",
        "count": f"(N,) float32, {counter.noun} in the image",
    }
    return Graph(CountingGraph(counter), outputs, 2 * counter.stride, facts)


class ExportedCounter(nn.Module):
    """An exported counter in the place of a `CrowdCounter`, for prediction.

    Attributes:
        stride, noun, max_pixels: as in `CrowdCounter`.
    """

    def __init__(self, model: OnnxModel) -> None:
        super().__init__()
        self.model = model
        self.stride, self.noun, self.max_pixels = model.record.stride, model.record.noun, model.record.max_pixels

    def __deepcopy__(self, memo: Any) -> ExportedCounter:
        """Itself: it is deployed already, and what runs it cannot be copied."""
        return self

    def density(self, image_13HW: Tensor) -> Tensor:
        """People per cell (1, 1, h, w) of a uint8 image of any size."""
        density, _ = self.model.run(image_13HW.permute(0, 2, 3, 1).numpy(), "density", "count")
        expected = (1, *(-(-size // self.stride) for size in image_13HW.shape[2:]))
        if density.shape != expected or density.dtype != np.float32:
            raise wrong_shape(self.model, "density", density.shape, expected)
        return torch.from_numpy(density)[None]

    def test_step(self, data: dict[str, Any]) -> list[CrowdSample]:
        """As `CrowdCounter.test_step`, of uint8 images (3, H, W), image by image."""
        samples: list[CrowdSample] = data["data_samples"]
        for image, sample in zip(data["inputs"], samples, strict=True):
            tiles = self._tiles(image)
            if tiles == (1, 1):
                density = self.density(image[None])
            else:
                density = predict_tiled(self.density, image[None], self.stride, tiles)
            sample.pred_density = density[0]
            sample.pred_count = float(density.sum(dtype=torch.float64))
            sample.set_metainfo({"tiles": tiles, "stride": self.stride, "noun": self.noun})
        return samples

    def _tiles(self, image_3HW: Tensor) -> tuple[int, int]:
        height, width = (-(-size // self.stride) for size in image_3HW.shape[1:])
        return grid((height, width), self.stride, self.max_pixels)


def network(model: OnnxModel) -> nn.Module:
    """What predicts in the place of a counter."""
    return ExportedCounter(model)

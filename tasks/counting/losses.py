"""Losses on density maps in people per cell of the head's grid.

The density and count terms are in label units, `label_scale` times the people per pixel: squared or absolute errors of
a cell's, a block's or a crop's mean label. So they are of one size, and neither stride nor crop changes their weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from mmengine.registry import MODELS
from torch import Tensor, nn

from backbones.errors import UserInputError


@dataclass(frozen=True)
class CountingTarget:
    """What a batch of predictions is compared with.

    Attributes:
        density: people per cell, (N, 1, h, w), zero outside the images.
        valid: 1 for cells that begin inside their image, 0 for padding, (N, 1, h, w).
        points: points of each image, (M, 2) x and y in pixels.
        stride: side of a cell in pixels.
        label_scale: labels are this many times the people per pixel.
    """

    density: Tensor
    valid: Tensor
    points: Sequence[Tensor]
    stride: int
    label_scale: float = 100.0

    def difference(self, density_N1hw: Tensor) -> Tensor:
        """Prediction minus ground truth in label units, zero in the padding."""
        return (density_N1hw - self.density) * self.valid * (self.label_scale / self.stride**2)

    @property
    def cells(self) -> Tensor:
        """Number of cells inside the images, a scalar of at least 1."""
        return self.valid.sum().clamp(min=1)


class CountingLoss(nn.Module):
    """A loss term. `forward` weighs `term`, which a subclass implements.

    Args:
        weight: factor of the term.
    """

    name: str

    def __init__(self, weight: float = 1.0) -> None:
        super().__init__()
        self.weight = weight

    def term(self, density_N1hw: Tensor, target: CountingTarget) -> Tensor:
        """The unweighted loss of predicted people per cell."""
        raise NotImplementedError

    def forward(self, density_N1hw: Tensor, target: CountingTarget) -> Tensor:
        """The weighted loss, a scalar."""
        return self.weight * self.term(density_N1hw, target)


@MODELS.register_module()
class DensityMSELoss(CountingLoss):
    """Mean over the cells of the squared difference of labels."""

    name = "loss_density"

    def term(self, density_N1hw: Tensor, target: CountingTarget) -> Tensor:
        return target.difference(density_N1hw).square().sum() / target.cells


@MODELS.register_module()
class BlockCountLoss(CountingLoss):
    """Mean absolute error of the mean label of square blocks, summed over the block sizes.

    A block counts in proportion to its cells inside the image, so that slivers at a border weigh little.
    An error of e people in a block of b x b pixels is an error of `label_scale` e / b^2.

    Args:
        sizes: sides of the blocks in pixels, multiples of the head's stride.
        weight: factor of the term.
    """

    def __init__(self, sizes: Sequence[int] = (32, 64), weight: float = 1.0) -> None:
        super().__init__(weight)
        if not sizes or min(sizes) < 1:
            raise UserInputError(
                f"BlockCountLoss: sizes={sizes!r}, expected sides of blocks in pixels, such as (32, 64)"
            )
        self.sizes = tuple(sizes)
        self.name = "loss_blocks_" + "_".join(map(str, self.sizes))

    def term(self, density_N1hw: Tensor, target: CountingTarget) -> Tensor:
        difference = target.difference(density_N1hw)
        return sum((self._one(difference, size, target) for size in self.sizes), difference.new_zeros(()))

    def _one(self, difference_N1hw: Tensor, size: int, target: CountingTarget) -> Tensor:
        cells, rest = divmod(size, target.stride)
        if rest or not cells:
            raise UserInputError(
                f"BlockCountLoss: block size {size} is not a multiple of the head's stride {target.stride}"
            )
        return block_sums(difference_N1hw, cells).abs().sum() / target.cells


@MODELS.register_module()
class CropCountLoss(CountingLoss):
    """Mean absolute error of the mean label of each crop: the error of its count, divided by its area."""

    name = "loss_count"

    def term(self, density_N1hw: Tensor, target: CountingTarget) -> Tensor:
        return target.difference(density_N1hw).sum(dim=(1, 2, 3)).abs().sum() / target.cells


@MODELS.register_module()
class BayesianLoss(CountingLoss):
    """Bayesian loss on points (Ma et al., ICCV 2019): each point should get one person, the background none.

    A cell belongs to point n with posterior softmax_n(-d_n^2 / 2 sigma^2), where d is the distance from the cell's
    centre, and to the background with the squared distance (background_ratio x crop side)^2 / d_nearest^2, as in the
    authors' code (the paper writes it with a margin). In people: summed over points and background, mean over images.
    The map of an image without points should sum to zero.

    Args:
        sigma: width of a point's likelihood in pixels.
        background_ratio: the background's distance against the shorter side of the map.
        weight: factor of the term.
    """

    name = "loss_bayesian"

    def __init__(self, sigma: float = 8.0, background_ratio: float = 0.1, weight: float = 1.0) -> None:
        super().__init__(weight)
        self.sigma, self.background_ratio = sigma, background_ratio

    def term(self, density_N1hw: Tensor, target: CountingTarget) -> Tensor:
        images = (density_N1hw * target.valid)[:, 0]
        losses = [self._image(d, p, target.stride) for d, p in zip(images, target.points, strict=True)]
        return torch.stack(losses).mean()

    def _image(self, density_hw: Tensor, points_M2: Tensor, stride: int) -> Tensor:
        if not len(points_M2):
            return density_hw.sum().abs()
        expected = self.posterior(points_M2, density_hw.shape, stride) @ density_hw.flatten()
        return (1 - expected[:-1]).abs().sum() + expected[-1].abs()

    def posterior(self, points_M2: Tensor, shape: Sequence[int], stride: int) -> Tensor:
        """Probability (M + 1, h * w) that a cell belongs to each point or, last, to the background."""
        y, x = (stride * (torch.arange(n, device=points_M2.device) + 0.5) for n in shape)
        dx, dy = points_M2[:, :1] - x, points_M2[:, 1:] - y
        squared = (dy.square()[:, :, None] + dx.square()[:, None, :]).flatten(1)
        margin = self.background_ratio * min(shape) * stride
        background = margin**2 / (squared.amin(dim=0, keepdim=True) + 1e-5)
        return F.softmax(-torch.cat([squared, background]) / (2 * self.sigma**2), dim=0)


def block_sums(map_N1hw: Tensor, cells: int) -> Tensor:
    """Sums of blocks of `cells` x `cells` cells, (N, 1, ceil(h / cells), ceil(w / cells)); ragged blocks included."""
    height, width = map_N1hw.shape[-2:]
    padded = F.pad(map_N1hw, (0, -width % cells, 0, -height % cells))
    return F.avg_pool2d(padded, cells, divisor_override=1)

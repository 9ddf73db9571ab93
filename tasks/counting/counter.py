"""The crowd counter: a registered backbone, a density head, losses, and prediction of whole images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from mmengine.model import BaseModel
from mmengine.registry import MODELS
from torch import Tensor, nn

from backbones.errors import UserInputError, did_you_mean
from tasks.counting.losses import CountingLoss, CountingTarget
from tasks.counting.structures import NOUN
from tasks.counting.tiling import grid, predict_tiled
from tasks.counting.transforms import target_strides
from transfer.engine.inference import check_finite

if TYPE_CHECKING:
    from tasks.counting.structures import CrowdSample

TEST_OPTIONS = ("max_pixels",)


@MODELS.register_module()
class CrowdCounter(BaseModel):
    """Density-map counting with a registered backbone.

    Args:
        backbone: `dict(type="RegisteredBackbone", name=..., out_indices=...)`.
        head: `dict(type="C3Head" | "DilatedHead", ...)`; its `in_channels` follow from the backbone.
        loss: one loss or a list of them; their sum is minimised, each is logged under its own name.
        data_preprocessor: default `CountingDataPreprocessor` with the card's mean and std, padding to the stride.
        test_cfg: `max_pixels`: images with more pixels are predicted in tiles. Gates see a tile only, so this is
            not the same prediction; the data sample records `tiles=(rows, columns)`.
        label_scale: the head's raw output is this many times the people per pixel (C-3's `LOG_PARA`).
        noun: what is counted, a plural for captions and tables, such as `"cars"`; no number depends on it.
        channels_last: memory format of weights and activations; much faster for small networks on CPUs.
        init_cfg: mmengine's own initialisation.

    Attributes:
        stride: side of a density cell in pixels.
        noun: what is counted.

    Raises:
        UserInputError: an option that is unknown or does not fit the backbone.
    """

    def __init__(
        self,
        backbone: Mapping[str, Any],
        head: Mapping[str, Any],
        loss: Mapping[str, Any] | Sequence[Mapping[str, Any]],
        data_preprocessor: Mapping[str, Any] | nn.Module | None = None,
        test_cfg: Mapping[str, Any] | None = None,
        label_scale: float = 100.0,
        noun: str = NOUN,
        channels_last: bool = False,
        init_cfg: Any = None,
    ) -> None:
        built = MODELS.build(backbone)
        info = _selected(built.feature_info, head)
        self._stride = info.stride
        super().__init__(_preprocessor(data_preprocessor, built.card, info.stride), init_cfg)
        self.backbone = built
        self.head = MODELS.build(_fitting(head, info.channels))
        self.losses = nn.ModuleList(MODELS.build(one) for one in ([loss] if isinstance(loss, Mapping) else loss))
        _check_losses(self.losses)
        if label_scale <= 0:
            raise UserInputError(f"model.label_scale={label_scale}: expected a positive number")
        self.label_scale = label_scale
        if not isinstance(noun, str) or not noun.strip():
            raise UserInputError(f"model.noun={noun!r}: expected what is counted as a word, such as 'people' or 'cars'")
        self.noun = noun
        self.max_pixels = _test_options(test_cfg)["max_pixels"]
        self.memory_format = torch.channels_last if channels_last else torch.contiguous_format
        self.to(memory_format=self.memory_format)

    @property
    def stride(self) -> int:
        """Side of a density cell in pixels."""
        return self._stride

    def check_config(self, config: Mapping[str, Any]) -> None:
        """Compares the density strides of a config's pipelines with the head's, and the folds of its data sets.

        Raises:
            UserInputError: a stride is not the head's, or test images of one fold would be trained on in another.
        """
        _check_folds(config)
        for key, stride in target_strides(config):
            if stride != self.stride:
                raise UserInputError(
                    f"config key {key}={stride}: the head's output has stride {self.stride} (config key "
                    "model.backbone: out_indices, strides, output_stride), expected the same in both"
                )

    def density(self, inputs_N3HW: Tensor) -> Tensor:
        """People per cell (N, 1, H / stride, W / stride) of normalised images: the only place that divides."""
        raw = self.head(self.backbone(inputs_N3HW.contiguous(memory_format=self.memory_format)))
        return raw * (self.stride**2 / self.label_scale)

    def forward(self, inputs: Tensor, data_samples: list[CrowdSample] | None = None, mode: str = "tensor") -> Any:
        """mmengine's three modes.

        Args:
            inputs: normalised images (N, 3, H, W), sides divisible by the stride.
            data_samples: one for each image.
            mode: `"tensor"` gives people per cell, `"loss"` a dict of scalars, `"predict"` the samples with
                `pred_density` (1, h, w), `pred_count` and, as metainfo, `tiles`, `stride` and `noun`.
        """
        if mode == "tensor":
            return self.density(inputs)
        if mode not in ("loss", "predict") or data_samples is None:
            raise ValueError(f"mode={mode!r}: expected 'tensor', or 'loss' or 'predict' with data samples")
        return self.loss(inputs, data_samples) if mode == "loss" else self.predict(inputs, data_samples)

    def loss(self, inputs: Tensor, data_samples: list[CrowdSample]) -> dict[str, Tensor]:
        """Each loss by its name; the samples need `density`, from a target transform of the same stride."""
        density = self.density(inputs)
        target = self._target(density, data_samples)
        return {loss.name: loss(density.float(), target) for loss in self.losses}

    def _target(self, density_N1hw: Tensor, samples: list[CrowdSample]) -> CountingTarget:
        truth, valid = torch.zeros_like(density_N1hw, dtype=torch.float32), torch.zeros_like(density_N1hw)
        for i, sample in enumerate(samples):
            cells = self._cells(sample)
            if tuple(sample.density.shape[-2:]) != cells:
                raise UserInputError(
                    f"the pipeline's density map has {tuple(sample.density.shape[-2:])} cells for an image of "
                    f"{tuple(sample.img_shape)}, the head has {cells}: expected stride={self.stride} in its transform"
                )
            truth[i, :, : cells[0], : cells[1]] = sample.density
            valid[i, :, : cells[0], : cells[1]] = 1
        return CountingTarget(truth, valid, [s.points for s in samples], self.stride, self.label_scale)

    def predict(self, inputs: Tensor, data_samples: list[CrowdSample]) -> list[CrowdSample]:
        """Fills in `pred_density` and `pred_count` of whole images; the padding is cut off.

        Raises:
            RunError: a density is not finite.
        """
        height, width = (size // self.stride for size in inputs.shape[-2:])
        tiles = grid((height, width), self.stride, self.max_pixels)
        if tiles == (1, 1):
            density = self.density(inputs)
        else:
            density = torch.cat([predict_tiled(self.density, one, self.stride, tiles) for one in inputs.split(1)])
        for sample, one in zip(data_samples, density.detach().float(), strict=True):
            height, width = self._cells(sample)
            sample.pred_density = one[:, :height, :width].clone()
            check_finite(sample.pred_density, sample.get("img_path"))
            sample.pred_count = float(sample.pred_density.sum(dtype=torch.float64))
            sample.set_metainfo({"tiles": tiles, "stride": self.stride, "noun": self.noun})
        return data_samples

    def _cells(self, sample: CrowdSample) -> tuple[int, int]:
        """Cells that begin inside the image."""
        height, width = sample.img_shape[:2]
        return -(-height // self.stride), -(-width // self.stride)


def _check_folds(config: Mapping[str, Any]) -> None:
    """All loaders of a data set with folds are of the same one."""
    folds: dict[str, tuple[str, int]] = {}
    for loader in ("train_dataloader", "val_dataloader", "test_dataloader"):
        dataset = (config.get(loader) or {}).get("dataset") or {}
        key, fold = f"{loader}.dataset.fold", dataset.get("fold", 0)
        other, found = folds.setdefault(str(dataset.get("data_root")), (key, fold))
        if found != fold:
            raise UserInputError(f"config key {key}={fold}: {other} is {found}, expected the same fold in all loaders")


def _selected(feature_info: Sequence[Any], head: Mapping[str, Any]) -> Any:
    index = head.get("in_index", -1)
    if not -len(feature_info) <= index < len(feature_info):
        raise UserInputError(f"model.head.in_index={index}: the backbone puts out {len(feature_info)} feature map(s)")
    return feature_info[index]


def _fitting(head: Mapping[str, Any], channels: int) -> dict[str, Any]:
    given = head.get("in_channels", channels)
    if given != channels:
        raise UserInputError(
            f"model.head.in_channels={given}: the selected feature map has {channels} channels; leave the key out"
        )
    return {**head, "in_channels": channels}


def _preprocessor(given: Mapping[str, Any] | nn.Module | None, card: Any, stride: int) -> Any:
    """Completes the preprocessor's config with what follows from the card and from the head."""
    if isinstance(given, nn.Module):
        return given
    config = {"type": "CountingDataPreprocessor", "mean": card.input.mean, "std": card.input.std, "pad_divisor": stride}
    config.update(given or {})
    if config["pad_divisor"] % stride:
        raise UserInputError(
            f"model.data_preprocessor.pad_divisor={config['pad_divisor']}: expected a multiple of the stride {stride}"
        )
    return config


def _check_losses(losses: Sequence[nn.Module]) -> None:
    names = [getattr(loss, "name", type(loss).__name__) for loss in losses]
    if not losses or len(set(names)) < len(names) or not all(isinstance(loss, CountingLoss) for loss in losses):
        raise UserInputError(f"model.loss: expected one or more different counting losses, found {names}")


def _test_options(test_cfg: Mapping[str, Any] | None) -> dict[str, Any]:
    options = {"max_pixels": None, **(test_cfg or {})}
    for key in options:
        if key not in TEST_OPTIONS:
            raise UserInputError(
                f"model.test_cfg.{key} is unknown, expected max_pixels.{did_you_mean(key, TEST_OPTIONS)}"
            )
    most = options["max_pixels"]
    if most is not None and (isinstance(most, bool) or not isinstance(most, (int, float)) or not most >= 1):
        raise UserInputError(f"model.test_cfg.max_pixels={most!r}: expected a number of pixels, or None for no limit")
    return options

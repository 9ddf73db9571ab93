"""The classifier: a registered backbone with its own linear layer, trained with cross-entropy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from mmengine.model import BaseModel
from mmengine.registry import MODELS
from torch import Tensor

from backbones.errors import UserInputError
from backbones.scheme import ConnectionScheme


@MODELS.register_module()
class Classifier(BaseModel):
    """Image classification with a registered backbone, stand-alone or a supernet (`backbone.supernet=True`).

    Its state-dict keys are the network's behind `backbone.`, the linear layer (`backbone.fc`) included.

    Args:
        backbone: `dict(type="RegisteredBackbone", name=...)`.
        num_classes: classes K.
        data_preprocessor: default `ClassificationPreprocessor` with the card's mean and std.
        channels_last: memory format of weights and activations; faster for small networks on CPUs.
        init_cfg: mmengine's own initialisation.

    Attributes:
        schemes: connection schemes that each training iteration runs, one after the other on the same images, with
            the mean of their losses (supernet training sets it); empty: the one in force.
    """

    def __init__(
        self,
        backbone: Mapping[str, Any],
        num_classes: int,
        data_preprocessor: Mapping[str, Any] | None = None,
        channels_last: bool = False,
        init_cfg: Any = None,
    ) -> None:
        if num_classes < 2:
            raise UserInputError(f"model.num_classes={num_classes}: expected at least 2")
        built = MODELS.build({**backbone, "num_classes": num_classes})
        statistics = {"mean": built.card.mean, "std": built.card.std, "num_classes": num_classes}
        preprocessor = {"type": "ClassificationPreprocessor", **statistics, **(data_preprocessor or {})}
        super().__init__(preprocessor, init_cfg)
        self.backbone = built
        self.schemes: tuple[ConnectionScheme, ...] = ()
        self.memory_format = torch.channels_last if channels_last else torch.contiguous_format
        self.to(memory_format=self.memory_format)

    def forward(self, inputs: Tensor, labels: Tensor | None = None, mode: str = "tensor") -> Any:
        """mmengine's three modes.

        Args:
            inputs: normalised images (N, C, H, W).
            labels: class indices (N,).
            mode: `"tensor"` gives logits (N, K), `"loss"` a dict with the loss, `"predict"` a dict an image with
                `scores` (K,), which are logits, and `labels`.
        """
        inputs = inputs.contiguous(memory_format=self.memory_format)
        if mode == "tensor":
            return self.backbone(inputs)
        if mode not in ("loss", "predict") or labels is None:
            raise ValueError(f"mode={mode!r}: expected 'tensor', or 'loss' or 'predict' with labels")
        if mode == "loss":
            return self.loss(inputs, labels)
        return [{"scores": s, "labels": y} for s, y in zip(self.backbone(inputs).float(), labels, strict=True)]

    def loss(self, inputs: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """Cross-entropy, the mean over images and over `schemes`."""
        if not self.schemes:
            return {"loss": F.cross_entropy(self.backbone(inputs).float(), labels)}
        losses = []
        for scheme in self.schemes:
            self.backbone.scheme = scheme
            losses.append(F.cross_entropy(self.backbone(inputs).float(), labels))
        return {"loss": torch.stack(losses).mean()}

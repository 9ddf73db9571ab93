"""Segmentors as graphs for other programs, and exported ones in the place of segmentors."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import torch
from mmseg.models.data_preprocessor import SegDataPreProcessor
from mmseg.models.segmentors import EncoderDecoder
from torch import Tensor, nn

from backbones.errors import UserInputError
from tasks.segmentation.predictor import Predictor
from transfer.engine.onnx_file import OnnxModel, wrong_shape
from transfer.export import Graph, padded


class SegmentationGraph(nn.Module):
    """From uint8 images (N, H, W, 3), RGB, to logits (N, C, H, W), float32, and class ids (N, H, W), uint8.

    Args:
        segmentor: an `EncoderDecoder` that predicts whole images, deployed or not.
    """

    def __init__(self, segmentor: Any) -> None:
        super().__init__()
        self.segmentor = segmentor

    def forward(self, image_NHW3: Tensor) -> tuple[Tensor, Tensor]:
        preprocessor = self.segmentor.data_preprocessor
        x = image_NHW3.permute(0, 3, 1, 2).float()
        if not preprocessor.channel_conversion:  # the preprocessor's own input is BGR
            x = x.flip(1)
        if preprocessor._enable_normalize:
            x = (x - preprocessor.mean) / preprocessor.std
        x = padded(x, _divisor(preprocessor), preprocessor.pad_val)
        meta = {"img_shape": x.shape[2:], "pad_shape": x.shape[2:], "ori_shape": x.shape[2:]}
        logits = self.segmentor.encode_decode(x, [meta])[:, :, : image_NHW3.shape[1], : image_NHW3.shape[2]]
        return logits, self._classes(logits)

    def _classes(self, logits_NCHW: Tensor) -> Tensor:
        if logits_NCHW.shape[1] > 1:
            return logits_NCHW.argmax(1).to(torch.uint8)
        return (logits_NCHW[:, 0].sigmoid() > self.segmentor.decode_head.threshold).to(torch.uint8)


def graph(predictor: Predictor) -> Graph:
    """What is exported of a segmentor.

    Raises:
        UserInputError: a segmentor or preprocessor that does what no graph holds.
    """
    segmentor: Any = predictor.network
    _check(segmentor)
    preprocessor, steps = segmentor.data_preprocessor, predictor.pipeline.transforms
    names = list(predictor.classes)
    facts = {
        "dataset_meta": {"classes": names, "palette": [list(colour) for colour in predictor.palette]},
        "num_classes": segmentor.num_classes,
        "align_corners": bool(segmentor.align_corners),
        "threshold": segmentor.decode_head.threshold,
        "resize": [{"scale": list(step.scale), "keep_ratio": step.keep_ratio} for step in steps if _resizes(step)],
    }
    if preprocessor._enable_normalize:
        for key in ("mean", "std"):
            facts[key] = [value / 255 for value in getattr(preprocessor, key).flatten().tolist()]
    outputs = {
        "logits": f"(N, {segmentor.out_channels}, H, W) float32",
        "classes": "(N, H, W) uint8, ids of the classes",
    }
    strides = [info.stride for info in getattr(segmentor.backbone, "feature_info", ())]
    return Graph(SegmentationGraph(segmentor), outputs, 2 * max(strides, default=16), facts)


def _resizes(step: Any) -> bool:
    return type(step).__name__ == "Resize" and step.scale is not None


def _divisor(preprocessor: Any) -> int:
    return int((preprocessor.test_cfg or {}).get("size_divisor") or 1)


def _check(segmentor: Any) -> None:
    preprocessor = segmentor.data_preprocessor
    if type(preprocessor) is not SegDataPreProcessor or (preprocessor.test_cfg or {}).get("size"):
        raise UserInputError(
            f"model.data_preprocessor is a {type(preprocessor).__name__} with test_cfg={preprocessor.test_cfg}: only "
            "SegDataPreProcessor, padding to a size_divisor or not at all, becomes part of an exported graph"
        )
    if (mode := segmentor.test_cfg.get("mode", "whole")) != "whole":
        raise UserInputError(f"model.test_cfg.mode={mode!r}: a graph predicts whole images, expected 'whole'")


class ExportedSegmentor(nn.Module):
    """An exported segmentor in the place of mmsegmentation's, for prediction.

    Attributes:
        align_corners, decode_head: as far as `postprocess_result` and the commands ask for them.
    """

    postprocess_result = EncoderDecoder.postprocess_result

    def __init__(self, model: OnnxModel) -> None:
        super().__init__()
        self.model, self.align_corners = model, model.record.align_corners
        self.decode_head = SimpleNamespace(num_classes=model.record.num_classes, threshold=model.record.threshold)

    def __deepcopy__(self, memo: Any) -> ExportedSegmentor:
        """Itself: it is deployed already, and what runs it cannot be copied."""
        return self

    def test_step(self, data: dict[str, Any]) -> list[Any]:
        """As a segmentor's: uint8 images (3, H, W), BGR, as the config's pipeline made them; one by one."""
        return [self._one(*pair) for pair in zip(data["inputs"], data["data_samples"], strict=True)]

    def _one(self, image_3HW: Tensor, sample: Any) -> Any:
        if image_3HW.dtype != torch.uint8:
            raise UserInputError(
                f"{self.model.path}: takes uint8 images, but the config's test pipeline makes {image_3HW.dtype}"
            )
        logits, _ = self.model.run(image_3HW.flip(0).permute(1, 2, 0)[None].numpy(), "logits", "classes")
        if logits.ndim != 4 or logits.shape[2:] != tuple(image_3HW.shape[1:]):
            raise wrong_shape(self.model, "logits", logits.shape, (1, "classes", *image_3HW.shape[1:]))
        return self.postprocess_result(torch.from_numpy(logits), [sample])[0]


def network(model: OnnxModel) -> nn.Module:
    """What predicts in the place of a segmentor."""
    return ExportedSegmentor(model)

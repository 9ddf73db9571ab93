"""What predicting with a trained model takes, whatever the task."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.registry import MODELS

from backbones.errors import RunError
from backbones.files import sha256_file
from transfer.engine.backbone import without_initial_weights
from transfer.engine.checkpoint import check_same_model
from transfer.engine.compat import load_foreign_checkpoint
from transfer.engine.onnx_file import SUFFIX, OnnxModel, read_meta
from transfer.task import get_task


def load_model(config: Config, checkpoint: str | Path) -> torch.nn.Module:
    """The config's model with a checkpoint's weights, on the best device there is, for evaluation.

    Of an exported model (`.onnx`), what runs it takes the model's place: its `test_step` gives the same.

    Raises:
        UserInputError: the checkpoint is missing, unreadable or of another model.
    """
    if Path(checkpoint).suffix == SUFFIX:
        return get_task(config).part("export").network(OnnxModel(checkpoint))
    state = load_foreign_checkpoint(checkpoint)
    with without_initial_weights():
        model = MODELS.build(config.model)
    model.load_state_dict(check_same_model(model, state, checkpoint))
    return model.to(get_device()).eval()


def checkpoint_meta(checkpoint: str | Path) -> dict[str, Any]:
    """What a checkpoint, or an exported model, says of itself."""
    if Path(checkpoint).suffix == SUFFIX:
        return read_meta(checkpoint)
    return load_foreign_checkpoint(checkpoint).get("meta") or {}


def check_finite(output: torch.Tensor, image: object = None) -> None:
    """Refuses what a network put out for an image where it is no figure.

    Raises:
        RunError: a number in it is not finite.
    """
    if not bool(output.isfinite().all()):
        where = f"{image}: " if image else ""
        raise RunError(
            f"{where}the network's output holds numbers that are not finite: it diverged, or its weights are damaged; "
            "take another checkpoint"
        )


def provenance(config: Config, checkpoint: str | Path, *, deployed: bool) -> dict[str, Any]:
    """What predictions were made with: `config`, `checkpoint`, `checkpoint_sha256` and `deployed`."""
    return {
        "config": str(config.filename),
        "checkpoint": str(checkpoint),
        "checkpoint_sha256": sha256_file(checkpoint),
        "deployed": deployed or Path(checkpoint).suffix == SUFFIX,
    }

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


def load_model(config: Config, checkpoint: str | Path) -> torch.nn.Module:
    """The config's model with a checkpoint's weights, on the best device there is, for evaluation.

    Raises:
        UserInputError: the checkpoint is missing, unreadable or of another model.
    """
    state = load_foreign_checkpoint(checkpoint)
    with without_initial_weights():
        model = MODELS.build(config.model)
    model.load_state_dict(check_same_model(model, state, checkpoint))
    return model.to(get_device()).eval()


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
        "deployed": deployed,
    }

"""Checkpoints as our own trainings write them."""

import io

import torch

from backbones.integrity import write_with_hash


def save_checkpoint(checkpoint, path):
    """`torch.save`, with the hash beside it: without one, every command would say so."""
    data = io.BytesIO()
    torch.save(checkpoint, data)
    write_with_hash(path, data.getvalue())

"""A model made ready for inference: the same outputs, in less time."""

from transfer.deploy.folding import deploy

__all__ = ["deploy"]

"""Grad-CAM (Selvaraju et al., ICCV 2017): where a layer finds what speaks for an output of the network."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from backbones.errors import UserInputError, did_you_mean
from backbones.trunk import Trunk


def grad_cam(layer: nn.Module, score: Callable[[], Tensor]) -> Tensor:
    """The class activation map of a layer: `relu(sum_k alpha_k A^k)` (Eq. 2).

    `A^k` (h, w) is channel k of what the layer puts out, and `alpha_k` the mean over space of the score's derivative by
    it (Eq. 1). Nothing in front of the layer is kept for the backward pass, which needs about as much memory as a
    prediction, and no parameter gets a gradient.

    Args:
        layer: a module of the network in evaluation mode, which puts out a map (N, C, h, w).
        score: runs the network once, and gives the number y to be explained, a scalar: a logit, not a probability.

    Returns:
        The map (N, h, w), not negative, in units of the score; 0 everywhere where nothing speaks for it.
    """
    caught: list[Tensor] = []

    def cut(module: nn.Module, inputs: Any, output: Tensor) -> Tensor:
        caught.append(output.detach().requires_grad_())
        torch.set_grad_enabled(True)
        return caught[-1].clone()  # what follows may write into it

    handle = layer.register_forward_hook(cut)
    try:
        with torch.no_grad():  # until the layer is reached, see `cut`
            y = score()
    finally:
        handle.remove()
    if len(caught) != 1:
        raise ValueError(f"the layer ran {len(caught)} times for one score, expected once")
    (gradient_NCHW,) = torch.autograd.grad(y, caught, materialize_grads=True)
    alpha_NC11 = gradient_NCHW.mean((2, 3), keepdim=True)
    return (alpha_NC11 * caught[0].detach()).sum(1).relu()


def find_layer(net: Trunk, name: str | None = None) -> tuple[str, nn.Module]:
    """A stage or block of a backbone by its name, such as `layer3` or `layer3.4`, from 0; default the last stage.

    Raises:
        UserInputError: it has no such stage or block (with close matches).
    """
    known = layer_names(net)
    name = f"layer{net.stages_built}" if name is None else name
    if name not in known:
        stages = ", ".join(f"layer{stage}" for stage in range(1, net.stages_built + 1))
        last = [f"layer{stage}.{net.arch.depths[stage - 1] - 1}" for stage in range(1, net.stages_built + 1)]
        raise UserInputError(
            f"--layer {name}: expected a stage ({stages}), or a block of one, counted from 0 (the last ones are "
            f"{', '.join(last)}).{did_you_mean(name, known)}"
        )
    return name, net.get_submodule(name)


def layer_names(net: Trunk) -> list[str]:
    """Names of the stages and blocks of a backbone that are built."""
    return [
        name
        for stage in range(1, net.stages_built + 1)
        for name in (f"layer{stage}", *(f"layer{stage}.{block}" for block in range(net.arch.depths[stage - 1])))
    ]

"""The one adapter that makes a registered backbone a part of mmengine models."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import torch
from mmengine.logging import print_log
from mmengine.model import initialize
from mmengine.registry import MODELS
from torch import nn

from backbones.arch import FAMILIES, get_arch
from backbones.errors import UserInputError
from backbones.registry import build, get_card
from backbones.trunk import Trunk
from backbones.weights import LoadReport, check_full_widths, find_trunk_weights, load_weights
from transfer.engine.compat import harmless_globals
from transfer.engine.fit import fit_stride, possible_init

INITS = ("scratch", "trunk", "full", "auto")

_loading: ContextVar[bool] = ContextVar("loading", default=True)


@contextmanager
def without_initial_weights() -> Iterator[None]:
    """Inside, backbones are built without reading the weights they start from: a checkpoint will replace them."""
    token = _loading.set(False)
    try:
        yield
    finally:
        _loading.reset(token)


def _with_options_of_the_network(function: Callable[..., Trunk]) -> Callable[..., Trunk]:
    """Names `**overrides` in the signature, by which config keys are checked: the options of all families."""
    *own, _ = inspect.signature(function).parameters.values()
    theirs: dict[str, inspect.Parameter] = {}
    for family in FAMILIES.values():
        theirs |= dict(inspect.signature(family.network()).parameters)
    known = {"arch", *(parameter.name for parameter in own)}
    described: Any = function  # functions have no declared __signature__
    described.__signature__ = inspect.Signature([*own, *(p for p in theirs.values() if p.name not in known)])
    return function


@MODELS.register_module()
@_with_options_of_the_network
def RegisteredBackbone(
    name: str,
    init: str | None = None,
    weights: str | None = None,
    pretrained: bool | None = None,
    out_indices: Sequence[int] | None = None,
    stride: int | None = None,
    dilate: bool = False,
    init_cfg: Any = None,
    **overrides: Any,
) -> Trunk:
    """Builds a backbone by its registered name: the network itself, with what mmengine models ask of it.

    Args:
        name: a name of `backbones.registry.list_backbones`, or one without its tag, which means the default card.
        init: `"scratch"`; `"trunk"`: a ResNet file for the trunk, the SAMs fresh; `"full"`: the card's own weights;
            `"auto"`: the most of these that there is. Where no trunk weights can exist (CIFAR), `"trunk"` is `"auto"`,
            and says so.
        weights: file to take `trunk` or `full` from, instead of the one found by name.
        pretrained: `True` is short for `init="full"`.
        out_indices: stages whose features are put out, 0-based or counted from the last (-1); default the last.
        stride: of the last of them against the image; stem and stages are fitted to it (`transfer.engine.fit`).
        dilate: let stages whose stride is left out for `stride` dilate.
        init_cfg: mmengine's own initialisation, after everything else.
        overrides: further arguments of the family's class, such as `output_stride`, `norm_eval` or `channels_last`.

    Returns:
        The network, with `card`; `init`, where its weights come from; and `load_report`, what was loaded, or None.

    Raises:
        UserInputError: unknown name or option, weights that are missing or do not fit.
    """
    init = _read_init(init, pretrained, weights)
    card = get_card(name)
    net: Any = build(card, **fit_stride(get_arch(card.arch), stride, dilate, out_indices=out_indices, **overrides))
    net.card, net.load_report = card, None
    net.init = init if weights is not None else possible_init(card, init)
    if _loading.get():
        if init == "trunk" != net.init:
            own = "the card's own weights" if net.init == "full" else "scratch"
            line = f"{name}: no trunk weights exist for {card.arch}, starting from {own} (init={net.init})"
            print_log(line, logger="current", level=logging.WARNING)
        net.load_report = _load(net, weights)
        if init_cfg:
            initialize(net, init_cfg)
    return net


def _load(net: Any, weights: str | None) -> LoadReport | None:
    if net.init == "scratch":
        return None
    if net.init == "trunk":
        check_full_widths(net)
    if weights is not None:
        source = Path(weights)
    else:
        source = find_trunk_weights(net.card.arch) if net.init == "trunk" else net.card.weights_path()
    with torch.serialization.safe_globals(harmless_globals()):  # checkpoints of OpenMMLab projects
        report = load_weights(net, source, init=net.init)
    print_log(f"{net.card.name}, init={net.init} from {source}:\n{report}", logger="current")
    return report


def registered_backbones(model: nn.Module) -> list[Any]:
    """The networks in a model that `RegisteredBackbone` built, with their `card` and `init`."""
    return [module for module in model.modules() if isinstance(module, Trunk) and hasattr(module, "card")]


def _read_init(init: str | None, pretrained: bool | None, weights: str | None) -> str:
    if isinstance(pretrained, str):  # what a segmentor's own `pretrained`, as in mmseg::_base_, hands down
        raise UserInputError(
            f"RegisteredBackbone: pretrained={pretrained!r} names weights of another network (v1c and v1d have a deep "
            "stem), expected True or None: set pretrained=None in the model, and init='trunk' in its backbone"
        )
    if init is not None and pretrained is not None:
        raise UserInputError(
            "RegisteredBackbone: init and pretrained exclude each other; pretrained=True is init='full'"
        )
    init = init or ("full" if pretrained else "scratch")
    if init not in INITS:
        raise UserInputError(f"RegisteredBackbone: init={init!r}, expected one of {', '.join(map(repr, INITS))}")
    if weights is not None and init not in ("trunk", "full"):
        raise UserInputError(f"RegisteredBackbone: weights={weights!r} with init={init!r}, expected 'trunk' or 'full'")
    return init

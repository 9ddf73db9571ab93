"""The one adapter that makes a registered backbone a part of mmengine models."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import torch
from mmengine.logging import print_log
from mmengine.model import BaseModule
from mmengine.registry import MODELS
from torch import Tensor

from backbones.errors import UserInputError
from backbones.memory_format import to_memory_format
from backbones.registry import create_backbone, get_card
from backbones.resnet import AttentionResNet
from backbones.weights import find_trunk_weights, load_weights
from transfer.engine.compat import harmless_globals

INITS = ("scratch", "trunk", "full")

_loading: ContextVar[bool] = ContextVar("loading", default=True)


@contextmanager
def without_initial_weights() -> Iterator[None]:
    """Inside, backbones are built without reading the weights they start from: a checkpoint will replace them."""
    token = _loading.set(False)
    try:
        yield
    finally:
        _loading.reset(token)


@MODELS.register_module()
class RegisteredBackbone(BaseModule):
    """A backbone by its registered name; its state-dict keys are those of the network itself, without a prefix.

    Args:
        name: a name of `backbones.registry.list_backbones`.
        init: `"scratch"`; `"trunk"`: a ResNet file for the trunk, the SAMs fresh; `"full"`: the card's own weights.
        weights: file to take `trunk` or `full` from, instead of the one found by name.
        pretrained: `True` is short for `init="full"`.
        out_indices: 0-based stages whose features are put out; default the last.
        channels_last: memory format of weights and features; on CPUs about half the time of a training step, as
            long as what follows takes its input as it comes (mmsegmentation's heads do).
        init_cfg: mmengine's own initialisation, after construction.
        overrides: further arguments of `AttentionResNet`, such as `output_stride` or `norm_eval`.

    Attributes:
        card: the backbone's card.
        net: the network that does the work.
        feature_info: stage, channels and stride of each output.
        init: where the weights come from.
        load_report: what was loaded, None for `scratch`.

    Raises:
        UserInputError: unknown name or option, weights that are missing or do not fit.
    """

    extra_config_keys = frozenset(inspect.signature(AttentionResNet.__init__).parameters) - {"self", "arch"}

    def __init__(
        self,
        name: str,
        init: str | None = None,
        weights: str | None = None,
        pretrained: bool | None = None,
        out_indices: Sequence[int] | None = None,
        channels_last: bool = False,
        init_cfg: Any = None,
        **overrides: Any,
    ) -> None:
        super().__init__(init_cfg)
        self.init = _read_init(init, pretrained, weights)
        self.card = get_card(name)
        net = create_backbone(name, pretrained=False, out_indices=out_indices, **overrides)
        # One set of modules under two views: keys without a prefix here, the network's own behaviour there.
        self.__dict__["net"] = net
        for shared in ("_modules", "_parameters", "_buffers", "_non_persistent_buffers_set"):
            self.__dict__[shared] = getattr(net, shared)
        self.feature_info, self.out_indices = net.feature_info, net.out_indices
        self.memory_format = torch.channels_last if channels_last else torch.preserve_format
        to_memory_format(net, self.memory_format)
        self.load_report = self._load(weights) if _loading.get() else None

    def _load(self, weights: str | None) -> Any:
        if self.init == "scratch":
            return None
        source: str | Path | None = weights
        if source is None:
            source = find_trunk_weights(self.card.arch) if self.init == "trunk" else self.card.weights_path()
        with torch.serialization.safe_globals(harmless_globals()):  # checkpoints of OpenMMLab projects
            report = load_weights(self.net, source, init=self.init)
        print_log(f"{self.card.name}, init={self.init} from {source}:\n{report}", logger="current")
        return report

    def forward(self, x_NCHW: Tensor) -> tuple[Tensor, ...]:
        """Features (N, C, H / stride, W / stride), one map for each of `out_indices`."""
        return self.net(x_NCHW.to(memory_format=self.memory_format))

    def train(self, mode: bool = True) -> RegisteredBackbone:
        """As the network's own: frozen stages and, with `norm_eval`, all normalisation stay in eval mode."""
        self.training = mode
        self.net.train(mode)
        return self


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
    if weights is not None and init == "scratch":
        raise UserInputError(f"RegisteredBackbone: weights={weights!r} with init='scratch', expected 'trunk' or 'full'")
    return init

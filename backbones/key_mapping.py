"""Other libraries' state dicts in this project's keys: torchvision, timm, Cadene's FBResNet, EAN's code, OpenMMLab.

Trunk keys are torchvision's; SAM keys begin with `attention.`. What is no part of a backbone is handed back apart.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch
from torch import Tensor

from backbones.errors import UserInputError

_WRAPPERS = re.compile(r"^(?:(?:module|_orig_mod)\.)+")

_RENAMES: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        # Cadene's networks, and EAN's code, which starts from his FBResNet.
        (r"^last_linear\.", "fc."),
        # EAN's code wraps a stage's blocks and its shared SAM in one module.
        (r"^(layer\d+)\.ModuleList\.", r"\1."),
        (r"^(layer\d+)\.share_fc\.", r"attention.\1."),
        (r"^(layer\d+)\.lstm\.w_ih\.0\.seq\.", r"attention.\1.input_gates."),
        (r"^(layer\d+)\.lstm\.w_hh\.0\.seq\.", r"attention.\1.hidden_gates."),
        # timm's SE-ResNets: one module per block.
        (r"^(layer\d+\.\d+)\.se\.", r"attention.\1."),
    )
)

_CONV_BIAS = re.compile(r"^(?P<block>(?:layer\d+\.\d+\.)?)(?:conv(?P<number>\d)|(?P<down>downsample)\.0)\.bias$")


def own_keys(state: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], list[str]]:
    """Returns the backbone's tensors under this project's keys, and the keys of everything else (heads of a task).

    `module.` and `_orig_mod.` are stripped; where keys begin with `backbone.`, only those belong to the backbone.

    Raises:
        UserInputError: OpenMMLab's ResNet with a deep stem, which no registered backbone has.
    """
    bare = {_WRAPPERS.sub("", key): tensor for key, tensor in state.items()}
    foreign: list[str] = []
    if any(key.startswith("backbone.") for key in bare):
        foreign = [key for key in bare if not key.startswith("backbone.")]
        bare = {key.removeprefix("backbone."): tensor for key, tensor in bare.items() if key.startswith("backbone.")}
    if "stem.0.weight" in bare and "conv1.weight" not in bare:
        raise UserInputError(
            "weights of a ResNet with a deep stem (ResNetV1c or V1d, such as resnet50_v1c), expected those of a plain "
            "ResNet, whose stem is one 7x7 convolution"
        )
    return dict(_renamed(key, tensor) for key, tensor in bare.items()), foreign


def _renamed(key: str, tensor: Tensor) -> tuple[str, Tensor]:
    for pattern, replacement in _RENAMES:
        new, hits = pattern.subn(replacement, key)
        if hits:
            return new, _sam_tensor(new, tensor) if new.startswith("attention.") else tensor
    return key, tensor


def _sam_tensor(key: str, tensor: Tensor) -> Tensor:
    """SE's 1x1 convolutions as linear layers, (out, in, 1, 1) to (out, in); SGE's (1, G, 1, 1) to (G,)."""
    if tensor.ndim != 4 or tensor.shape[2:] != (1, 1):
        return tensor
    return tensor.flatten(1) if ".fc" in key else tensor.flatten()


def match_conv_biases(state: dict[str, Tensor], wanted: Mapping[str, Tensor]) -> list[str]:
    """Makes up, in place and exactly, for convolution biases that only one side has; returns what was done.

    Every convolution stands before a batch normalisation, so a bias the network lacks is folded into the running
    mean, `BN(x + b; mean) = BN(x; mean - b)`, and one that the file lacks is zero.
    """
    folded = [key for key in state if key not in wanted and _CONV_BIAS.match(key) and _weight(key) in wanted]
    for key in folded:
        mean = _running_mean(key)
        if mean in state:
            state[mean] = state[mean] - state[key]
            del state[key]
    zeroed = [key for key in wanted if key not in state and _CONV_BIAS.match(key) and _weight(key) in state]
    for key in zeroed:
        state[key] = torch.zeros(wanted[key].shape, dtype=state[_weight(key)].dtype)
    notes = []
    if folded:
        notes.append(f"{len(folded)} convolution biases folded into the running means after them")
    if zeroed:
        notes.append(f"{len(zeroed)} convolution biases set to zero, the file has none")
    return notes


def _weight(bias: str) -> str:
    return bias.removesuffix("bias") + "weight"


def _running_mean(bias: str) -> str:
    match = _CONV_BIAS.match(bias)
    assert match is not None
    return f"{match['block']}{'downsample.1' if match['down'] else 'bn' + match['number']}.running_mean"

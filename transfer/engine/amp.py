"""Mixed precision in bfloat16, on CPU and CUDA alike."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from mmengine.optim import OptimWrapper
from mmengine.registry import OPTIM_WRAPPERS
from torch import nn

from backbones.errors import UserInputError


@OPTIM_WRAPPERS.register_module()
class AutocastOptimWrapper(OptimWrapper):
    """`OptimWrapper` whose forward passes run under `torch.autocast`, on the device that the model is on.

    mmengine's own `AmpOptimWrapper` refuses to run on a CPU. bfloat16 keeps float32's range, so that no loss scaling
    is needed; float16 is left to `AmpOptimWrapper`.

    Args:
        dtype: `"bfloat16"`.
        **kwargs: as `OptimWrapper`.
    """

    def __init__(self, *args: Any, dtype: str = "bfloat16", **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if dtype != "bfloat16":
            raise UserInputError(f"optim_wrapper.dtype={dtype!r}: expected 'bfloat16' (float16: use AmpOptimWrapper)")
        self.dtype = torch.bfloat16

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        """Autocast around the forward pass, inside mmengine's gradient accumulation context."""
        device = next(model.parameters()).device.type
        with super().optim_context(model), torch.autocast(device, self.dtype):
            yield


def native_bfloat16(device: str) -> bool:
    """Whether a device of this kind (`"cpu"`, `"cuda"`, ...) multiplies in bfloat16 itself, so that it is fast."""
    if device == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    # On CPUs oneDNN computes natively with AVX512-BF16 (or AMX, which comes with it).
    return device == "cpu" and torch.cpu._is_avx512_bf16_supported()
